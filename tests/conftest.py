"""For all tests: nothing may be left behind, and as root nothing may be skipped."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

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
    found = set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    return {
        child for child in found if _name(child) != "systemd-nspawn"
    }  # a booted host may outlive a test that reboots it


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs root is skipped without it, and named at the end."""
    if os.geteuid() == 0:
        return
    for item in items:
        if any(item.get_closest_marker(marker) for marker in ("docker", "namespaces")):
            item.add_marker(pytest.mark.skip(reason="needs root"))


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
