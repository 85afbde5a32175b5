"""The program of heartbeatd-failed.service, with a notifier that is its child: who is told what, how often, by which id."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import PACKAGE, environment, python
from tests.support.receiver import WEBHOOK, Receiver
from tests.support.wait import wait_until

REFUSED = {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "78"}
HANG_S = 60


def start(config: Path, notes: Path, **more: str) -> "subprocess.Popen[str]":
    """As its unit does, on a machine without systemctl: what becomes of a real heartbeatd here is not the matter."""
    names = {"PATH": str(PACKAGE), "PYTHONPATH": str(PACKAGE.parent), "RUNTIME_DIRECTORY": str(notes), **more}
    return subprocess.Popen(
        python("heartbeatd.failure_alert", config),
        env=environment(**names),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tell(config: Path, notes: Path, **more: str) -> str:
    """Run it to its end. What it said."""
    with start(config, notes, **more) as process:
        out, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    return err


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """The unit's runtime directory."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def configured(folder: Path, receiver: Receiver, more: str = "") -> Path:
    """A configuration with a webhook, and `more`."""
    config = folder / "config.toml"
    config.write_text(
        f'[agent]\nhostname = "nas"\n[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\ntimeout_seconds = 20\n{more}'
    )
    return config


@pytest.mark.parametrize("more", ["", "[heartbeat]\nurl = 3\n", "[no-such-section]\n"])
def test_the_webhook_is_told(tmp_path: Path, notes: Path, more: str) -> None:
    """In the shape of every alert; what is refused in other sections keeps it from nobody."""
    with Receiver() as receiver:
        tell(configured(tmp_path, receiver, more), notes, **REFUSED)
        (told,) = receiver.received(WEBHOOK)
    assert told.body["title"] == "nas: heartbeatd has failed (configuration refused)"
    assert "heartbeatctl check" in told.body["message"]
    details = told.body["details"]
    assert (details["event"], details["subject"], details["attempt"]) == ("failure", "agent", 1)
    assert {"heard", "told"} <= {path.name for path in notes.iterdir()}


def test_in_the_language_of_its_readers(tmp_path: Path, notes: Path) -> None:
    """As the configuration says; programs read the same as ever."""
    with Receiver() as receiver:
        tell(configured(tmp_path, receiver, 'language = "en"\n'), notes, MONITOR_SERVICE_RESULT="oom-kill")
        (told,) = receiver.received(WEBHOOK)
    assert told.body["title"] == "nas: heartbeatd has failed (oom-kill)"
    assert told.body["details"]["cause"] == "oom-kill"


def test_what_was_told_is_not_told_again(tmp_path: Path, notes: Path) -> None:
    """Until the agent has taken the notes of it away."""
    with Receiver() as receiver:
        config = configured(tmp_path, receiver)
        for _ in range(2):
            tell(config, notes, **REFUSED)
        assert len(receiver.received(WEBHOOK)) == 1
        for note in notes.iterdir():
            note.unlink()
        tell(config, notes, **REFUSED)
        first, second = receiver.received(WEBHOOK)
    assert first.body["details"]["event_id"] != second.body["details"]["event_id"]


def test_a_webhook_that_is_down_is_tried_again_under_the_same_id(tmp_path: Path, notes: Path) -> None:
    """Also by the next process: it goes on where the one before was ended, with its pauses and its count."""
    with Receiver() as receiver:
        receiver.answer(WEBHOOK, 404, 503, 200)
        config = configured(tmp_path, receiver)
        with start(config, notes, **REFUSED) as process:
            wait_until(lambda: "next_try_ns" in _kept(notes) and '"attempts":1' in _kept(notes))
            process.kill()
        assert not (notes / "heard").exists()
        tell(config, notes, **REFUSED)
        received = receiver.received(WEBHOOK)
    assert [(one.body["details"]["attempt"], one.answered) for one in received] == [(1, 404), (2, 503), (3, 200)]
    assert len({one.body["details"]["event_id"] for one in received}) == 1


def _kept(notes: Path) -> str:
    alert = notes / "alert"
    return alert.read_text() if alert.exists() else ""


def test_only_channels_that_take_it_are_told(tmp_path: Path, notes: Path) -> None:
    """One for other events is none of them, so the program does not wait for it."""
    with Receiver() as receiver:
        config = configured(tmp_path, receiver, '[[channel]]\nname = "phone"\nevents = ["recovery"]\n')
        tell(config, notes, **REFUSED)
        assert len(receiver.received(WEBHOOK)) == 1
    assert json.loads((notes / "alert").read_text()) == {"deliveries": []}


def test_nobody_to_tell(tmp_path: Path, notes: Path) -> None:
    """That is said, once; and nobody hears of an end of it."""
    config = tmp_path / "config.toml"
    config.write_text("")
    assert "nobody is told" in tell(config, notes, **REFUSED)
    assert tell(config, notes, **REFUSED) == ""
    assert not (notes / "heard").exists()


def test_a_configuration_that_tells_of_no_channel_is_waited_for(tmp_path: Path, notes: Path) -> None:
    """A file that is not TOML, and was never good: why nobody is told is said, and whoever repairs it is told."""
    with Receiver() as receiver:
        good = configured(tmp_path, receiver).read_text()
        config = tmp_path / "config.toml"
        config.write_text(f"{good}\nnonsense =\n")
        with start(config, notes, **REFUSED) as process:
            assert process.stderr is not None
            assert "nobody can be told yet that heartbeatd failed" in process.stderr.readline()
            config.write_text(good)
            process.communicate(timeout=HANG_S)
        assert len(receiver.received(WEBHOOK)) == 1


def test_a_fallback_leaves_alone_what_ran(tmp_path: Path, notes: Path) -> None:
    """Where heartbeatd-failed.service ran and broke off, so would this: it is for a sandbox that cannot be set up."""
    with Receiver() as receiver:
        by = {"MONITOR_UNIT": "heartbeatd-failed.service", "MONITOR_SERVICE_RESULT": "exit-code"}
        tell(configured(tmp_path, receiver), notes, **by, MONITOR_EXIT_STATUS="1")
        assert receiver.received(WEBHOOK) == []
