"""What a start imports, by -X importtime: `python3 -m tests.bench.imports`. First to READY, then what comes after it."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass

from tests.support.agent import CHECKOUT, environment

TOP = 15
TIMES = 5
TO_READY = "import heartbeatd.__main__, heartbeatd.run"
AFTER = f"{TO_READY}; print('READY', file=__import__('sys').stderr, flush=True); import heartbeatd.app"


@dataclass(frozen=True, slots=True)
class Module:
    """One import: ms with all that it imports, and its own."""

    name: str
    whole_ms: float
    own_ms: float


def main() -> None:
    """Print two tables."""
    to_ready, after = min((look() for _ in range(TIMES)), key=lambda parts: sum(m.own_ms for m in parts[0]))
    for title, modules in (("to READY, Python's own start with it", to_ready), ("after READY", after)):
        print(f"\nimports {title}: {len(modules)} modules, {sum(m.own_ms for m in modules):.1f} ms")
        print(f"{'ms':>8} {'own':>7}  module")
        for module in sorted(modules, key=lambda m: m.whole_ms, reverse=True)[:TOP]:
            print(f"{module.whole_ms:>8.1f} {module.own_ms:>7.1f}  {module.name}")


def look() -> tuple[list[Module], list[Module]]:
    """What is imported before READY and after it, in the order in which each was done, with everything compiled already."""
    with tempfile.TemporaryDirectory() as compiled:
        env = environment(PYTHONPYCACHEPREFIX=compiled, PYTHONDONTWRITEBYTECODE="")
        for _ in range(2):
            words = [sys.executable, "-X", "importtime", "-c", AFTER]
            said = subprocess.run(words, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True).stderr
    before, _, after = said.partition("READY\n")
    return _modules(before), _modules(after)


def _modules(said: str) -> list[Module]:
    """The lines `import time: OWN µs | WHOLE µs | NAME`, but the heading."""
    lines = [line.removeprefix("import time:").split("|") for line in said.splitlines() if "import time:" in line]
    return [Module(name.strip(), int(whole) / 1000, int(own) / 1000) for own, whole, name in lines if "self" not in own]


if __name__ == "__main__":
    main()
