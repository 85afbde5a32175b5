"""What the service manager hears, over the socket it would listen on; and that no secret leaves with a log record."""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.redact import Redactor
from heartbeatd.journal import RedactingFilter, setup_logging
from heartbeatd.sdnotify import NotifySocket, watchdog_us


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The other end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_the_words_of_sd_notify(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is one datagram with the assignments that sd_notify(3) documents."""
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    with closing(NotifySocket()) as notifier:
        notifier.ready("up")
        notifier.reloading(1_234_567_891)
        notifier.watchdog("saw this")
        notifier.status("words")
        notifier.set_watchdog(60, 5)
        notifier.extend_timeout("hard")
        notifier.stopping()
    assert [manager.recv(4096).decode().splitlines() for _ in range(7)] == [
        ["READY=1", "STATUS=up"],
        ["RELOADING=1", "MONOTONIC_USEC=1234567"],
        ["WATCHDOG=1", "STATUS=saw this"],
        ["STATUS=words"],
        ["WATCHDOG_USEC=180000000"],
        ["EXTEND_TIMEOUT_USEC=120000000", "WATCHDOG=1", "STATUS=hard"],
        ["STOPPING=1", "STATUS=stopping"],
    ]


@pytest.mark.parametrize(
    "text", ["first\nWATCHDOG=1\nMAINPID=1", "\x1b[31mred\u2028\x9b", "lone \ud800", "long " * 2000]
)
def test_a_status_is_one_assignment_whatever_is_in_it(manager: socket.socket, text: str) -> None:
    """A text from outside cannot say anything else to the service manager, colour its screen, or be lost for its length."""
    with closing(NotifySocket()) as notifier:
        for call in (notifier.ready, notifier.status, notifier.watchdog, notifier.extend_timeout):
            call(text)
    for assignments in (1, 0, 1, 2):
        *before, status = manager.recv(65536).decode().splitlines()
        assert len(before) == assignments
        assert status.startswith("STATUS=")
        assert status.isprintable()
        assert len(status.encode()) < 4000


def test_no_status_shows_a_secret(manager: socket.socket) -> None:
    """Every local user may read it."""
    with closing(NotifySocket(Redactor(["hush-hush"]))) as notifier:
        notifier.ready("a hush-hush")
        notifier.status("b hush-hush")
        notifier.watchdog("c hush-hush")
        notifier.extend_timeout("d hush-hush")
    assert [manager.recv(4096).decode().rpartition("=")[2] for _ in range(4)] == ["a ***", "b ***", "c ***", "d ***"]


def test_a_watchdog_that_is_long_enough_is_left_alone(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped minute is enough for the shipped configuration; and without a watchdog there is nothing to set."""
    manager.setblocking(False)
    for given_us in ("60000000", "0", ""):
        monkeypatch.setenv("WATCHDOG_USEC", given_us)
        with closing(NotifySocket()) as notifier:
            notifier.set_watchdog(10, 5)
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def test_the_watchdog_follows_the_longest_cycle(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up and down, each change told once, and never below what the unit says."""
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    with closing(NotifySocket()) as notifier:
        for interval_s, longest_s in ((10, 62), (10, 62), (3600, 5), (10, 120), (10, 5), (10, 5)):
            notifier.set_watchdog(interval_s, longest_s)
    told = [manager.recv(4096).decode() for _ in range(4)]
    assert told == [f"WATCHDOG_USEC={s}000000" for s in (82, 10_800, 140, 60)]
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


@given(st.integers(0, 10**9), st.sampled_from([1, 10, 60, 3600]), st.floats(0.2, 120))
def test_the_watchdog_waits_for_any_cycle(unit_us: int, interval_s: int, longest_s: float) -> None:
    """A cycle that begins an interval after the last sign of life, and takes all the time it has, is waited for."""
    found = watchdog_us(unit_us, interval_s, longest_s)
    assert found > (interval_s + longest_s + 9) * 1_000_000
    assert found >= max(unit_us, 3 * interval_s * 1_000_000)


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens, nobody minds."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    NotifySocket().ready("up")
    NotifySocket().watchdog("still")


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="*"), min_size=4)


@given(st.lists(secrets, min_size=1, max_size=3), st.text())
def test_no_record_leaves_with_a_secret(hidden: list[str], text: str) -> None:
    """Whether it is in the message, in an argument, in a field of the journal or in a traceback."""
    try:
        raise ValueError(f"in the error {hidden}")
    except ValueError:
        error = sys.exc_info()
    message = f"in the message {hidden}".replace("%", "%%") + " and %s"
    record = logging.LogRecord("name", logging.ERROR, __file__, 1, message, (f"{text}{hidden[0]}",), error)
    record.fields = {"MESSAGE_ID": "0123", "HEARTBEAT_ERROR": f"{text}{hidden[-1]}"}
    assert RedactingFilter(Redactor(hidden)).filter(record)
    assert "Traceback" in str(record.exc_text) or any(secret in "Traceback" for secret in hidden)
    for secret in hidden:
        assert secret not in record.getMessage()
        assert secret not in str(record.exc_text)
        assert secret not in vars(record)["fields"]["HEARTBEAT_ERROR"]


@given(st.text(st.characters()))
def test_a_record_is_one_printable_line(text: str) -> None:
    """No server's answer can forge a second line or colour the terminal; a traceback keeps its lines, each of them plain."""
    try:
        raise ValueError(text)
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("name", logging.ERROR, __file__, 1, "it said %s", (text,), error)
    assert RedactingFilter(str).filter(record)
    assert record.getMessage().isprintable()
    assert all(line.isprintable() for line in str(record.exc_text).split("\n"))


def test_on_a_terminal_the_log_is_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, level, text; no fields, and the secret hidden."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    logger = logging.getLogger("heartbeatd")
    before = logger.handlers[:], logger.propagate, logger.level
    try:
        setup_logging(Redactor(["hush-hush"]))
        logging.getLogger("heartbeatd.somewhere").warning("the key is %s", "hush-hush")
    finally:
        logger.handlers[:], logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
    assert capsys.readouterr().err.rstrip().endswith("WARNING the key is ***")
