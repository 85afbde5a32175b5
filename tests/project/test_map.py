"""The README's development section: its tables and pictures show what is there."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from heartbeatd.core.limit import Limits
from heartbeatd.core.metrics import READ_SELDOM, Metric, Series

TOP = Path(__file__).resolve().parents[2]
DEVELOPMENT = (TOP / "README.md").read_text().partition("## Development")[2]
PACKAGE = TOP / "heartbeatd"


def picture(name: str) -> str:
    """The lines of a Mermaid picture."""
    return DEVELOPMENT.partition(f"<!-- begin {name} -->")[2].partition(f"<!-- end {name} -->")[0]


def named() -> list[str]:
    """Files and folders that the first table names, below the package; the second is from the top."""
    rows = re.findall(r"^\| .* \| (.*) \|$", DEVELOPMENT, re.MULTILINE)
    names = [name for cell in rows for name in re.findall(r"`([\w./-]+(?:\.py|/))`", cell)]
    return [name for name in names if not name.startswith(("dist/", "var/"))]


def test_the_tables_name_what_is_there() -> None:
    """From the package or, in the second table, from the top; a name without a folder continues the folder before it."""
    places = [PACKAGE, TOP, *(path for path in PACKAGE.iterdir() if path.is_dir())]
    assert named()
    assert [name for name in named() if not any((place / name).exists() for place in places)] == []


def test_every_room_is_on_the_map() -> None:
    """Each folder of the package, each module of the core, and each beside them but those that a room's text speaks of anyway."""
    text = " ".join(named())
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name not in ("core", "__pycache__")}
    modules = {p.name for p in PACKAGE.glob("*.py")} - {"__init__.py", "errors.py", "files.py"}
    core = {f"core/{p.name}" for p in (PACKAGE / "core").glob("*.py")} - {"core/__init__.py"}
    assert [room for room in sorted(rooms | modules | core) if room not in text] == []


def test_the_picture_of_the_processes_shows_every_unit() -> None:
    """Those of systemd/ and those that the package's build makes of them, no more and no fewer."""
    units = {path.name for path in (TOP / "systemd").iterdir() if path.suffix in (".service", ".socket", ".timer")}
    units |= set(
        re.findall(r"^debian/heartbeatd\.([\w-]+\.service):", (TOP / "debian/rules").read_text(), re.MULTILINE)
    )
    assert set(re.findall(r"[\w@-]+\.(?:service|socket|timer)", picture("processes"))) == units


def test_the_picture_of_the_cycle_shows_its_steps() -> None:
    """In the order in which `Cycle.run` takes them."""
    (steps,) = re.findall(r"tick\(\[tick\]\) --> (.*)", picture("cycle"))
    (cycle,) = [n for n in ast.parse((PACKAGE / "cycle.py").read_text()).body if getattr(n, "name", "") == "Cycle"]
    (run,) = [n for n in ast.walk(cycle) if isinstance(n, ast.FunctionDef) and n.name == "run"]
    called = [n for n in ast.walk(run) if isinstance(n, ast.Attribute) and n.attr.startswith("_")]
    taken = [n.attr.strip("_") for n in sorted(called, key=lambda n: (n.lineno, n.col_offset))]
    assert [step for step in taken if step in steps.split(" --> ")] == steps.split(" --> ")


@cache
def texts_of(path: Path) -> frozenset[object]:
    """The constants in the code of a module."""
    return frozenset(n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))


def modules_that_say(word: str) -> set[str]:
    """Those of the package that have this very text in their code."""
    return {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if word in texts_of(path)}


@pytest.mark.parametrize("metric", [m for m in READ_SELDOM if not Limits(()).of(Series(m.name))], ids=lambda m: m.name)
def test_a_new_metric_touches_what_the_page_says(metric: Metric) -> None:
    """Its line, its probe and that one's line, and its words; what has built-in limits is named in more places."""
    assert {file for file in modules_that_say(metric.name) if not file.startswith("probes/")} == {"core/metrics.py"}
    assert modules_that_say(metric.subject) >= {"core/metrics.py", "core/text/threshold.py"}


def test_who_loads_what_is_as_the_table_says() -> None:
    """Each library that is neither Python's nor ours, and each module that imports it."""
    table = DEVELOPMENT.partition("| library |")[2].partition("\n\n")[0]
    told = {
        (library.strip(), file)
        for libraries, files in re.findall(r"^\| ([a-z0-9, ]+) \|.*\| (.*) \|$", table, re.MULTILINE)
        for library in libraries.split(",")
        for file in re.findall(r"`([\w/]+\.py)`", files)
    }
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {(name.split(".")[0], str(path.relative_to(PACKAGE))) for name in names}
    known = {*sys.stdlib_module_names, "heartbeatd"}
    assert {(library, file) for library, file in found if library not in known} == told
