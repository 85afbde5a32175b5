"""For all tests: nothing may be left behind, as root nothing may be skipped, and what shares a fixture shares a worker."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

from tests.system.tree import SUITES

# A busy build machine is slow; a law is not broken by that.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

_skipped: list[str] = []


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a socket or a file open."""
    threads, files, children = set(threading.enumerate()), _open_files(), _children()
    yield
    until = time.monotonic() + 2
    while time.monotonic() < until:
        left = [t.name for t in set(threading.enumerate()) - threads]
        opened = _open_files() - files
        born = _children() - children
        if not left and not opened and not born:
            return
        time.sleep(0.02)
    pytest.fail(f"left behind: threads {left}, files {sorted(opened)}, children {sorted(born)}")


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
    """Skip without root what needs it, and keep in one worker what shares a fixture."""
    if os.geteuid() != 0 and any(item.get_closest_marker(marker) for marker in ("docker", "namespaces")):
        item.add_marker(pytest.mark.skip(reason="needs root"))
    if group := _shared_by(item):
        item.add_marker(pytest.mark.xdist_group(group))


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


def _rank(item: pytest.Item) -> int:
    """Booted hosts, faults, the rest."""
    return next((rank for rank, name in enumerate(("system", "faults")) if name in item.path.parts), 2)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Root can do everything the tests need, so for root a skipped test is a failed one."""
    if _skipped and os.geteuid() == 0 and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Name what was skipped, loudly."""
    if _skipped:
        terminalreporter.section("SKIPPED, AND SO NOT CHECKED", red=True)
        for name in _skipped:
            terminalreporter.line(name)
