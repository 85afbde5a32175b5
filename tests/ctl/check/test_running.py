"""A running service keeps the sandbox it was started with: what it meets is looked at through /proc."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.ctl.check import running
from heartbeatd.ctl.check.finding import Verdict
from tests.ctl.check.conftest import situation, unit
from tests.ctl.check.test_storage import READ_ONLY

pytestmark = pytest.mark.namespaces
HIDDEN = 'mount -t tmpfs tmpfs "$0" && exec "$@"'


@contextmanager
def process(mounts: str, folder: Path) -> Iterator[int]:
    """The pid of one in a mount namespace of its own, in which `mounts` were made."""
    words = ["unshare", "--mount", "sh", "-c", mounts, str(folder), "sh", "-c", "echo up; exec cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        yield child.pid
        child.kill()


@pytest.mark.parametrize(("mounts", "waits"), [(READ_ONLY, True), (HIDDEN, True), ('exec "$@"', False)])
def test_a_folder_that_the_running_service_cannot_use(tmp_path: Path, mounts: str, waits: bool) -> None:
    """Read-only, or another one, for the process only: that waits for a restart. What is wrong anyway is not said again."""
    folder = tmp_path / "data"
    folder.mkdir()
    given = situation(storage={"path": f"{folder}/metrics.db"})
    with process(mounts, folder) as pid:
        given = replace(given, service=replace(unit(), pid=pid))
        found = list(running.check(given, ()))
        assert list(running.check(given, ("storage",))) == []
        assert list(running.check(replace(given, service=replace(unit("inactive", "dead"), pid=pid)), ())) == []
    assert [finding.verdict for finding in found] == [Verdict.WARNING] * waits
    for finding in found:
        assert str(folder) in finding.text
        assert "waits for `systemctl restart heartbeatd`" in finding.text


def test_a_key_that_the_running_service_cannot_see(tmp_path: Path) -> None:
    """It is in a folder that was hidden at its start."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "key").write_text("k\n")
    with process(HIDDEN, folder) as pid:
        assert running.meets_another(folder / "key", pid)
        assert not running.meets_another(folder / "none", pid)
    assert not running.meets_another(folder / "key", pid)  # it has ended: nothing is known
