"""Answers that never end: each is given up after a bounded time, and a bounded number of bytes, whatever the deadline is."""

import ssl
import time
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.message import INTERIM_ANSWERS
from heartbeatd.net.target import Target
from tests.net.conftest import MakeClient
from tests.support.agent import run_python
from tests.support.certificates import Authority
from tests.support.scripted import Script, Scripted, endless, says

LONG_S = 60.0  # a deadline that nothing here may come near
SOON_S = LONG_S / 2  # nor this, on the busiest of machines
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE, PROCESSING = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


def post(url: str) -> Request:
    """What a heartbeat is."""
    return Request("POST", Target.of(url), {}, b"{}", repeatable=True)


@pytest.mark.parametrize(
    "script",
    [
        endless(b"", CONTINUE * 100),
        endless(b"", HINTS * 100),
        endless(b"", CONTINUE + PROCESSING + HINTS),
        endless(b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n" * 100),
        endless(b"HTTP/1.1 100 Continue\r\n", b"X: " + b"y" * 60_000 + b"\r\n"),
        endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 60_000 + b"\r\n"),
        endless(b"HTTP/1.1 200 ", b"OK" * 1000),
        endless(b"", b"\r\n" * 1000),
    ],
    ids=["100", "103", "mixed", "100's headers", "100's large headers", "headers", "status line", "empty lines"],
)
def test_no_end(client: Client, cancel: CancelToken, script: Script) -> None:
    """Not HTTP as we take it, long before the deadline, in two tries."""
    with Scripted(script) as server:
        began_s = time.monotonic()
        with pytest.raises(RequestError) as caught:
            client.send(post(server.url), LONG_S, cancel)
        assert time.monotonic() - began_s < SOON_S
        assert caught.value.cause is Cause.PROTOCOL
        assert len(server.connections) == 2


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (CHUNKED + b"0\r\n", b"a: b\r\n" * 100),
        (CHUNKED + b"0\r\n", b"a: " + b"b" * 60_000 + b"\r\n"),
        (CHUNKED, b"1;" + b"x" * 60_000 + b"\r\na\r\n"),
        (CHUNKED, b"1\r\na\r\n" * 100),
        (CHUNKED, b"0" * 1000),
        (OK, OK * 100),
        (OK, CONTINUE * 100),
    ],
    ids=["trailers", "large trailers", "chunk extensions", "chunks", "chunk size", "a second answer", "100 after it"],
)
def test_no_end_of_what_comes_after_the_head(client: Client, cancel: CancelToken, head: bytes, block: bytes) -> None:
    """The answer counts; the next request costs no time for what is left of the one before, and has a new connection."""
    with Scripted(endless(head, block)) as server:
        began_s = time.monotonic()
        for _ in range(3):
            assert client.send(post(server.url), LONG_S, cancel).status == 200
        client.close()
        assert time.monotonic() - began_s < SOON_S
        assert len(server.connections) == 3


@pytest.mark.parametrize("script", [endless(b"", CONTINUE, 0.02), endless(CHUNKED, b"", 0.02)], ids=["100", "silence"])
def test_the_deadline_comes_first(client: Client, cancel: CancelToken, script: Script) -> None:
    """Where little comes, the time is up before the bytes are."""
    with Scripted(script) as server:
        began_s = time.monotonic()
        try:
            client.send(post(server.url), 0.2, cancel)
        except RequestError as error:
            assert error.cause is Cause.TIMEOUT
        assert time.monotonic() - began_s < SOON_S


def test_interim_answers_are_passed_over(client: Client, cancel: CancelToken) -> None:
    """100, 102 and 103 are none; so many of them are borne, and no more."""
    for interim in (CONTINUE, PROCESSING, HINTS, CONTINUE + PROCESSING + HINTS, HINTS * INTERIM_ANSWERS):
        with Scripted(says(interim + OK)) as server:
            assert client.send(post(server.url), LONG_S, cancel).status == 200
    with Scripted(says(HINTS * (INTERIM_ANSWERS + 1) + OK)) as server:
        with pytest.raises(RequestError, match="more than 16 interim answers") as caught:
            client.send(post(server.url), LONG_S, cancel)
        assert caught.value.cause is Cause.PROTOCOL


def test_another_protocol(client: Client, cancel: CancelToken) -> None:
    """101 is no answer to anything we ask."""
    with Scripted(says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")) as server:
        with pytest.raises(RequestError, match="HTTP 101") as caught:
            client.send(post(server.url), LONG_S, cancel)
        assert caught.value.cause is Cause.PROTOCOL


def test_session_tickets_are_counted(make_client: MakeClient, cancel: CancelToken, authority: Authority) -> None:
    """What TLS itself sends is a part of the bound: here 4 MB of tickets come before the answer."""
    tls = authority.server("tickets")
    tls.minimum_version, tls.num_tickets = ssl.TLSVersion.TLSv1_3, 16_000
    with Scripted(says(OK), tls=tls) as server:
        began_s = time.monotonic()
        with pytest.raises(RequestError, match="larger than"):
            make_client(str(authority.file)).send(post(server.url), LONG_S, cancel)
        assert time.monotonic() - began_s < LONG_S


PEAK = """
import sys
from pathlib import Path
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.resolve import Resolver
from heartbeatd.net.target import Target
from heartbeatd.cancel import CancelToken

def peak_kb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

clients = [Client(Resolver(), "test") for _ in sys.argv[2:]]
def ask(url):
    for client, url in zip(clients, url):
        try:
            client.send(Request("POST", Target.of(url), {}, b"{}"), 30, CancelToken())
        except RequestError as error:
            pass
ask([sys.argv[1]] * len(clients))  # everything is loaded, and a usual answer has been read
before = peak_kb()
for _ in range(3):
    ask(sys.argv[2:])
print(peak_kb() - before)
"""


@pytest.mark.parametrize(
    "line",
    [b"X: " + b"y" * 60_000 + b"\r\n", b"X-Header: value\r\n" * 90 + b"X: " + b"y" * 60_000 + b"\r\n"],
    ids=["long", "short"],
)
def test_memory(tmp_path: Path, line: bytes) -> None:
    """6 MiB of headers from each of three servers, three times: hardly more than usual answers take."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + line * ((6 << 20) // len(line)) + b"\r\n"
    with (
        Scripted(says(OK)) as usual,
        Scripted(says(large)) as one,
        Scripted(says(large)) as two,
        Scripted(says(large)) as three,
    ):
        done = run_python("-c", PEAK, usual.url, one.url, two.url, three.url)
    assert int(done.stdout) < 2048, f"{done.stdout} KiB more"
