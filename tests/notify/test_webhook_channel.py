"""The notifier and a webhook: real servers that do what n8n, and what others on its port, do or might do."""

import base64
import ssl
from pathlib import Path

import pytest

from heartbeatd.core.delivery import Failure
from heartbeatd.notify.n8n import RESPOND
from heartbeatd.notify.protocol import Answer, Reached, Report
from tests.support import certificates
from tests.support.certificates import Authority
from tests.support.notifier import PROBLEM, about, ask, checked
from tests.support.receiver import WEBHOOK, Receiver
from tests.support.scripted import Script, Scripted, answers, endless, hangs_up, resets, says, silent, then

pytestmark = pytest.mark.slow  # a process a try, and each loads requests
SECRETS = (
    '[alerts]\nwebhook_url = "{}"\nwebhook_headers = {{ Authorization = "Bearer hidden-token", X-Flow = "beat" }}\n'
)


def config(folder: Path, toml: str) -> Path:
    """A configuration with this in it."""
    path = folder / "config.toml"
    path.write_text(toml)
    return path


def post(folder: Path, url: str, timeout_s: float = 20.0, more: str = "") -> Answer:
    """What the notifier says of one try."""
    answer = ask(config(folder, f'[alerts]\nwebhook_url = "{url}"\n{more}'), about("webhook", timeout_s))
    assert "hidden" not in answer.reason
    return answer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Of our own."""
    return certificates.make(tmp_path_factory.mktemp("ca"))


def test_what_n8n_gets_is_what_it_always_got(tmp_path: Path, receiver: Receiver) -> None:
    """Title, message and details, as JSON, and nothing else."""
    path = config(tmp_path, f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    assert ask(path, about("webhook")) == Answer(status=200)
    (got,) = receiver.received(WEBHOOK)
    assert got.content_type == "application/json"
    assert got.authorization is None
    assert got.body == {
        "title": "nas: the Worker is unreachable",
        "message": "It does not answer.",
        "details": PROBLEM.details,
    }


def test_headers_are_sent_and_none_is_added(tmp_path: Path) -> None:
    """Those of the configuration win over the URL's user; what requests would add of its own is not there."""
    with Scripted(answers()) as server:
        url = server.url.replace("http://", "http://user:hidden-word@") + "x?token=hidden-query"
        assert ask(config(tmp_path, SECRETS.format(url)), about("webhook")).failure is None
        assert post(tmp_path, url).failure is None
    first, second = (request.partition(b"\r\n\r\n")[0].decode().split("\r\n") for request in server.requests)
    assert first[0] == "POST /x?token=hidden-query HTTP/1.1"
    names = " ".join(sorted(line.partition(":")[0] for line in first[1:]))
    assert names == "Accept Accept-Encoding Authorization Connection Content-Length Content-Type Host User-Agent X-Flow"
    assert "Authorization: Bearer hidden-token" in first
    assert "Connection: close" in first
    assert f"Authorization: Basic {base64.b64encode(b'user:hidden-word').decode()}" in second


STATUSES = [
    *((status, Failure.DOWN) for status in (302, 401, 403, 404, 408, 425, 429, 502, 503, 504)),
    *((status, Failure.ERROR) for status in (409, 500)),
    *((status, Failure.REFUSED) for status in (400, 405, 410, 413, 422)),
]


@pytest.mark.parametrize(("status", "failure"), STATUSES)
def test_what_a_status_says(tmp_path: Path, status: int, failure: Failure) -> None:
    """Whether the channel, or this alert alone, is the matter; a redirect is not followed."""
    elsewhere = "Location: http://127.0.0.1:9/\r\n" if status == 302 else ""
    with Scripted(answers(status, elsewhere, b"Forbidden by hidden-text")) as server:
        answer = post(tmp_path, server.url)
    assert (answer.failure, answer.reason.startswith(f"HTTP {status}")) == (failure, True)
    assert len(server.connections) == 1


HEAD = b"HTTP/1.1 200 OK\r\n"
SCRIPTS: list[tuple[Script, Failure | None]] = [
    (silent, Failure.LATE),
    (endless(HEAD, b"X: y", 0.05), Failure.LATE),  # a header that never ends, drop by drop
    (endless(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), Failure.LATE),
    (endless(HEAD, b"X: y\r\n"), Failure.ERROR),  # more headers than anybody has
    (endless(HEAD, b"X" * 70_000), Failure.ERROR),
    (says(b"SSH-2.0-OpenSSH_9.2\r\n"), Failure.ERROR),
    (hangs_up, Failure.ERROR),
    (resets, Failure.ERROR),
    (endless(HEAD + b"\r\n", b"flood" * 1000), None),  # the body is nobody's business
    (endless(HEAD + b"Content-Length: 99\r\n\r\n", b"d", 1.0), None),
    (then(says(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nno gzip!!")), None),
]


@pytest.mark.parametrize(("script", "failure"), SCRIPTS)
def test_an_answer_is_not_trusted(tmp_path: Path, script: Script, failure: Failure | None) -> None:
    """Whatever comes, the try ends and says how; what was sent may have been taken."""
    with Scripted(script) as server:
        answer = post(tmp_path, server.url, 2.0 if failure is Failure.LATE else 20.0)
    assert answer.failure is failure
    if failure is Failure.LATE:
        assert answer.reason == f"it was sent and not answered within 2 s; {RESPOND}"


def test_nobody_there(tmp_path: Path) -> None:
    """Refused, and a name that is none: nothing was sent."""
    refused = post(tmp_path, "http://127.0.0.1:9/hidden")
    assert refused == Answer(Failure.DOWN, "Connection refused")
    unknown = post(tmp_path, "http://n8n.invalid/hidden")
    assert (unknown.failure, unknown.reason.startswith("dns: ")) == (Failure.DOWN, True)
    assert post(tmp_path, "http://[::1%25lo]:9/").failure is Failure.DOWN


def test_tls_with_an_authority_of_ones_own(tmp_path: Path, authority: Authority) -> None:
    """With `alerts.ca_file` it is believed, and without it refused, as are other names and dates; nothing is sent then."""
    own = f'ca_file = "{authority.file}"\n'
    with Scripted(answers(), tls=authority.server("good")) as server:
        assert post(tmp_path, server.url, more=own).failure is None
        assert "certificate refused" in post(tmp_path, server.url).reason
        plain = post(tmp_path, server.url.replace("https:", "http:"))
        assert plain.failure is Failure.ERROR
    bad: list[ssl.SSLContext] = [authority.server("other", san="DNS:other"), authority.server("old", expired=True)]
    for context in bad:
        with Scripted(answers(), tls=context) as server:
            answer = post(tmp_path, server.url, more=own)
        assert (answer.failure, "certificate refused" in answer.reason) == (Failure.DOWN, True)
        assert server.requests == [b""]
    with Scripted(lambda connection: connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        wrong = post(tmp_path, server.url.replace("http:", "https:"), more=own)
        assert wrong == Answer(Failure.DOWN, "the other side does not speak TLS (http:// in place of https://?)")


def test_a_tls_handshake_that_never_ends(tmp_path: Path) -> None:
    """Nothing was sent, so those behind it wait with it."""
    with Scripted(silent) as server:
        answer = post(tmp_path, server.url.replace("http:", "https:"), 2.0)
    assert answer == Answer(Failure.DOWN, "timeout: gave up while connecting, after 2 s")


def test_the_environment_has_no_say(tmp_path: Path, receiver: Receiver) -> None:
    """Neither proxies, nor .netrc, nor another bundle of authorities."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login who password hidden\n")
    proxy = "http://127.0.0.1:9/"
    path = config(tmp_path, f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    answer = ask(path, about("webhook"), HOME=str(tmp_path), http_proxy=proxy, ALL_PROXY=proxy, REQUESTS_CA_BUNDLE="/x")
    assert answer == Answer(status=200)
    assert receiver.received(WEBHOOK)[-1].authorization is None


def test_what_is_wrong_elsewhere_in_the_file_keeps_no_alert(tmp_path: Path, receiver: Receiver) -> None:
    """A key that only the agent has, an interval that is none; but what is no TOML at all is said."""
    url = receiver.url(WEBHOOK)
    toml = f'[agent]\ninterval_seconds = 7\n[heartbeat]\nurl = "https://x.example/"\n[alerts]\nwebhook_url = "{url}"\n'
    assert ask(config(tmp_path, toml), about("webhook")).failure is None
    for wrong, reason in (
        ("[alerts\n", "is not TOML"),
        ('[alerts]\nwebhook_url = "ftp://x"\n', "alerts.webhook_url: it begins neither"),
        (f'[alerts]\nwebhook_url = "{url}"\nca_file = "/nowhere"\n', "alerts.ca_file"),
    ):
        answer = ask(config(tmp_path, wrong), about("webhook"))
        assert (answer.failure, reason in answer.reason) == (Failure.DOWN, True), answer
    assert ask(config(tmp_path, ""), about("webhook")).failure is Failure.UNSET
    assert ask(tmp_path / "none.toml", about("webhook")).failure is Failure.DOWN


def test_credentials_win(tmp_path: Path, receiver: Receiver) -> None:
    """URL and headers as systemd passes them, encrypted or plain; one that is no URL is named, and what mends it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "heartbeat.webhook_url").write_text(receiver.url(WEBHOOK) + "\n")
    (folder / "heartbeat.webhook_headers.plain").write_text("Authorization: Bearer of-the-credential\n\nX-Other: 1\n")
    path = config(tmp_path, SECRETS.format("http://127.0.0.1:9/"))
    assert ask(path, about("webhook"), CREDENTIALS_DIRECTORY=str(folder)) == Answer(status=200)
    assert receiver.received(WEBHOOK)[-1].authorization == "Bearer of-the-credential"
    (folder / "heartbeat.webhook_headers.plain").write_text("hidden-token\n")
    answer = ask(path, about("webhook"), CREDENTIALS_DIRECTORY=str(folder))
    assert answer.failure is Failure.DOWN
    assert "`heartbeatctl set-secret webhook_headers`" in answer.reason
    assert "hidden" not in answer.reason


def check(folder: Path, url: str, timeout_s: float = 20.0, more: str = "") -> Report:
    """What the notifier says of the webhook without a message."""
    return checked(config(folder, f'[alerts]\nwebhook_url = "{url}"\n{more}'), "webhook", timeout_s)


def test_a_check_asks_and_posts_nothing(tmp_path: Path) -> None:
    """As a browser does before it posts across sites, with the headers and the user of the real thing."""
    with Scripted(answers(204, "Access-Control-Allow-Methods: OPTIONS, POST\r\n")) as server:
        url = server.url.replace("//", "//n8n:hidden-word@") + "?hidden-query=1"
        report = checked(config(tmp_path, SECRETS.format(url)), "webhook")
        (request,) = server.requests
    assert (report.reached, report.status, report.methods) == (Reached.ANSWERED, 204, "OPTIONS, POST")
    assert report.address == server.url
    assert 0 < report.took_ms < 60_000
    head = request.decode().split("\r\n")
    assert head[0].startswith("OPTIONS /")
    assert {f"Origin: http://127.0.0.1:{server.port}", "Access-Control-Request-Method: POST"} <= set(head)
    assert {"Authorization: Bearer hidden-token", "X-Flow: beat"} <= set(head)
    assert "Content-Type" not in request.decode()


@pytest.mark.parametrize(
    ("script", "cause"),
    [(silent, "timeout"), (resets, "reset"), (hangs_up, "reset"), (says(b"220 mail\r\n"), "protocol")],
)
def test_a_check_without_an_answer(tmp_path: Path, script: Script, cause: str) -> None:
    """The cause is named, as where a message meets it."""
    with Scripted(script) as server:
        report = check(tmp_path, server.url, 1.0 if script is silent else 20.0)
    assert (report.reached, report.cause, report.status) == (Reached.NOTHING, cause, None)
    assert cause in report.reason


def test_a_check_goes_by_ca_file(tmp_path: Path, authority: Authority) -> None:
    """A certificate of an authority of one's own is trusted with it, and not without."""
    with Scripted(answers(204), tls=authority.server("localhost")) as server:
        url = f"https://localhost:{server.port}/webhook/x"
        assert check(tmp_path, url).cause == "tls"
        assert check(tmp_path, url, more=f'ca_file = "{authority.file}"\n').status == 204


def test_a_check_where_nobody_is(tmp_path: Path) -> None:
    """A port that nobody listens on, a name that nobody has."""
    assert check(tmp_path, "http://127.0.0.1:9/webhook/x").cause == "refused"
    assert check(tmp_path, "http://n8n.invalid/webhook/x").cause == "dns"
