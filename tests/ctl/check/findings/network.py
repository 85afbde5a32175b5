"""Names, the Worker, the webhook, the internet check."""

import socket

from heartbeatd.config.secrets import Origin, OriginKind
from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause, HeartbeatResult
from heartbeatd.ctl.check import (
    channels,
    internet,
    names,
    webhook,
    worker,
)
from heartbeatd.net.answer import RequestError
from heartbeatd.notify.protocol import Reached, Report
from heartbeatd.probes.internet import Ping
from tests.ctl.check.conftest import situation
from tests.ctl.check.findings.shared import (
    ERROR,
    KNOWN,
    OK,
    WARNING,
    Made,
    Row,
    configured,
    one,
)

HOOK = "https://n8n.example/hook"
LOGS = "look at the log of n8n, and of the proxy in front of it, if there is one"
TRY = "`heartbeatctl test-alert` sends a real message"


def unresolved(reason: Exception | None, detail: str = "it failed", *, answering: bool = True) -> Made:
    """Why the Worker has no address."""
    failed = RequestError(Cause.DNS, detail)
    failed.__cause__ = reason
    return one(names.unresolved("heartbeat.url", "w.example", failed, answering=answering))


def answered(status: int, methods: str = "", *, authorized: bool = False) -> Made:
    """The webhook's answer."""
    report = Report(
        Reached.ANSWERED, HOOK, status=status, methods=methods, took_ms=12.0, authorized=authorized, source="/c: url"
    )
    return lambda: webhook.findings(configured().config, report)


def unanswered(cause: Cause) -> Made:
    """No answer of the webhook's."""
    return lambda: webhook.findings(configured().config, Report(Reached.NOTHING, HOOK, "why", Failure.DOWN, cause))


def reported(report: Report) -> Made:
    """What the notifier says of the channel phone."""
    return lambda: channels.findings(KNOWN, {"phone": report})


def of_credential(report: Report) -> Made:
    """What it says of the webhook, of which the configuration says nothing."""
    return lambda: channels.findings(situation(heartbeat={"url": "http://w/", "secret_key": "k"}), {"webhook": report})


def beaten(result: HeartbeatResult | None) -> Made:
    """The Worker's answer."""
    return one(worker.classify("https://w.example/", Origin(OriginKind.FILE, "/etc/key"), result))


NETWORK: list[Row] = [
    (
        one(internet.classify("http://a/", Ping(True, 7.0))),
        "internet",
        OK,
        "is reachable (it answered within 7 ms)",
        "",
    ),
    (
        *(one(internet.classify("http://a/", Ping(False, None, "timeout"))), "internet", WARNING),
        *("timeout, which counts as no internet", "is this host online? If it is, choose another internet.url"),
    ),
    (
        *(one(internet.classify("http://a/", Ping(False, None, "HTTP 404"))), "internet", WARNING, "HTTP 404"),
        "choose another internet.url: only an answer of 2xx or 3xx counts as reachable",
    ),
    (
        *(unresolved(socket.gaierror(socket.EAI_NONAME, "not known")), "names", ERROR),
        *("heartbeat.url: there is no host w.example (not known)", "look at the name in heartbeat.url"),
    ),
    (
        *(unresolved(None, "blocked by a DNS filter"), "names", ERROR, "blocked by a DNS filter"),
        "allow w.example in the filter (Pi-hole, AdGuard Home, the router …)",
    ),
    (unresolved(UnicodeError("u")), "names", ERROR, "it failed", "look at the name in heartbeat.url"),
    (
        *(unresolved(None, answering=False), "names", ERROR),
        *("w.example cannot be resolved: no name server answers", "see the line before"),
    ),
    (
        *(unresolved(None), "names", ERROR, "it failed"),
        "the name servers answer, and cannot resolve it: look at their log, or try another one",
    ),
    (
        *(one(names.silence(("a", "b"), ("a",), has_resolvectl=False)), "names", WARNING),
        "not every name server in /etc/resolv.conf answers: a is silent, and to wait for it costs 5 s each time",
        "see to the server, or take it out of /etc/resolv.conf",
    ),
    (
        *(one(names.silence(("a", "b"), ("a", "b"), has_resolvectl=True)), "names", WARNING),
        "none of the name servers in /etc/resolv.conf answers: a, b are silent",
        "see to the server, or take it out of /etc/resolv.conf; `resolvectl status` says whom systemd-resolved asks",
    ),
    (beaten(HeartbeatResult(200, took_ms=9)), "worker", OK, "took a heartbeat (HTTP 200 in 9 ms)", ""),
    (beaten(None), "worker", ERROR, "interrupted", ""),
    (
        *(beaten(HeartbeatResult(401)), "worker", ERROR, "https://w.example/ answers HTTP 401"),
        "Compare heartbeat.secret_key with the Worker's key. The key comes from /etc/key.",
    ),
    (beaten(HeartbeatResult(9999)), "worker", ERROR, "not an HTTP answer", ""),
    (
        one(worker.without_authorities("https://w.example/")),
        *("worker", ERROR, "was not tried: heartbeat.ca_file cannot be used", ""),
    ),
]

WEBHOOK: list[Row] = [
    (answered(204), "webhook", OK, "is reachable (HTTP 204 to OPTIONS, 12 ms)", TRY),
    (answered(204, methods="POST"), "webhook", OK, "takes alerts", TRY),
    (
        answered(204, methods="GET"),
        "webhook",
        ERROR,
        "takes no POST, only GET",
        "let the Webhook node's HTTP Method be POST",
    ),
    (answered(405), "webhook", WARNING, "whether it takes alerts cannot be told without sending one", TRY),
    (
        *(answered(302), "webhook", ERROR, "it redirects, which is not followed"),
        "set alerts.webhook_url to the address that answers itself (https:// in place of http://?)",
    ),
    (
        *(answered(401), "webhook", ERROR, "it wants a user and a password"),
        "write them into the URL: https://USER:PASSWORD@HOST/webhook/… (heartbeat-config.toml(5))",
    ),
    (
        *(answered(401, authorized=True), "webhook", ERROR, "it wants a user and a password"),
        "it does not accept the user and password in alerts.webhook_url (in them, / ? # @ are written %2F %3F %23 %40), "
        "or what alerts.webhook_headers says",
    ),
    (
        *(answered(403), "webhook", ERROR, "answers OPTIONS with HTTP 403: forbidden"),
        "a proxy or firewall does not let this host in, or n8n's IP whitelist does not: look at their logs",
    ),
    (
        *(answered(404), "webhook", ERROR, "it knows no such address"),
        "activate the workflow in n8n, and compare the path with the Production URL of its Webhook node",
    ),
    (answered(400), "webhook", ERROR, "it refuses the question", LOGS),
    (answered(407), "webhook", ERROR, "a proxy wants a user and a password", LOGS),
    (answered(429), "webhook", ERROR, "too many requests", LOGS),
    (answered(502), "webhook", ERROR, "the server, or a proxy in front of it, fails", LOGS),
    (unanswered(Cause.DNS), "webhook", ERROR, "why", "look at the name in alerts.webhook_url"),
    (
        *(unanswered(Cause.REFUSED), "webhook", ERROR, "why"),
        "nothing takes connections there: is n8n up, and does alerts.webhook_url name its port?",
    ),
    (
        *(unanswered(Cause.TIMEOUT), "webhook", ERROR, "why"),
        "is n8n up, and not busy? Is there a firewall in between? Else raise alerts.timeout_seconds",
    ),
    (
        *(unanswered(Cause.TLS), "webhook", ERROR, "why"),
        "look at the webhook's certificate and this host's clock; is https:// right in alerts.webhook_url?",
    ),
    (
        *(unanswered(Cause.RESET), "webhook", ERROR, "why"),
        "is it n8n that listens there, and does it speak http or https as alerts.webhook_url says?",
    ),
    (
        *(unanswered(Cause.PROTOCOL), "webhook", ERROR, "why"),
        "something that does not speak HTTP listens there: look at the port in alerts.webhook_url",
    ),
]

ARRIVES = "only a message shows whether it arrives: `heartbeatctl test-alert --channel phone`"
UNSET = Report(Reached.NOTHING, reason="is not set", failure=Failure.UNSET)
CHANNELS: list[Row] = [
    (
        of_credential(UNSET),
        "alerts",
        WARNING,
        "not set: changes of the Worker are only logged",
        "set alerts.webhook_url",
    ),
    (
        of_credential(Report(Reached.ANSWERED, "http://n8n/webhook-test/x", status=204)),
        *("alerts", WARNING, "alerts.webhook_url: this is n8n's test address"),
        "use the Production URL of the Webhook node (/webhook/ in place of /webhook-test/), and activate the workflow",
    ),
    (
        of_credential(Report(Reached.ANSWERED, HOOK, status=204, source="systemd credential heartbeat.webhook_url")),
        *("secrets", OK, "the webhook's URL comes from systemd credential heartbeat.webhook_url", ""),
    ),
    (
        of_credential(Report(Reached.NOTHING, reason="cannot be decrypted (do this)", failure=Failure.DOWN)),
        *("webhook", ERROR, "cannot be decrypted (do this)", ""),
    ),
    (
        *(reported(Report(Reached.SECURED, "ntfy.sh:443", took_ms=31.4)), "channels", OK),
        *("phone: ntfy.sh:443 takes a connection, and its certificate is trusted (31 ms)", ARRIVES),
    ),
    (
        *(reported(Report(Reached.CONNECTED, "mail:25", took_ms=1.0)), "channels", OK),
        *("phone: mail:25 takes a connection (1 ms)", ARRIVES),
    ),
    (
        *(reported(Report(Reached.UNDERSTOOD, "Syslog")), "channels", OK),
        *("phone: Apprise understands its URL (Syslog), and tries nothing", ARRIVES),
    ),
    (
        *(
            reported(Report(Reached.NOTHING, "", "apprise is not installed: apt install apprise", Failure.DOWN)),
            "channels",
        ),
        *(ERROR, "phone: apprise is not installed: apt install apprise", ""),
    ),
    *(
        (
            reported(Report(Reached.NOTHING, "x:1", "why", Failure.DOWN, cause)),
            "channels",
            ERROR,
            "phone: x:1: why",
            hint,
        )
        for cause, hint in {
            Cause.DNS: "look at the host in its URL",
            Cause.REFUSED: "nothing takes connections there: look at the host and port in its URL",
            Cause.TIMEOUT: "is there a firewall in between? Else raise its timeout_seconds",
            Cause.TLS: "look at the certificate there, at this host's clock, and at the scheme of its URL",
            Cause.RESET: "does what listens there speak TLS as the scheme of its URL says?",
        }.items()
    ),
    (
        lambda: channels.findings(KNOWN, {"phone": "the notifier gave no answer in time"}),
        *("channels", ERROR, "phone: the notifier gave no answer in time", ""),
    ),
    (
        *(one(channels.not_started("it ended")), "channels", ERROR),
        "it ended. Alerts leave by a child of the agent, and only to channels whose URL is no credential",
        "`sudo journalctl -u 'heartbeatd-notify@*'` has systemd's own words; drop-ins for hosts that forbid its sandbox are "
        "in /usr/share/doc/heartbeatd/examples/systemd",
    ),
    (
        *(one(channels.IN_SANDBOX), "channels", OK),
        *("this was tried by heartbeatd-notify@.service, in its own sandbox and with its credentials", ""),
    ),
    (
        *(one(channels.OUTSIDE), "channels", WARNING),
        *("looked at from outside the sandbox of heartbeatd-notify@.service, without its credentials", ""),
    ),
    (
        *(one(channels.not_looked_at(["webhook", "phone"])), "channels", WARNING),
        *("not looked at: webhook, phone; the URL is a credential, if there is one", ""),
    ),
]
