"""The notifier and Apprise, for real: e-mail over TLS, JSON, ntfy, Gotify, syslog, against servers that take it or do not."""

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from heartbeatd.core.delivery import Failure
from heartbeatd.core.notification import Notification
from heartbeatd.core.subject import Severity
from heartbeatd.notify.channels.endpoint import endpoint_of
from heartbeatd.notify.protocol import Answer, Reached, Report
from tests.notify.test_notifier import in_silence
from tests.support import certificates
from tests.support.notifier import PROBLEM, about, ask, checked
from tests.support.receiver import Receiver
from tests.support.scripted import Connection, Scripted, answers, hangs_up, silent

pytestmark = pytest.mark.slow  # a build has neither Apprise nor aiosmtpd
PASSWORD = "hidden-password"


def send(
    folder: Path, url: str, timeout_s: float = 30.0, told: Notification = PROBLEM, **more_environment: str
) -> Answer:
    """What the notifier says of one try to deliver to a channel with this URL. Nothing of the URL that is hidden may be in it."""
    config = folder / "config.toml"
    config.write_text(f'[[channel]]\nname = "phone"\nurl = "{url}"\n')
    answer = ask(config, about("phone", timeout_s, told), prefix=(), **more_environment)
    assert "hidden" not in answer.reason
    return answer


@dataclass
class Mailbox:
    """A mail server that asks for TLS, by STARTTLS or from the first byte (ssl), and a password; and what it was given."""

    port: int
    mode: str
    authority: Path  # a PEM file: nobody trusts it who is not told to
    messages: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message."""
        self.messages.append(envelope.original_content or b"")
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """As any server does; `handled=False` has it answer 535."""
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=good, handled=good)

    def url(self, password: str = PASSWORD, more: str = "") -> str:
        """For Apprise."""
        to = "from=nas@example.org&to=me@example.org"
        return f"mailtos://nas:{password}@localhost:{self.port}?{to}&mode={self.mode}{more}"


@pytest.fixture(params=["starttls", "ssl"])
def mailbox(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mailbox]:
    """Its certificate is for `localhost`, as the URL has it, and for no other name."""
    authority = certificates.make(tmp_path)
    context: ssl.SSLContext = authority.server("mail", san="DNS:localhost")
    with socket.create_server(("127.0.0.1", 0)) as free:
        box = Mailbox(free.getsockname()[1], request.param, authority.file)
    by_mode = {"starttls": {"tls_context": context, "require_starttls": True}, "ssl": {"ssl_context": context}}
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        auth_required=box.mode == "starttls",
        auth_require_tls=box.mode == "starttls",
        authenticator=box.authenticate,
        **by_mode[box.mode],
    )
    server.start()
    yield box
    server.stop()


def test_an_e_mail_arrives(tmp_path: Path, mailbox: Mailbox) -> None:
    """Over TLS, with a password, and as it was written: whoever issued the certificate has to be trusted, unless verify=no."""
    assert send(tmp_path, mailbox.url(), SSL_CERT_FILE=str(mailbox.authority)) == Answer()
    assert send(tmp_path, mailbox.url(more="&verify=no")) == Answer()
    received, _ = (message_from_bytes(data, policy=policy.default) for data in mailbox.messages)
    assert received["Subject"] == "nas: the Worker is unreachable"
    assert received["To"] == "me@example.org"
    body = received.get_body(("plain", "html"))
    assert body is not None
    assert "It does not answer." in body.get_content()


def test_a_mail_server_that_refuses(tmp_path: Path, mailbox: Mailbox) -> None:
    """A wrong password, and a certificate of nobody's: said in words, with no word of the password."""
    wrong = send(tmp_path, mailbox.url("hidden-and-wrong", "&verify=no"))
    assert wrong.failure is Failure.DOWN
    assert "535" in wrong.reason
    untrusted = send(tmp_path, mailbox.url())
    assert (untrusted.failure, "certificate" in untrusted.reason.lower()) == (Failure.DOWN, True), untrusted
    another = send(tmp_path, mailbox.url().replace("@localhost", "@127.0.0.1"), SSL_CERT_FILE=str(mailbox.authority))
    assert (another.failure, "certificate" in another.reason.lower()) == (Failure.DOWN, True), another
    assert mailbox.messages == []


def drips(connection: Connection) -> None:
    """A greeting without end, a byte at a time."""
    while not connection.over.wait(0.1):
        connection.send(b"2")


def takes_and_says_nothing(connection: Connection) -> None:
    """SMTP up to the end of the mail, to which there is no answer."""
    connection.send(b"220 mail.example.org\r\n")
    for answer in (b"250 mail.example.org", b"250 OK", b"250 OK", b"354 Go on"):
        connection.read()
        connection.send(answer + b"\r\n")
    silent(connection)


def test_a_mail_server_that_is_too_slow(tmp_path: Path) -> None:
    """One that never comes to greet was sent nothing; one that has the mail may have taken it."""
    for script, answer in (
        (silent, Answer(Failure.DOWN, "timeout: gave up while connecting, after 2 s")),
        (drips, Answer(Failure.DOWN, "timeout: gave up while connecting, after 2 s")),
        (takes_and_says_nothing, Answer(Failure.LATE, "it was sent and not answered within 2 s")),
    ):
        with Scripted(script) as server:
            url = f"mailto://localhost:{server.port}?from=nas@example.org&to=me@example.org"
            assert send(tmp_path, url, 2.0) == answer, script


@pytest.mark.namespaces
def test_a_name_that_is_looked_up_without_end(tmp_path: Path) -> None:
    """By whichever library: nothing was sent."""
    for url in ("json://n8n.example/", "mailto://n8n.example?from=nas@example.org&to=me@example.org"):
        answer = in_silence(tmp_path, about("phone", 1.0), f'[[channel]]\nname = "phone"\nurl = "{url}"')
        assert answer == Answer(Failure.DOWN, "timeout: gave up while looking up the name, after 1 s")


def test_json_arrives_with_the_severity(tmp_path: Path, receiver: Receiver) -> None:
    """As Apprise's own types, which each service shows in its own way; a recovery is good news."""
    url = receiver.url("/hook").replace("http:", "json:")
    for severity, event, kind in (
        (Severity.OK, "test", "info"),
        (Severity.WARNING, "problem", "warning"),
        (Severity.CRITICAL, "problem", "failure"),
        (Severity.OK, "recovery", "success"),
    ):
        assert send(tmp_path, url, told=replace(PROBLEM, severity=severity, details={"event": event})) == Answer()
        body = receiver.received("/hook")[-1].body
        assert (body["title"], body["message"]) == ("nas: the Worker is unreachable", "It does not answer.")
        assert body["type"] == kind


def test_a_topic_is_not_shown(tmp_path: Path) -> None:
    """Whoever knows it can read along; the host's name may be shown."""
    with Scripted(answers(403)) as server:
        own = send(tmp_path, f"ntfy://127.0.0.1:{server.port}/hidden-topic")
    assert (own.failure, "'***'" in own.reason) == (Failure.DOWN, True), own


REFUSALS = [
    ("ntfy://user:hidden-word@{}/topic", 401, {"code": 40101, "http": 401, "error": "unauthorized"}, Failure.DOWN),
    ("ntfy://{}/topic", 403, {"code": 40301, "http": 403, "error": "forbidden"}, Failure.DOWN),
    ("ntfy://{}/topic", 429, {"code": 42901, "http": 429, "error": "limit reached"}, Failure.DOWN),
    ("ntfy://{}/topic", 413, {"code": 41301, "http": 413, "error": "message too large"}, Failure.REFUSED),
    ("gotify://{}/Ahidden-token", 401, {"error": "Unauthorized", "errorCode": 401}, Failure.DOWN),
    ("gotify://{}/Ahidden-token", 500, {"error": "Internal Server Error"}, Failure.ERROR),
    ("json://{}/", 400, {}, Failure.REFUSED),
    ("json://{}/", 503, {}, Failure.DOWN),
]


@pytest.mark.parametrize(("url", "status", "body", "failure"), REFUSALS)
def test_what_services_refuse(tmp_path: Path, url: str, status: int, body: dict[str, object], failure: Failure) -> None:
    """The status is among Apprise's words, and means what it means of a webhook."""
    with Scripted(answers(status, "Content-Type: application/json\r\n", json.dumps(body).encode())) as server:
        answer = send(tmp_path, url.format(f"127.0.0.1:{server.port}"))
    assert (answer.failure, f"error={status}" in answer.reason) == (failure, True), answer


def test_services_that_are_not_there_or_never_answer(tmp_path: Path) -> None:
    """Nothing that was not sent counts as late."""
    refused = send(tmp_path, "gotify://127.0.0.1:9/Ahidden-token")
    assert (refused.failure, "refused" in refused.reason) == (Failure.DOWN, True), refused
    with Scripted(silent) as server:
        late = send(tmp_path, f"json://127.0.0.1:{server.port}/", 2.0)
        mail = send(tmp_path, f"mailto://nas:hidden@localhost:{server.port}?from=a@example.org&to=me@example.org", 2.0)
    assert late == Answer(Failure.LATE, "it was sent and not answered within 2 s")
    assert mail == Answer(Failure.DOWN, "timeout: gave up while connecting, after 2 s")
    with Scripted(hangs_up) as server:
        assert send(tmp_path, f"json://127.0.0.1:{server.port}/").failure in (Failure.DOWN, Failure.ERROR)


def test_what_apprise_can_make_nothing_of(tmp_path: Path) -> None:
    """Known schemes, and no sense behind them; an https:// address of no service that it knows."""
    for url in ("tgram://hidden", "mailto://", "https://example.org/hidden-path"):
        answer = send(tmp_path, url)
        assert answer.failure in (Failure.REFUSED, Failure.DOWN), answer
        assert answer.reason


def test_without_apprise(tmp_path: Path, receiver: Receiver) -> None:
    """It is said what to install, and nothing else changes."""
    (tmp_path / "apprise.py").write_text("raise ImportError\n")
    url = receiver.url("/hook")
    config = tmp_path / "config.toml"
    config.write_text(f'[alerts]\nwebhook_url = "{url}"\n[[channel]]\nname = "phone"\nurl = "json://127.0.0.1:9/"\n')
    answer = ask(config, about("phone"), PYTHONPATH=str(tmp_path))
    assert answer == Answer(Failure.DOWN, "apprise is not installed: apt install apprise")
    assert ask(config, about("webhook"), PYTHONPATH=str(tmp_path)) == Answer(status=200)


def test_the_url_is_a_credential_or_in_a_file(tmp_path: Path, receiver: Receiver) -> None:
    """The credential wins over the file, that over the setting; one that is of no use is named, and what mends it."""
    folder, file = tmp_path / "credentials", tmp_path / "url"
    folder.mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[[channel]]\nname = "phone"\nurl = "json://127.0.0.1:9/"\nurl_file = "{file}"\n')
    missing = ask(config, about("phone"))
    assert (missing.failure, "channel[1].url_file" in missing.reason) == (Failure.DOWN, True)
    file.write_text(receiver.url("/file").replace("http:", "json:") + "\n")
    assert ask(config, about("phone")) == Answer()
    for identifier in ("heartbeat.channel.plain_phone", "heartbeat.channel_phone"):
        (folder / identifier).write_text(receiver.url(f"/{identifier}").replace("http:", "json:"))
        assert ask(config, about("phone"), CREDENTIALS_DIRECTORY=str(folder)) == Answer()
        assert len(receiver.received(f"/{identifier}")) == 1
    assert len(receiver.received("/file")) == 1
    (folder / "heartbeat.channel_phone").write_text("hidden")
    wrong = ask(config, about("phone"), CREDENTIALS_DIRECTORY=str(folder))
    assert wrong.failure is Failure.DOWN
    assert "`heartbeatctl set-secret channel.phone`" in wrong.reason
    assert "hidden" not in wrong.reason
    unknown = ask(config, about("telephone"))
    assert unknown == Answer(Failure.DOWN, "channel telephone: is not set (name it in a section [[channel]])")


def check(folder: Path, url: str, timeout_s: float = 30.0) -> Report:
    """What the notifier says of this channel without a message."""
    config = folder / "config.toml"
    config.write_text(f'[[channel]]\nname = "phone"\nurl = "{url}"\n')
    return checked(config, "phone", timeout_s)


def test_a_check_connects_and_sends_nothing(tmp_path: Path, mailbox: Mailbox) -> None:
    """To the mail server that is meant, whatever the address of the sender says; by TLS if that is how it begins."""
    report = check(tmp_path, mailbox.url(more="&verify=no"))
    reached = Reached.SECURED if mailbox.mode == "ssl" else Reached.CONNECTED
    assert (report.reached, report.address) == (reached, f"localhost:{mailbox.port}")
    assert mailbox.messages == []


def test_a_check_by_tls(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is refused, unless the URL says that any will do."""
    with Scripted(answers(), tls=certificates.make(tmp_path).server("localhost")) as server:
        url = f"jsons://localhost:{server.port}/hidden-path"
        refused, any_will_do = check(tmp_path, url), check(tmp_path, f"{url}?verify=no")
    assert (refused.reached, refused.cause) == (Reached.NOTHING, "tls")
    assert "certificate" in refused.reason
    assert any_will_do.reached is Reached.SECURED


def test_a_check_where_nobody_is(tmp_path: Path) -> None:
    """The cause is named, and where that was."""
    for url, cause, address in (
        ("json://127.0.0.1:9/hidden-path", "refused", "127.0.0.1:9"),
        ("gotify://gotify.invalid/hidden-token", "dns", "gotify.invalid:80"),
        ("ntfys://hidden-user:hidden-word@ntfy.invalid/hidden-topic", "dns", "ntfy.invalid:443"),
    ):
        report = check(tmp_path, url)
        assert (report.reached, report.cause, report.address) == (Reached.NOTHING, cause, address)


def test_a_check_of_what_has_no_address(tmp_path: Path) -> None:
    """The URL is understood, and nothing else is claimed."""
    report = check(tmp_path, "syslog://")
    assert (report.reached, report.address) == (Reached.UNDERSTOOD, "Syslog")


def test_a_check_of_what_apprise_can_make_nothing_of(tmp_path: Path) -> None:
    """Said, without the URL."""
    report = check(tmp_path, "tgram://hidden-token")
    assert (report.reached, report.failure) == (Reached.NOTHING, Failure.REFUSED)
    assert "Apprise can make nothing of its URL" in report.reason


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ntfy://hidden-topic", "ntfy.sh:443"),
        ("mailtos://me:hidden-word@gmail.com", "smtp.gmail.com:587"),
        ("tgram://123456789:hidden_hidden_hidden/12315544", "api.telegram.org:443"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "Slack"),
    ],
)
def test_where_a_service_is(url: str, address: str) -> None:
    """By what the plugin says itself; a token or a topic in the place of a host is none."""
    import apprise

    service = apprise.Apprise.instantiate(url)
    assert str(endpoint_of(service) or service.service_name) == address
