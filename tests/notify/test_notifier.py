"""The notifier as a process: whom it answers, what it takes for a request, and that it ends whatever hangs."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.subject import Severity
from heartbeatd.notify.protocol import LARGEST_BYTES, Answer, Check, Reached, Report, Try, parse_request
from tests.support.agent import environment, python
from tests.support.notifier import HANG_S, PROBLEM, about, ask, checked
from tests.support.receiver import WEBHOOK, Receiver

# In a network of its own, where one name server takes questions and answers none.
SILENT_DNS = """
ip link set lo up
mount --bind "$0/resolv.conf" /etc/resolv.conf
mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf
mount --bind "$0/hosts" /etc/hosts
exec python3 -c 'import os, socket, sys
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.set_inheritable(True)
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
"""


def test_what_asks_for_nothing(tmp_path: Path) -> None:
    """Whatever is no request is answered, and may be one another time; what is too large never is."""
    config = tmp_path / "config.toml"
    config.write_text("")
    good = json.loads(about("webhook").encode())
    for line in (
        *(b"", b"\n", b"no JSON\n", b"[]\n", b"7\n", b'{"channel": "webhook"}\n', b"[" * 100_000),
        *(b'"check"\n', b'["check"]\n', b'{"check": "webhook"}\n', b'{"check": true, "timeout_seconds": 1}\n'),
        json.dumps({**good, "notification": "text"}).encode(),
        json.dumps({**good, "timeout_seconds": None}).encode(),
        json.dumps({**good, "channel": 7}).encode(),
        json.dumps({**good, "notification": {**good["notification"], "severity": "bad"}}).encode(),
        json.dumps({**good, "notification": {**good["notification"], "details": []}}).encode(),
    ):
        assert ask(config, line).failure is Failure.ERROR
    assert ask(config, b'"' + b"x" * LARGEST_BYTES).failure is Failure.UNREADABLE


def test_request_and_answer_survive_the_wire() -> None:
    """What is encoded on one side is what the other parses."""
    asked = about("phone", 2.5, replace(PROBLEM, title="ñandú – “x”\n", severity=Severity.WARNING))
    assert parse_request(asked.encode()) == asked
    assert asked.encode().count(b"\n") == 1
    for answer in (Answer(), Answer(status=204), Answer(Failure.LATE, "why – not")):
        assert Answer.parse(answer.encode()) == answer
    for line in (
        b"",
        b"\n",
        b"{}",
        b"[1]",
        b'{"delivered": false}',
        b'{"delivered": false, "retry": "?", "reason": ""}',
    ):
        with pytest.raises(ValueError, match="gave no answer"):
            Answer.parse(line)


def test_a_check_and_its_report_survive_the_wire() -> None:
    """With every field that they have; what is no report is none."""
    asked = Check("phone", 2.5)
    assert parse_request(asked.encode()) == asked
    for report in (
        Report(Reached.SECURED, "ntfy.sh:443", took_ms=12.5),
        Report(Reached.NOTHING, "", "dns: ñ", Failure.DOWN, Cause.DNS),
        Report(Reached.ANSWERED, "http://n8n/", status=204, methods="POST"),
    ):
        assert Report.parse(report.encode()) == report
        assert report.encode().count(b"\n") == 1
    for line in (b"", b"{}", b"[]", b"7", Answer().encode(), Answer(Failure.ERROR, "x").encode()):
        with pytest.raises(ValueError, match="gave no report"):
            Report.parse(line)


def test_what_stands_in_does_not_know_that_there_is_no_webhook(tmp_path: Path) -> None:
    """Where credentials may be that it was not given, the try is made again; else there is nowhere to send to."""
    config = tmp_path / "config.toml"
    config.write_text("")
    for words, failure in (((), Failure.UNSET), (("--stand-in",), Failure.DOWN), (("--peer=1-1-0",), Failure.DOWN)):
        answer = ask(config, about("webhook"), *words)
        assert (answer.failure, "alerts.webhook_url: is not set" in answer.reason) == (failure, True)
        assert checked(config, "webhook", 5, *words).failure is failure
    (tmp_path / "heartbeat.stored").write_text("end\n")
    for line, failure in (("end\n", Failure.UNSET), ("", Failure.DOWN), ("heartbeat.webhook_url -\n", Failure.DOWN)):
        (tmp_path / "heartbeat.stored").write_text(line)
        answer = ask(config, about("webhook"), "--peer=1-1-0", CREDENTIALS_DIRECTORY=str(tmp_path))
        assert answer.failure is failure, line


def test_a_credential_that_cannot_be_decrypted_is_about_its_channel_alone(tmp_path: Path, receiver: Receiver) -> None:
    """It is named, with what helps, for whom it is; the others are told."""
    config = tmp_path / "config.toml"
    config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n[[channel]]\nname = "phone"\n')
    (tmp_path / "heartbeat.stored").write_text("heartbeat.channel_phone -\nend\n")
    folder = str(tmp_path)
    assert ask(config, about("webhook"), "--peer=1-1-0", CREDENTIALS_DIRECTORY=folder) == Answer(status=200)
    answer = ask(config, about("phone"), "--peer=1-1-0", CREDENTIALS_DIRECTORY=folder)
    assert answer.failure is Failure.DOWN
    assert "heartbeat.channel_phone: cannot be decrypted" in answer.reason
    assert "`heartbeatctl set-secret channel.phone` stores it anew" in answer.reason


def test_the_deadline_has_bounds() -> None:
    """A try lasts neither for ever nor no time at all."""
    for given, used in ((1e9, 60.0), (-1.0, 0.1)):
        asked = json.loads(about("webhook").encode())
        assert parse_request(json.dumps({**asked, "timeout_seconds": given}).encode()).timeout_s == used


def test_nobody_else_is_answered(tmp_path: Path, receiver: Receiver) -> None:
    """By the user that systemd has found at the other end: root and the one that is named, nobody else, and no nonsense."""
    config = tmp_path / "config.toml"
    config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    asked: tuple[Try | Check, ...] = (about("webhook"), Check("webhook", 20.0))
    cases = (
        *(("3-4711-0", "daemon", True), ("3-4711-1", "daemon", True), ("3-4711-2", "daemon", False)),
        *(("3-4711-2", "no-such-user", False), ("3-unknown", "daemon", False), ("3-4711-x", "daemon", False)),
    )
    for request, (peer, user, answered) in product(asked, cases):
        ours, its = socket.socketpair()
        with ours, its:
            ours.sendall(request.encode())
            ours.settimeout(HANG_S)
            done = subprocess.run(
                [*python("heartbeatd.notify", "--config", config), "--peer", peer, "--user", user],
                stdin=its.fileno(),
                capture_output=True,
                env=environment(),
                timeout=HANG_S,
                check=False,
            )
            its.close()
            try:
                line = ours.recv(65536)
            except ConnectionResetError:  # what was asked was not even read
                line = b""
            assert (line != b"") == answered, (request, peer, user, done.stderr)
    assert len(receiver.received(WEBHOOK)) == 2


def test_it_is_nothing_to_start_by_hand(tmp_path: Path) -> None:
    """Said, with what to do instead."""
    done = subprocess.run(
        python("heartbeatd.notify"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert (done.returncode, "heartbeatd-notify.socket" in done.stderr) == (2, True)


def test_whoever_asked_has_gone(tmp_path: Path, receiver: Receiver) -> None:
    """The notification is delivered, and nobody hears of it: it ends as it does."""
    config = tmp_path / "config.toml"
    config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    ours, its = socket.socketpair()
    with its:
        with ours:
            ours.sendall(about("webhook").encode())
        command = python("heartbeatd.notify", "--config", config)
        done = subprocess.run(
            command, stdin=its.fileno(), capture_output=True, env=environment(), timeout=HANG_S, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(receiver.received(WEBHOOK)) == 1


@pytest.mark.namespaces
@pytest.mark.parametrize("timeout_s", [0.5, 3.0])
def test_a_name_server_that_never_answers(tmp_path: Path, timeout_s: float) -> None:
    """The deadline covers it, though getaddrinfo(3) cannot be interrupted: nothing was sent, so nothing counts as late."""
    answer = in_silence(tmp_path, about("webhook", timeout_s), 'webhook_url = "http://n8n.example/"')
    assert answer == Answer(Failure.DOWN, f"timeout: gave up while looking up the name, after {timeout_s:g} s")


@pytest.mark.namespaces
def test_a_name_that_a_filter_blocks(tmp_path: Path) -> None:
    """It is said, and nobody on this host is taken for the webhook."""
    answer = in_silence(tmp_path, about("webhook"), 'webhook_url = "http://blocked.example/"')
    assert answer == Answer(Failure.DOWN, "blocked.example is blocked by a DNS filter, which answers 0.0.0.0")


def in_silence(folder: Path, asked: Try, alerts: str) -> Answer:
    """What the notifier says where no name server answers."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n0.0.0.0 blocked.example\n")
    config = folder / "config.toml"
    config.write_text(f"[alerts]\n{alerts}\n")
    return ask(config, asked, prefix=("unshare", "--net", "--mount", "sh", "-ec", SILENT_DNS, str(folder)))


HANGS = """
import sys, signal
sys.argv = ["notify", "--config", sys.argv[1]]
from heartbeatd.notify import __main__ as notify
from heartbeatd.notify.channels.webhook import Webhook
def deliver(self, notification):
    {how}
Webhook.deliver = deliver
notify.MARGIN_S = 0.5
notify.main()
"""


@pytest.mark.parametrize(
    ("how", "signal_number"),
    [
        ("import time; time.sleep(3600)", 0),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT]); import time; time.sleep(3600)", 0),
        # A C library that keeps the interpreter's lock: no other thread runs any more.
        ("import ctypes; ctypes.PyDLL(None).sleep(3600)", 14),
    ],
)
def test_a_library_that_never_returns(tmp_path: Path, how: str, signal_number: int) -> None:
    """The second thread answers for it; where that cannot run, SIGALRM ends the process, and nothing is answered."""
    config = tmp_path / "config.toml"
    config.write_text('[alerts]\nwebhook_url = "http://127.0.0.1:9/"\n')
    ours, its = socket.socketpair()
    with ours, its:
        ours.sendall(about("webhook", 0.3).encode())
        ours.settimeout(HANG_S)
        command = [sys.executable, "-c", HANGS.format(how=how), str(config)]
        done = subprocess.run(
            command, stdin=its.fileno(), capture_output=True, env=environment(), timeout=HANG_S, check=False
        )
        its.close()
        line = ours.recv(65536)
    assert done.returncode == -signal_number, done.stderr
    if signal_number:
        assert line == b""
    else:
        assert Answer.parse(line).failure is Failure.LATE


def test_a_library_that_fails_in_its_own_way(tmp_path: Path) -> None:
    """What nobody has foreseen is a try that failed; where is said in the journal, what it said is not."""
    config = tmp_path / "config.toml"
    config.write_text('[alerts]\nwebhook_url = "http://127.0.0.1:9/"\n')
    ours, its = socket.socketpair()
    with ours, its:
        ours.sendall(about("webhook").encode())
        ours.settimeout(HANG_S)
        command = [sys.executable, "-c", HANGS.format(how='raise KeyError("hidden")'), str(config)]
        done = subprocess.run(
            command, stdin=its.fileno(), capture_output=True, env=environment(), timeout=HANG_S, check=False
        )
        its.close()
        assert Answer.parse(ours.recv(65536)) == Answer(Failure.ERROR, "KeyError")
    assert b"KeyError at __main__.py:" in done.stderr
    assert b"hidden" not in done.stderr
