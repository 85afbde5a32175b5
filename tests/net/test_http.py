"""One request with a deadline, against servers that really listen and misbehave in every way we know."""

import gc
import ssl
import threading
import time
import warnings
from pathlib import Path

import pytest

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.deadline_socket import DeadlineSocket
from heartbeatd.net.http import DRAIN_BYTES, Client, Request
from heartbeatd.net.target import Target
from tests.net.conftest import MakeClient
from tests.support.agent import run_python
from tests.support.certificates import Authority
from tests.support.scripted import Connection, Scripted, answers, endless, hangs_up, resets, says, silent

SHORT_S = 0.4
LONG_S = 10.0
SLACK_S = 2.0  # on a busy machine; what is proved is that nothing hangs


def why(client: Client, url: str, cancel: CancelToken, timeout_s: float = LONG_S) -> RequestError:
    """The reason for having no answer from `url`."""
    began_s = time.monotonic()
    with pytest.raises(RequestError) as caught:
        client.send(Request("POST", Target.of(url), {"Authorization": "Bearer hidden-key"}, b"{}"), timeout_s, cancel)
    assert time.monotonic() - began_s < timeout_s + SLACK_S
    assert "hidden-key" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("status", [200, 204, 220, 221, 301, 401, 404, 429, 500, 503, 999])
def test_any_status_is_an_answer(client: Client, cancel: CancelToken, status: int) -> None:
    """What the server says is what comes back, with the time it took."""
    with Scripted(answers(status)) as server:
        answer = client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel)
    assert answer.status == status
    assert 0 < answer.took_ms < LONG_S * 1000


def test_what_is_sent(client: Client, cancel: CancelToken, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Method, headers and body arrive as given; neither proxy variables nor netrc add or divert anything."""
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: PTH123
        file.write("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", netrc)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Scripted(answers()) as server:
        target = Target.of(server.url + "beat?x=1")
        client.send(Request("POST", target, {"Authorization": "Bearer k"}, b'{"a":1}'), LONG_S, cancel)
        (request,) = server.requests
    head, _, body = request.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /beat?x=1 HTTP/1.1"
    assert body == '{"a":1}'
    assert set(lines[1:]) == {
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: heartbeatd/test",
        "Accept-Encoding: identity",
        "Accept: */*",
        "Connection: keep-alive",
        "Authorization: Bearer k",
        "Content-Length: 7",
    }


def test_headers_that_explain(client: Client, cancel: CancelToken) -> None:
    """Those of a few names, whatever bytes are in them, cut to size; the last of a name counts."""
    headers = (
        "SERVER: cloud\xfflare\r\nRetry-After: 1\r\nretry-after: 2\r\nCF-Mitigated: " + "x" * 999 + "\r\nX-Other: y\r\n"
    )
    with Scripted(says(f"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n{headers}\r\n".encode("latin-1"))) as server:
        answer = client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel)
    assert answer.headers == {"server": "cloud\xfflare", "retry-after": "2", "cf-mitigated": "x" * 100}


def test_a_connection_is_kept(client: Client, cancel: CancelToken) -> None:
    """Many requests go over one connection."""
    with Scripted(answers(body=b"{}")) as server:
        for _ in range(20):
            assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 200
        assert len(server.connections) == 1


def test_a_connection_that_was_closed_meanwhile_costs_nothing(client: Client, cancel: CancelToken) -> None:
    """A kept connection that the server closed after an answer is replaced within the same request."""
    with Scripted(answers(times=1)) as server:
        for _ in range(5):
            assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 200
        assert len(server.connections) == 5


def test_a_redirect_is_an_answer_and_not_followed(client: Client, cancel: CancelToken) -> None:
    """The key never goes to another place."""
    with Scripted(answers()) as elsewhere, Scripted(answers(302, f"Location: {elsewhere.url}\r\n")) as server:
        assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 302
        assert not elsewhere.connections


def test_no_cookie_is_kept(client: Client, cancel: CancelToken) -> None:
    """What the server would like us to keep is forgotten."""
    with Scripted(answers(200, "Set-Cookie: a=b; Path=/\r\n")) as server:
        for _ in range(2):
            client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel)
        assert b"ookie" not in server.requests[0]


def test_one_retry_after_a_reset(client: Client, cancel: CancelToken) -> None:
    """The first try was reset, the second is answered."""
    with Scripted(resets, answers(220)) as server:
        assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 220
        assert len(server.connections) == 2


@pytest.mark.parametrize("script", [resets, hangs_up], ids=["reset", "closed"])
def test_no_second_retry(client: Client, cancel: CancelToken, script: object) -> None:
    """Two tries, not more: the next cycle comes soon."""
    with Scripted(script) as server:  # type: ignore[arg-type]
        assert why(client, server.url, cancel).cause is Cause.RESET
        assert len(server.connections) == 2


def test_nobody_listens(client: Client, cancel: CancelToken) -> None:
    """A closed port is a refusal."""
    with Scripted(silent) as server:
        url = server.url
    assert why(client, url, cancel).cause is Cause.REFUSED


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 4096, b"HTTP/1.1 two hundred\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n"],
    ids=["ssh", "zeroes", "words", "99"],
)
def test_rubbish(client: Client, cancel: CancelToken, said: bytes) -> None:
    """What is not HTTP is said to be not HTTP."""
    with Scripted(says(said)) as server:
        assert why(client, server.url, cancel).cause is Cause.PROTOCOL


@pytest.mark.parametrize(
    "script",
    [
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    ],
    ids=["headers", "one header"],
)
def test_headers_without_end(client: Client, cancel: CancelToken, script: object) -> None:
    """They are given up after a bounded number of bytes, not when memory is full."""
    with Scripted(script) as server:  # type: ignore[arg-type]
        assert why(client, server.url, cancel).cause is Cause.PROTOCOL


@pytest.mark.parametrize(
    "script",
    [silent, endless(b"H", b"T", 0.05), endless(b"HTTP/1.1 200 OK\r\n", b"X", 0.05)],
    ids=["silence", "a byte now and then", "dribbling headers"],
)
def test_the_deadline_is_for_the_whole_request(client: Client, cancel: CancelToken, script: object) -> None:
    """A server that always says a little never gets a second more than one that says nothing; and there is no retry."""
    with Scripted(script) as server:  # type: ignore[arg-type]
        assert why(client, server.url, cancel, SHORT_S).cause is Cause.TIMEOUT
        assert len(server.connections) == 1


def test_a_request_after_a_hung_one(client: Client, cancel: CancelToken) -> None:
    """What hung is cut off, and the next request has a new connection and an answer."""
    with Scripted(silent, answers()) as server:
        why(client, server.url, cancel, SHORT_S)
        assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 200


def test_an_answer_counts_when_its_headers_are_in(client: Client, cancel: CancelToken) -> None:
    """A body that dribbles does not delay the answer, nor the next request, nor is more of it read than a little."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    with Scripted(endless(head, b"x", 0.05)) as server:
        for _ in range(2):
            assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 200
        assert len(server.connections) == 2


def test_a_huge_body_is_not_read(client: Client, cancel: CancelToken) -> None:
    """Of 100 MB the client takes no more than `DRAIN_BYTES`; the rest is what the kernel buffers."""
    body = b"x" * 100_000_000
    with Scripted(answers(200, body=body)) as server:
        assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 200
        client.close()
        deadline_s = time.monotonic() + SLACK_S
        while server.connections[0].sock.fileno() >= 0 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert server.connections[0].sock.fileno() < 0  # the script ended: its send failed
        assert server.connections[0].sent_bytes == 0  # never got all of it out
    assert len(body) > DRAIN_BYTES


def test_stopping_breaks_off(client: Client, cancel: CancelToken) -> None:
    """To cancel ends the wait at once, and says nothing about the server."""
    with Scripted(silent) as server:
        threading.Timer(0.2, cancel.cancel).start()
        began_s = time.monotonic()
        with pytest.raises(Cancelled):
            client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel)
        assert time.monotonic() - began_s < SLACK_S


def test_tls_with_an_authority_of_our_own(make_client: MakeClient, cancel: CancelToken, authority: Authority) -> None:
    """With `ca_file` the certificate is trusted, over one kept connection."""
    client = make_client(str(authority.file))
    with Scripted(answers(), tls=authority.server("good")) as server:
        for _ in range(3):
            assert client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel).status == 200
        assert len(server.connections) == 1


def test_a_name_in_the_certificate(make_client: MakeClient, cancel: CancelToken, authority: Authority) -> None:
    """A host name, resolved and verified."""
    client = make_client(str(authority.file))
    with Scripted(answers(), tls=authority.server("named", san="DNS:localhost")) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert client.send(Request("POST", Target.of(url), {}, b"{}"), LONG_S, cancel).status == 200
        assert why(client, server.url, cancel).cause is Cause.TLS  # and not valid for the address


def test_certificates_that_are_refused(
    make_client: MakeClient, client: Client, cancel: CancelToken, authority: Authority
) -> None:
    """An unknown authority, an expired certificate, another host's: TLS, in one try, and nothing is sent."""
    trusting = make_client(str(authority.file))
    cases = (
        (client, authority.server("unknown"), "self-signed|local issuer"),
        (trusting, authority.server("expired", expired=True), "expired"),
        (trusting, authority.server("elsewhere", san="DNS:elsewhere.example"), "mismatch|127.0.0.1"),
    )
    for who, tls, text in cases:
        with Scripted(answers(), tls=tls) as server:
            error = why(who, server.url, cancel)
            assert error.cause is Cause.TLS
            assert any(word in error.detail for word in text.split("|")), error.detail
            assert server.requests == [b""]


def test_no_tls_where_tls_should_be(client: Client, cancel: CancelToken) -> None:
    """A plain server behind https://: TLS fails. A silent one: time is up. One that hangs up: broken off."""

    def plain(connection: Connection) -> None:
        connection.sock.recv(65536)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def hang_up_at_once(connection: Connection) -> None:
        connection.sock.recv(65536)

    for script, cause in ((plain, Cause.TLS), (silent, Cause.TIMEOUT), (hang_up_at_once, Cause.RESET)):
        with Scripted(script) as server:
            url = server.url.replace("http:", "https:")
            assert why(client, url, cancel, SHORT_S * 2).cause is cause


def test_a_server_without_tls_where_none_should_be(client: Client, cancel: CancelToken, authority: Authority) -> None:
    """http:// to a TLS server: not HTTP, or hung up on."""
    with Scripted(answers(), tls=authority.server("tls")) as server:
        url = server.url.replace("https:", "http:")
        assert why(client, url, cancel).cause in (Cause.PROTOCOL, Cause.RESET)


def test_tls_1_2_at_the_least(tmp_path: Path, authority: Authority) -> None:
    """Also where openssl.cnf allows for older versions."""
    (tmp_path / "openssl.cnf").write_text(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
        "MinProtocol = TLSv1\nCipherString = DEFAULT:@SECLEVEL=0\n"
    )
    old = authority.server("old")
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which is the point
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with Scripted(answers(), tls=old) as server:
        openssl = str(tmp_path / "openssl.cnf")
        done = run_python("-c", _ONE_REQUEST, server.url, authority.file, OPENSSL_CONF=openssl)
        assert server.requests == [b""]
    assert done.stdout.startswith("tls: "), done.stdout + done.stderr


_ONE_REQUEST = """
import sys
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.resolve import Resolver
from heartbeatd.net.target import Target
from heartbeatd.cancel import Cancelled, CancelToken
try:
    print(Client(Resolver(), "test", sys.argv[2]).send(Request("GET", Target.of(sys.argv[1])), 10, CancelToken()))
except RequestError as error:
    print(error)
"""


def test_a_closed_connection_leaves_nothing_to_collect(make_client: MakeClient, authority: Authority) -> None:
    """What a connection held is freed with it: a Worker that closes each would have memory grow until it is looked for."""
    client, cancel = make_client(str(authority.file)), CancelToken()
    with Scripted(answers(times=1), tls=authority.server("closing")) as server:
        client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel)
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                client.send(Request("POST", Target.of(server.url), {}, b"{}"), LONG_S, cancel)
            assert sum(isinstance(one, DeadlineSocket | ssl.SSLObject) for one in gc.get_objects()) == 2
        finally:
            gc.enable()
