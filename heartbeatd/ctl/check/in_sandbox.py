"""Started by `sandbox` inside the service's sandbox: makes the tries, and prints each finding as a line of JSON."""

import json
import pickle
import sys
from dataclasses import asdict

from heartbeatd.ctl.check import registry
from heartbeatd.ctl.check.situation import Situation


def main() -> int:
    """Always 0: what is wrong is in the findings."""
    situation = pickle.load(sys.stdin.buffer)  # from heartbeatctl, which is root
    assert isinstance(situation, Situation)
    for finding in registry.findings(situation):
        print(json.dumps(asdict(finding)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
