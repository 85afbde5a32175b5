"""Who may know whom. The arrow runs one way: edges know the core, the core knows nobody."""

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "heartbeatd"

# What each room may import of this project; a room knows itself, `core` and `errors` in any case.
MAY_KNOW: dict[str, set[str]] = {
    "core": set(),
    "errors": set(),
    "clock": set(),
    "cancel": {"clock"},
    "journal": set(),
    "newid": set(),
    "files": set(),
    "hostnames": {"files"},
    "reload": set(),
    "reload_requests": set(),
    "sdnotify": {"reload_requests"},
    "exit_record": {"cancel", "files"},
    "failure_alert": {"cancel", "catalogs", "clock", "files", "hostnames", "journal", "newid", "notify"},
    "config": {"files"},
    "containers": {"cancel", "clock", "net"},
    "net": {"cancel", "clock", "files"},
    "pool": {"cancel", "clock"},
    "probes": {"cancel", "clock", "config", "containers", "net", "pool"},
    "store": {"cancel", "clock", "files", "journal"},
    "notify": {"cancel", "clock", "config", "files", "journal", "net"},
    "rules": set(),
    "heartbeats": {"cancel", "clock"},
    "gaps": {"clock", "journal", "newid"},
    "holds": {"cancel", "clock"},
    "report": {"journal"},
    "steps": {"journal"},
    "cycle": {"cancel", "clock", "heartbeats", "newid", "report", "steps"},
    "loop": {"cancel", "clock", "journal"},
    "runtime": {"cancel", "clock", "config", "hostnames", "net", "pool", "sdnotify", "store"},
    "catalogs": set(),
    "components": {"catalogs", "config", "net", "notify", "probes", "runtime"},
    "app": {
        *{"components", "config", "cycle", "gaps", "heartbeats", "holds", "journal", "net", "notify", "probes"},
        *{"report", "rules", "runtime", "steps", "store"},
    },
    "ctl": {
        "cancel",
        "clock",
        "components",
        "config",
        "containers",
        "files",
        "journal",
        "net",
        "newid",
        "notify",
        "probes",
        "rules",
        "runtime",
        "store",
    },
    "run": {"app", "config", "exit_record", "journal", "loop", "net", "runtime", "store"},
    "__main__": {"config", "run"},
    "__init__": set(),
}
# The core calculates: it reads no clock, no file, no environment, and asks nobody anything.
CORE_MAY_IMPORT = {
    "base64",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "fnmatch",
    "gettext",  # the class of a catalog; `catalogs` reads them
    "json",
    "math",
    "operator",
    "typing",
    "urllib",
    "uuid",
}
# A program that shares no code with the agent: what is not loaded needs no memory.
ALONE = {"reload"}
ONLY_CLOCKS = {"time.time", "time.time_ns", "time.clock_gettime_ns"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The room a module is in: its folder, or its own name at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All of a module's syntax tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> frozenset[str]:
    """The full names of what a module imports, wherever in it."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def offences(of: Callable[[Path], set[str]], among: Iterable[Path] = MODULES) -> dict[str, set[str]]:
    """By module, what it does that it may not: one test for all of them, as a test for each takes longer than the looking."""
    return {str(path.relative_to(PACKAGE)): found for path in among if (found := of(path))}


def test_a_room_knows_only_who_it_may() -> None:
    """No import against the arrow."""

    def unknown(path: Path) -> set[str]:
        here = room(path)
        known = {name.split(".")[1] for name in imports(path) if name.startswith("heartbeatd.")}
        if here in ALONE:
            return known - {here}
        return known - {"__version__", here, "core", "errors"} - MAY_KNOW[here]

    assert offences(unknown) == {}


@pytest.mark.parametrize("name", ["__main__", "engine"])
def test_the_containers_helper_loads_nothing_but_its_own_code(name: str) -> None:
    """It stays in memory, and holds the Docker socket; `client` is the part that others load."""
    project = {found for found in imports(PACKAGE / f"containers/{name}.py") if found.startswith("heartbeatd.")}
    assert project <= {"heartbeatd.containers.engine", "heartbeatd.containers.child"}


def test_the_docker_sdk_is_loaded_by_two_alone() -> None:
    """By `check`, and by the helper's child that is asked why: it takes 36 MiB, and there is one way to count."""
    load_it = offences(lambda path: {name for name in imports(path) if name.split(".")[0] == "docker"})
    assert {Path(name).name for name in load_it} == {"containers_sdk.py", "reasons.py"}


def test_the_core_is_pure() -> None:
    """The core imports nothing that reads or writes, and opens nothing."""

    def impure(path: Path) -> set[str]:
        outside = {name.split(".")[0] for name in imports(path) if not name.startswith("heartbeatd.")}
        calls = {n.func.id for n in nodes(path) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        attributes = {n.attr for n in nodes(path) if isinstance(n, ast.Attribute)}
        return (
            (outside - CORE_MAY_IMPORT)
            | (calls & {"open", "print", "input"})
            | (attributes & {"now", "utcnow", "today"})
        )

    assert offences(impure, sorted((PACKAGE / "core").rglob("*.py"))) == {}


def test_the_wall_clock_is_read_in_one_place() -> None:
    """Nobody but clock.py asks what time it is, so that a stepped clock is noticed in one place."""

    def asks(path: Path) -> set[str]:
        found = (n for n in nodes(path) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name))
        return {f"{n.value.id}.{n.attr}" for n in found if isinstance(n.value, ast.Name)} & ONLY_CLOCKS

    assert set(offences(asks)) == {"clock.py"}


def test_every_room_is_in_the_table() -> None:
    """A new room is a decision."""
    assert {room(path) for path in MODULES} == set(MAY_KNOW)
