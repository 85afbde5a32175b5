"""What the notifier's report says of the webhook: whether it would take an alert, and what to do if it would not."""

from collections.abc import Iterator

from heartbeatd.config.model import Config
from heartbeatd.config.remarks import nowhere, test_address
from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.notify.protocol import Reached, Report

_TRY = "`heartbeatctl test-alert` sends a real message"

_NO_ANSWER: dict[Cause, str] = {
    Cause.DNS: "look at the name in alerts.webhook_url",
    Cause.REFUSED: "nothing takes connections there: is n8n up, and does alerts.webhook_url name its port?",
    Cause.TIMEOUT: "is n8n up, and not busy? Is there a firewall in between? Else raise alerts.timeout_seconds",
    Cause.TLS: "look at the webhook's certificate and this host's clock; is https:// right in alerts.webhook_url?",
    Cause.RESET: "is it n8n that listens there, and does it speak http or https as alerts.webhook_url says?",
    Cause.PROTOCOL: "something that does not speak HTTP listens there: look at the port in alerts.webhook_url",
}


def findings(config: Config, report: Report) -> Iterator[Finding]:
    """Where there is another channel, none of the webhook need be there."""
    if report.failure is Failure.UNSET:
        if not config.channels and config.heartbeat.url:  # else all that is measured is only stored
            yield warning("alerts", f"{nowhere().where}: {nowhere().what}", nowhere().hint)
        return
    if not config.alerts.webhook_url:  # of the setting it has been remarked already
        for remark in test_address(report.address):
            yield warning("alerts", f"{remark.where}: {remark.what}", remark.hint)
    if report.source.startswith("systemd credential"):
        yield ok("secrets", f"the webhook's URL comes from {report.source}")
    yield classify(report) if report.reached is Reached.ANSWERED else no_answer(report)


def no_answer(report: Report) -> Finding:
    """By what kept the answer away. Where it was not even asked for, the reason says what to do."""
    address = f"{report.address}: " if report.address else ""
    return error(
        "webhook", f"{address}{report.reason}", "" if report.cause is None else _NO_ANSWER.get(report.cause, "")
    )


def classify(report: Report) -> Finding:
    """What the answer to the question says of the address."""
    status, methods = report.status or 0, report.methods
    answers = f"{report.address} answers OPTIONS with HTTP {status}"
    if 200 <= status < 300:
        if methods and "POST" not in methods.upper() and "*" not in methods:
            return error(
                "webhook", f"{answers}, and takes no POST, only {methods}", "let the Webhook node's HTTP Method be POST"
            )
        takes = "takes alerts" if methods else "is reachable"
        return ok("webhook", f"{report.address} {takes} (HTTP {status} to OPTIONS, {report.took_ms:.0f} ms)", _TRY)
    if status in (405, 501):
        return warning("webhook", f"{answers}: whether it takes alerts cannot be told without sending one", _TRY)
    return error("webhook", f"{answers}: {_MEANINGS.get(status, _meaning(status))}", _hint(report, status))


_MEANINGS = {
    401: "it wants a user and a password",
    403: "forbidden",
    404: "it knows no such address",
    407: "a proxy wants a user and a password",
    429: "too many requests",
}


def _meaning(status: int) -> str:
    if status < 400:
        return "it redirects, which is not followed"
    return "it refuses the question" if status < 500 else "the server, or a proxy in front of it, fails"


def _hint(report: Report, status: int) -> str:
    """What to do about a status that is no good."""
    if status == 401 and report.authorized:
        return (
            "it does not accept the user and password in alerts.webhook_url (in them, / ? # @ are written %2F %3F %23 %40), "
            "or what alerts.webhook_headers says"
        )
    if status == 401:
        return "write them into the URL: https://USER:PASSWORD@HOST/webhook/… (heartbeat-config.toml(5))"
    if status == 403:
        return "a proxy or firewall does not let this host in, or n8n's IP whitelist does not: look at their logs"
    if status == 404:
        return "activate the workflow in n8n, and compare the path with the Production URL of its Webhook node"
    if status < 400:
        return "set alerts.webhook_url to the address that answers itself (https:// in place of http://?)"
    return "look at the log of n8n, and of the proxy in front of it, if there is one"
