"""What ExecStopPost= leaves, and what the next start makes of it."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from heartbeatd import exit_record
from heartbeatd.cancel import CancelToken
from heartbeatd.clock import boot_id
from heartbeatd.core.gap import ExitRecord
from tests.support.agent import CHECKOUT, environment
from tests.support.disk import frozen, own_filesystem
from tests.support.wait import wait_until


@pytest.fixture
def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept in memory, beside the notes of a failure."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(exit_record, "FAILURE_HEARD", folder / "heard")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aside: Path) -> Path:
    """The state directory, as systemd names it to the service."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


def stopped(folder: Path, aside: Path, **more: str) -> None:
    """Run the script as systemd does."""
    names = {"STATE_DIRECTORY": str(folder), "NOTES_DIRECTORY": str(aside), **more}
    subprocess.run([CHECKOUT / "systemd/exit-record"], env=environment(**names), check=True, timeout=60)


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_was_left_is_taken_once(folder: Path, aside: Path, *, in_memory: bool) -> None:
    """The script's file is what the agent reads; then it is gone, whether or not there is a place in memory for it."""
    if not in_memory:
        aside.rmdir()
    stopped(folder, aside, SERVICE_RESULT="watchdog", EXIT_STATUS="ABRT")
    assert [path.name for path in folder.parent.rglob("*") if path.is_file()] == ["last-stop"]
    assert exit_record.consume(CancelToken()) == ExitRecord(boot_id(), "watchdog", "ABRT", system_stopping=False)
    assert exit_record.consume(CancelToken()) is None
    assert list(folder.iterdir()) == []


def test_a_disk_that_does_not_answer_holds_nobody_up(folder: Path, aside: Path) -> None:
    """What is said is then read from memory. A FIFO that nobody reads has a writer wait as a frozen filesystem does."""
    os.mkfifo(folder / "last-stop.new")
    (aside / "watching").touch()
    stopped(folder, aside, SERVICE_RESULT="timeout", RUNTIME_DIRECTORY=str(aside))
    ending = exit_record.consume(CancelToken())
    assert ending == ExitRecord(boot_id(), "timeout", was_watching=True)
    assert ending.asked_for
    assert exit_record.consume(CancelToken()) is None
    (folder / "last-stop.new").read_bytes()  # it thaws: the writer goes on to its end


@pytest.mark.namespaces
def test_a_filesystem_that_is_frozen_at_the_start(
    folder: Path, aside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be read, and nothing removed: what it says is known, nobody waits, and it is gone once it has thawed."""
    with own_filesystem(tmp_path) as disk:
        monkeypatch.setenv("STATE_DIRECTORY", str(disk))
        aside.rmdir()
        stopped(disk, aside, SERVICE_RESULT="watchdog")
        with frozen(disk):
            began_s = time.monotonic()
            assert exit_record.consume(CancelToken()) == ExitRecord(boot_id(), "watchdog")
            assert time.monotonic() - began_s < 30
        wait_until(lambda: not (disk / "last-stop").exists())


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe=\n===\n", b"boot_id=" + b"x" * 100_000])
def test_rubbish_says_nothing(folder: Path, content: bytes | None) -> None:
    """No file, or one that is not what the script writes: no ending that any run would be held against."""
    if content is not None:
        (folder / "last-stop").write_bytes(content)
    found = exit_record.consume(CancelToken())
    assert found is None or found.boot_id != boot_id()


def test_without_systemd_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No state directory, nothing to look at."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert exit_record.consume(CancelToken()) is None
