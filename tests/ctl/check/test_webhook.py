"""What the webhook answers to the question whether it takes alerts, and what `check` makes of it, the notifier in between."""

import json
from pathlib import Path

import pytest

from heartbeatd.ctl.check import channels
from heartbeatd.ctl.check.finding import Finding, Verdict
from tests.ctl.check.conftest import situation
from tests.support.certificates import make
from tests.support.scripted import Script, Scripted, answers, hangs_up, resets, says, silent

pytestmark = pytest.mark.slow  # a process a question, and each loads requests
METHODS = "Access-Control-Allow-Methods: {}\r\n"


def found(folder: Path, **alerts: object) -> list[Finding]:
    """What is found with these settings, by a child of this process."""
    path = folder / "config.toml"
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in alerts.items())
    path.write_text(f"[alerts]\n{''.join(lines)}")
    return list(channels.from_outside(situation(path, alerts=alerts)))


def asked(folder: Path, url: str, timeout_s: float = 30) -> Finding:
    """The one finding about a webhook at `url`."""
    (finding,) = found(folder, webhook_url=url, timeout_seconds=timeout_s)
    return finding


def test_without_a_url_nobody_is_asked(tmp_path: Path) -> None:
    """That there is none is a remark."""
    assert found(tmp_path) == []


def test_the_question_starts_nothing_and_makes_n8n_look_the_path_up(tmp_path: Path) -> None:
    """OPTIONS with an origin and the method to come: n8n answers that with 404 if no workflow with the path is active."""
    with Scripted(answers(204, METHODS.format("OPTIONS, POST"))) as server:
        finding = asked(tmp_path, f"{server.url}webhook/x?token=t0ken")
        assert finding.verdict is Verdict.OK
        assert "takes alerts" in finding.text
        assert "t0ken" not in finding.text
        (request,) = server.requests
        assert request.startswith(b"OPTIONS /webhook/x?token=t0ken ")
        assert f"\r\nOrigin: http://127.0.0.1:{server.port}\r\n".encode() in request
        assert b"\r\nAccess-Control-Request-Method: POST\r\n" in request


@pytest.mark.parametrize(
    ("status", "headers", "verdict", "text", "hint"),
    [
        (204, "", Verdict.OK, "is reachable", "test-alert"),
        (200, METHODS.format("*"), Verdict.OK, "takes alerts", "test-alert"),
        (204, METHODS.format("OPTIONS, GET"), Verdict.ERROR, "takes no POST, only OPTIONS, GET", "HTTP Method"),
        (301, "", Verdict.ERROR, "redirects", "the address that answers itself"),
        (308, "", Verdict.ERROR, "redirects", "https:// in place of http://"),
        (400, "", Verdict.ERROR, "refuses the question", "log of n8n"),
        (401, "", Verdict.ERROR, "wants a user and a password", "https://USER:PASSWORD@HOST"),
        (403, "", Verdict.ERROR, "forbidden", "firewall"),
        (404, "", Verdict.ERROR, "no such address", "activate the workflow"),
        (405, "", Verdict.WARNING, "cannot be told", "test-alert"),
        (429, "", Verdict.ERROR, "too many requests", "log"),
        (500, "", Verdict.ERROR, "fails", "log of n8n"),
        (501, "", Verdict.WARNING, "cannot be told", "test-alert"),
        (502, "", Verdict.ERROR, "a proxy in front of it", "proxy"),
    ],
)
def test_an_answer(tmp_path: Path, status: int, headers: str, verdict: Verdict, text: str, hint: str) -> None:
    """Only one that says that alerts would be taken is ok; each other one has a hint that fits it."""
    with Scripted(answers(status, headers)) as server:
        finding = asked(tmp_path, server.url)
    assert finding.verdict is verdict
    assert f"HTTP {status}" in finding.text
    assert text in finding.text
    assert hint in finding.hint


def test_a_user_and_password_that_are_refused(tmp_path: Path) -> None:
    """It is they that are wrong, or how they are written; neither is shown."""
    with Scripted(answers(401)) as server:
        finding = asked(tmp_path, server.url.replace("//", "//n8n:hidden-word@"))
        assert b"\r\nAuthorization: Basic " in server.requests[0]
    assert "does not accept the user and password" in finding.hint
    assert "%2F" in finding.hint
    assert "hidden-word" not in finding.text + finding.hint


@pytest.mark.parametrize(
    ("script", "text", "hint"),
    [
        (silent, "timeout", "alerts.timeout_seconds"),
        (resets, "reset", "http or https"),
        (hangs_up, "reset", "http or https"),
        (says(b"220 mail.example ESMTP\r\n"), "protocol", "look at the port"),
    ],
)
def test_no_answer(tmp_path: Path, script: Script, text: str, hint: str) -> None:
    """The cause, and where to look for it."""
    with Scripted(script) as server:
        finding = asked(tmp_path, server.url, 0.5 if script is silent else 30)
    assert finding.verdict is Verdict.ERROR
    assert text in finding.text
    assert hint in finding.hint


def test_nobody_listens(tmp_path: Path) -> None:
    """The discard port."""
    finding = asked(tmp_path, "http://127.0.0.1:9/webhook/x")
    assert finding.verdict is Verdict.ERROR
    assert "is n8n up" in finding.hint


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    """RFC 6761: .invalid never does."""
    finding = asked(tmp_path, "http://n8n.invalid/webhook/x")
    assert "dns" in finding.text
    assert "name in alerts.webhook_url" in finding.hint


def test_tls(tmp_path: Path) -> None:
    """A certificate that nobody vouches for."""
    with Scripted(answers(204), tls=make(tmp_path).server("n8n")) as server:
        finding = asked(tmp_path, server.url)
    assert finding.verdict is Verdict.ERROR
    assert "certificate" in finding.text
    assert "webhook's certificate" in finding.hint


def test_https_where_there_is_http(tmp_path: Path) -> None:
    """The address says https, and who listens there does not."""
    with Scripted(lambda connection: connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        finding = asked(tmp_path, server.url.replace("http://", "https://"))
    assert "does not speak TLS" in finding.text
    assert "is https:// right" in finding.hint
