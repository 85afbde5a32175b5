"""Whether the webhook would take an alert: it is asked, and nothing is started by that.

The question is the one a browser asks before it posts across sites: OPTIONS, with an `Origin` and the method to come (the
Fetch standard, "CORS-preflight request"). n8n answers it 204, with the methods of the address, if a workflow with that path
is active, and 404 if none is; without an `Origin` it answers 204 to any path.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from heartbeatd import components
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.redact import redact_url
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.net.answer import Answer, RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.runtime import Runtime

METHODS = "access-control-allow-methods"
_QUESTION = {"Access-Control-Request-Method": "POST"}
_TRY = "`heartbeatctl test-alert` sends a real message"

_NO_ANSWER: dict[Cause, str] = {
    Cause.DNS: "look at the name in alerts.webhook_url",
    Cause.REFUSED: "nothing takes connections there: is n8n up, and does alerts.webhook_url name its port?",
    Cause.TIMEOUT: "is n8n up, and not busy? Is there a firewall in between? Else raise alerts.timeout_seconds",
    Cause.TLS: "look at the webhook's certificate and this host's clock; is https:// right in alerts.webhook_url?",
    Cause.RESET: "is it n8n that listens there, and does it speak http or https as alerts.webhook_url says?",
    Cause.PROTOCOL: "something that does not speak HTTP listens there: look at the port in alerts.webhook_url",
}


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """Without a URL there is nothing to ask: see `remarks`."""
    url = situation.config.alerts.webhook_url.reveal()
    if not url:
        return
    client, target = Client(runtime.resolver, components.USER_AGENT), Target.of(url)
    headers = {"Origin": f"{urlsplit(url).scheme}://{target.authority}", **_QUESTION}
    try:
        answer = client.send(
            Request("OPTIONS", target, headers), situation.config.alerts.timeout_seconds, runtime.cancel
        )
    except RequestError as failed:
        yield no_answer(url, failed)
    else:
        yield classify(url, answer)
    finally:
        client.close()


def no_answer(url: str, failed: RequestError) -> Finding:
    """By what kept the answer away."""
    return error("webhook", f"{redact_url(url)}: {failed}", _NO_ANSWER.get(failed.cause, ""))


def classify(url: str, answer: Answer) -> Finding:
    """What the answer to the question says of the address."""
    status, shown = answer.status, redact_url(url)
    answers = f"{shown} answers OPTIONS with HTTP {status}"
    if 200 <= status < 300:
        methods = answer.headers.get(METHODS, "")
        if methods and "POST" not in methods.upper() and "*" not in methods:
            return error(
                "webhook", f"{answers}, and takes no POST, only {methods}", "let the Webhook node's HTTP Method be POST"
            )
        takes = "takes alerts" if methods else "is reachable"
        return ok("webhook", f"{shown} {takes} (HTTP {status} to OPTIONS, {answer.took_ms:.0f} ms)", _TRY)
    if status in (405, 501):
        return warning("webhook", f"{answers}: whether it takes alerts cannot be told without sending one", _TRY)
    return error("webhook", f"{answers}: {_MEANINGS.get(status, _meaning(status))}", _hint(url, status))


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


def _hint(url: str, status: int) -> str:
    """What to do about a status that is no good."""
    if status == 401 and urlsplit(url).username is not None:
        return "it does not accept the user and password in alerts.webhook_url (in them, / ? # @ are written %2F %3F %23 %40)"
    if status == 401:
        return "write them into the URL: https://USER:PASSWORD@HOST/webhook/… (heartbeat-config.toml(5))"
    if status == 403:
        return "a proxy or firewall does not let this host in, or n8n's IP whitelist does not: look at their logs"
    if status == 404:
        return "activate the workflow in n8n, and compare the path with the Production URL of its Webhook node"
    if status < 400:
        return "set alerts.webhook_url to the address that answers itself (https:// in place of http://?)"
    return "look at the log of n8n, and of the proxy in front of it, if there is one"
