"""What ExecStopPost= leaves, and what the next start makes of it."""

import subprocess
from pathlib import Path

import pytest

from heartbeatd import last_stop
from heartbeatd.core.gap import Ending
from heartbeatd.sinks.systemd import boot_id
from tests.agent import CHECKOUT, environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory, as systemd names it to the service."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path


def test_what_was_left_is_taken_once(folder: Path) -> None:
    """The script's file is what the agent reads; then it is gone."""
    subprocess.run(
        [CHECKOUT / "systemd/last-stop"],
        env=environment(STATE_DIRECTORY=str(folder), SERVICE_RESULT="watchdog", EXIT_STATUS="ABRT"),
        check=True,
    )
    assert last_stop.take() == Ending(boot_id(), "watchdog", "ABRT", system_stopping=False)
    assert last_stop.take() is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe=\n===\n", b"boot_id=" + b"x" * 100_000])
def test_rubbish_says_nothing(folder: Path, content: bytes | None) -> None:
    """No file, or one that is not what the script writes: no ending that any run would be held against."""
    if content is not None:
        (folder / "last-stop").write_bytes(content)
    found = last_stop.take()
    assert found is None or found.boot_id != boot_id()


def test_without_systemd_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No state directory, nothing to look at."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert last_stop.take() is None
