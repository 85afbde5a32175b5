"""Run by test_names in a network and mount namespace of its own: `check` with name servers that are silent, wrong and right."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from heartbeatd.ctl.check import names
from heartbeatd.runtime import Runtime
from tests.ctl.check.conftest import situation
from tests.faults.stage import Resolver as NameServer

GIVEN = situation(
    heartbeat={"url": "http://worker.example/", "secret_key": "k"},
    internet={"url": "http://site.example/"},
    alerts={"webhook_url": "http://127.0.0.1:5678/"},
)


def found() -> dict[str, object]:
    """What is found, and how long it took."""
    began_s = time.monotonic()
    seen = [asdict(finding) for finding in names.check(GIVEN, Runtime())]
    return {"found": seen, "took_s": time.monotonic() - began_s}


def dead_first() -> dict[str, object]:
    """The first of two never answers."""
    NameServer("127.0.0.2", silent=True)
    NameServer("127.0.0.3", a="127.0.0.9")
    return found()


def no_such_name() -> dict[str, object]:
    """NXDOMAIN."""
    NameServer("127.0.0.1", a="")
    return found()


def filtered() -> dict[str, object]:
    """A filter's 0.0.0.0."""
    NameServer("127.0.0.1", a="0.0.0.0")
    return found()


CASES: dict[str, Callable[[], dict[str, object]]] = {
    "dead first": dead_first,
    "no such name": no_such_name,
    "filtered": filtered,
    "nobody": found,
}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]]()))
