"""For all tests: nothing is left behind, root skips nothing, what shares a fixture shares a worker, moments get a second try."""

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

from tests.support.disk import own_filesystem
from tests.support.engine import Engine, own_engine
from tests.support.receiver import Receiver
from tests.system.tree import SUITES

# A busy build machine is slow; a law is not broken by that.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For `make check`; `make test` tries four times as many. Examples kept from there would take the place of new ones.
settings.register_profile("quick", settings.get_profile("ours"), max_examples=25, database=None)
settings.load_profile("ours")

_skipped: list[str] = []


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a socket or a file open."""
    threads, files, children = set(threading.enumerate()), _open_files(), _children()
    yield
    until = time.monotonic() + 30  # a thread that ends may have to wait for a core
    while time.monotonic() < until:
        left = [t.name for t in set(threading.enumerate()) - threads]
        opened = _open_files() - files
        born = _children() - children
        if not left and not opened and not born:
            return
        time.sleep(0.02)
    pytest.fail(f"left behind: threads {left}, files {sorted(opened)}, children {sorted(born)}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A Worker and a webhook that the agent under test reports to, for one test."""
    with Receiver() as listening:
        yield listening


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One Docker engine for the tests of a module."""
    with own_engine() as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own, which can be frozen."""
    with own_filesystem(tmp_path) as mount:
        yield mount


def _open_files() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the folder itself, closed by now
        if target.startswith("socket:") or target.endswith((".db", "-wal", "-shm")):
            found.add(target)
    return found


def _children() -> set[str]:
    found = set[str]()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended by now
            found.update((task / "children").read_text().split())
    return {
        child for child in found if _name(child) != "systemd-nspawn"
    }  # a booted host may outlive a test that reboots it


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Skip without root what needs it, keep in one worker what shares a fixture, and run a second time what lost a moment."""
    if os.geteuid() != 0 and any(item.get_closest_marker(marker) for marker in ("docker", "namespaces")):
        item.add_marker(pytest.mark.skip(reason="needs root"))
    if group := _shared_by(item):
        item.add_marker(pytest.mark.xdist_group(group))
    # A moment lost on a busy machine is no fault of the code; what fails twice is. Where the package is built, there is no
    # such plugin, and none of these tests is run.
    if item.config.pluginmanager.hasplugin("rerunfailures") and _holds_moments(item):
        item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: workers are then busy with short tests when the last long one ends."""
    items.sort(key=_rank)


def _shared_by(item: pytest.Item) -> str:
    """The module and the suite of Debian, which tests that share a module-scoped fixture have in common; empty for others."""
    assert isinstance(item, pytest.Function)
    scopes = {fixture.scope for fixtures in item._fixtureinfo.name2fixturedefs.values() for fixture in fixtures}
    if "module" not in scopes:
        return ""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "-".join([item.module.__name__, *(str(value) for value in parameters if value in SUITES)])


def _holds_moments(item: pytest.Item) -> bool:
    """A booted host, or what is marked so."""
    return _room(item) == "system" or item.get_closest_marker("timing") is not None


def _rank(item: pytest.Item) -> int:
    """Booted hosts, faults, the rest."""
    return {"system": 0, "faults": 1}.get(_room(item), 2)


def _room(item: pytest.Item) -> str:
    """The folder of tests/ that it is in, or its file's name if it is in none."""
    return _room_of(item.path)


@functools.cache
def _room_of(path: Path) -> str:
    return path.relative_to(Path(__file__).parent).parts[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Root can do everything the tests need, so for root a skipped test is a failed one."""
    if _skipped and os.geteuid() == 0 and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Name what was skipped, loudly, and say why what was run a second time had failed."""
    if _skipped:
        terminalreporter.section("SKIPPED, AND SO NOT CHECKED", red=True)
        for name in _skipped:
            terminalreporter.line(name)
    if failed_once := terminalreporter.stats.get("rerun"):
        terminalreporter.section("FAILED ONCE, AND RUN A SECOND TIME", yellow=True)
        for report in failed_once:
            terminalreporter.section(report.nodeid, "_")
            terminalreporter.line(report.longreprtext)
