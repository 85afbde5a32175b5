"""What is told when the agent has failed for good, by a script that needs nothing of it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heartbeatd.failure_alert import notes
from heartbeatd.failure_alert.__main__ import deliver
from heartbeatd.failure_alert.configuration import setting
from heartbeatd.failure_alert.failure import stop_took_too_long
from heartbeatd.failure_alert.webhook import post
from tests.support.agent import PACKAGE, environment
from tests.support.receiver import WEBHOOK, Receiver
from tests.support.scripted import Scripted, answers, endless

PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from heartbeatd.failure_alert.__main__ import main
sys.exit(main())
"""


def tell(config: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run it as its unit does, on a machine without systemctl: what becomes of a real heartbeatd here is not the matter."""
    return subprocess.run(
        [sys.executable, "-IS", "-c", PROGRAM, PACKAGE.parent, config],
        env=environment(PATH=str(PACKAGE), **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("broken", ["", "\n[agent\n", "\nurl = https://no-quotes\n"])
def test_the_webhook_is_told(tmp_path: Path, broken: str) -> None:
    """In the shape of every alert; also where the configuration is what is broken."""
    with Receiver() as receiver:
        config = tmp_path / "config.toml"
        config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n[agent]\nhostname = "nas"\n{broken}')
        done = tell(config, MONITOR_SERVICE_RESULT="exit-code", MONITOR_EXIT_STATUS="78")
        assert done.returncode == 0, done.stderr
        (told,) = receiver.received(WEBHOOK)
    assert told.body["title"] == "nas: heartbeatd has failed and is not started again (configuration refused)"
    assert "heartbeatctl check" in told.body["message"]
    details = told.body["details"]
    assert (details["event"], details["subject"], details["attempt"]) == ("failure", "agent", 1)


def test_a_credential_wins(tmp_path: Path) -> None:
    """The webhook's URL as systemd passes it, with a user name and a password, which are sent and never shown."""
    with Scripted(answers(200)) as server:
        url = server.url.replace("//", "//user:hidden@") + "path?q=1"
        (tmp_path / "heartbeat.webhook_url").write_text(f"{url}\n")
        done = tell(tmp_path / "none", CREDENTIALS_DIRECTORY=str(tmp_path), MONITOR_SERVICE_RESULT="oom-kill")
        (request,) = server.requests
    assert done.returncode == 0
    assert request.startswith(b"POST /path?q=1 HTTP/1.1\r\n")
    assert b"Authorization: Basic dXNlcjpoaWRkZW4=\r\n" in request
    assert json.loads(request.partition(b"\r\n\r\n")[2])["details"]["cause"] == "oom-kill"
    assert "hidden" not in done.stdout + done.stderr


class QuickTime:
    """It passes at once where somebody sleeps."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept_s)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


def test_it_tries_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A webhook that answers 404 first is asked again, with the same event id, and the number of the attempt."""
    time = QuickTime()
    with Receiver() as receiver:
        receiver.answer(WEBHOOK, 404, 503, 200)
        assert deliver(receiver.url(WEBHOOK), {"details": {"event_id": "one"}}, time) == 0
    assert time.slept_s == [5, 10]
    assert [(asked.body["details"], asked.answered) for asked in receiver.received(WEBHOOK)] == [
        ({"event_id": "one", "attempt": 1, "queued_seconds": 0}, 404),
        ({"event_id": "one", "attempt": 2, "queued_seconds": 5}, 503),
        ({"event_id": "one", "attempt": 3, "queued_seconds": 15}, 200),
    ]
    assert "attempt 1: HTTP 404\n" in capsys.readouterr().err


def test_it_gives_up() -> None:
    """After ten minutes of longer and longer pauses; the next look of the timer is the next try."""
    time = QuickTime()
    with Receiver() as receiver:
        receiver.answer(WEBHOOK, 404)
        assert deliver(receiver.url(WEBHOOK), {"details": {}}, time) == 1
    assert time.slept_s == [5, 10, 20, 40, *[60] * 8]
    assert len(receiver.received(WEBHOOK)) == len(time.slept_s) + 1


def test_nobody_to_tell(tmp_path: Path) -> None:
    """Without a URL anywhere it says so and is done; no traceback, whatever the file is."""
    for content in (None, b"", b"\xff\xfe\x00", b"[" * 100_000, b"alerts = 3\n", b"[alerts]\nwebhook_url = 3\n"):
        config = tmp_path / "config.toml"
        if content is not None:
            config.write_bytes(content)
        done = tell(config)
        assert done.returncode == 0
        assert "nobody is told" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_that_would_never_end_is_no_file(tmp_path: Path) -> None:
    """A FIFO in place of the configuration has nobody wait for a writer."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        done = tell(path)
        assert done.returncode == 0
        assert "nobody is told" in done.stderr


def test_a_password_is_sent_nowhere_else() -> None:
    """One with an unescaped mark makes another host of the user name; nothing is sent there."""
    with Scripted(answers(200)) as server:
        for mark in "/?#":
            url = server.url.rstrip("/") + f"{mark}hidden@host.example/webhook"
            problem = post(url, {"details": {}}, 1, 0)
            assert problem is not None
            assert "hidden" not in problem
        assert server.requests == []


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("broken", ["", "[[["])
def test_any_editor_may_have_written_it(ends: str, broken: str) -> None:
    """A byte order mark, and lines that end as on other systems."""
    text = f"\ufeff[alerts]\nwebhook_url = 'http://a/b'\n{broken}\n".replace("\n", ends)
    assert setting(text.encode(), "alerts", "webhook_url") == "http://a/b"
    bare = "\ufeffwebhook_url = 'http://a/b'\n[[[\n".replace("\n", ends)
    assert setting(bare.encode(), "alerts", "webhook_url") == "http://a/b"


def test_what_is_taken_from_a_broken_file() -> None:
    """The first line that sets the key; not a comment."""
    broken = b"#webhook_url = 'http://comment/'\n  webhook_url='http://a/b' # x\nwebhook_url = \"http://second/\"\n[[["
    assert setting(broken, "alerts", "webhook_url") == "http://a/b"


@pytest.mark.parametrize(
    ("head", "block", "pause_s"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.1),
        (b"", b"", 0.1),
    ],
    ids=["100 without end", "a byte now and then", "silence"],
)
def test_an_answer_without_end(head: bytes, block: bytes, pause_s: float) -> None:
    """Each try ends, whatever the webhook does: here after a second, in place of twenty."""
    with Scripted(endless(head, block, pause_s)) as server:
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-IS", "-c", ONE_TRY, PACKAGE.parent, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert time.monotonic() - began_s < 15
    assert done.stdout == "no answer in time\n", done.stderr


ONE_TRY = """
import sys
sys.path.insert(0, sys.argv[1])
from heartbeatd.failure_alert import webhook
webhook.TRY_S = 1
print(webhook.post(sys.argv[2], {"details": {}}, 1, 0))
"""


@pytest.mark.parametrize(
    ("looks", "lasts_s"),
    [
        ([(0, 3)], 0),
        ([(0, 3), (120, 27), (240, 51)], 240),
        ([(0, 3), (120, 3)], 0),  # its first cycle takes long: it was not started again
        ([(0, 3), (120, 27), (900, 28)], 0),  # it was up in between: then nobody looks
        ([(0, 9), (120, 27), (240, 1)], 0),  # somebody has started it by hand
        ([(0, 9), (120, 27), (240, 1), (360, 20)], 120),
    ],
)
def test_for_how_long_it_has_been_failing(
    looks: list[tuple[float, int]], lasts_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the looks of two minutes, each a moment and the number of restarts: what goes on, and goes on being started."""
    monkeypatch.setattr(notes, "NOTES", str(tmp_path))
    assert [notes.failing_for(restarts, 1000 + at_s) for at_s, restarts in looks][-1] == lasts_s


@pytest.mark.parametrize(
    ("more", "asked_for"),
    [
        ({}, True),
        ({"ActiveState": "activating"}, False),  # it is started again: nobody had it stopped
        ({"Result": "oom-kill"}, False),
        ({"Restart": "no"}, False),  # a drop-in has it that a start that takes too long is the end, too
        ({"ExecMainStatus": "78"}, False),
    ],
)
def test_a_stop_that_took_too_long_is_a_stop(more: dict[str, str], *, asked_for: bool) -> None:
    """What Restart=always does not start again after a timeout was stopped by somebody."""
    unit = {"ActiveState": "failed", "Result": "timeout", "Restart": "always", "ExecMainStatus": "0", **more}
    assert stop_took_too_long(unit) is asked_for


def test_what_was_told_is_not_told_again(tmp_path: Path) -> None:
    """The note of it is enough, until the agent takes it away; without a webhook that is said once, too."""
    with Receiver() as receiver:
        config = tmp_path / "config.toml"
        config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
        for _ in range(2):
            tell(config, RUNTIME_DIRECTORY=str(tmp_path))
        assert len(receiver.received(WEBHOOK)) == 1
        (tmp_path / "told").unlink()
        tell(config, RUNTIME_DIRECTORY=str(tmp_path))
        assert len(receiver.received(WEBHOOK)) == 2
    (tmp_path / "told").unlink()
    said = [tell(tmp_path / "none", RUNTIME_DIRECTORY=str(tmp_path)).stderr for _ in range(2)]
    assert "nobody is told" in said[0]
    assert said[1] == ""


def test_one_without_credentials_leaves_it_to_the_one_with_them(tmp_path: Path) -> None:
    """Where heartbeatd-failed.service ran and found nobody to hear it, the same is not begun anew."""
    with Receiver() as receiver:
        config = tmp_path / "config.toml"
        config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
        by = {
            "MONITOR_UNIT": "heartbeatd-failed.service",
            "MONITOR_SERVICE_RESULT": "exit-code",
            "MONITOR_EXIT_STATUS": "1",
        }
        assert tell(config, **by).returncode == 0
        assert receiver.received(WEBHOOK) == []
