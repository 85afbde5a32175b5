"""Every finding there is, in one table, and a test that none is missing. No process is started, and nobody is asked."""

import ast
import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.config.load import DEFAULT_PATH, Secret
from heartbeatd.config.secrets import SECRET_KEY, Credential
from heartbeatd.core.heartbeat import Cause, HeartbeatResult
from heartbeatd.core.sample import ProbeReport, ProbeStatus
from heartbeatd.ctl import check
from heartbeatd.ctl.check import (
    clock,
    configuration,
    containers,
    files,
    host,
    internet,
    names,
    registry,
    running,
    sandbox,
    storage,
    unit,
    webhook,
    worker,
)
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.ctl.check.situation import EngineSocket, Situation
from heartbeatd.ctl.privileges import user_name
from heartbeatd.net.answer import Answer, RequestError
from heartbeatd.probes.internet import Ping
from heartbeatd.runtime import Runtime
from tests.ctl.check.conftest import situation
from tests.ctl.check.conftest import unit as in_state

OK, WARNING, ERROR = Verdict.OK, Verdict.WARNING, Verdict.ERROR
Made = Callable[[], Iterable[Finding]]

HOOK, PRIVATE_HOOK = "https://n8n.example/hook", "https://user:password@n8n.example/hook"
HERE, NOT_HERE = Path("/dev/null"), Path("/nonexistent")
KNOWN = situation(DEFAULT_PATH)
RUNNING = replace(KNOWN, service=in_state())
HIDING = replace(RUNNING, settings=(("ProtectHome", "yes"), ("PrivateTmp", "yes")), folder=(1, 1))
MANUAL = "heartbeatd(8), DOCKER, says how the helper is let in"
RESTART = "`systemctl restart heartbeatd`"
LOGS = "look at the log of n8n, and of the proxy in front of it, if there is one"
TRY = "`heartbeatctl test-alert` sends a real message"
DENIED = "permission denied: no rights"
DROP_IN = "`systemctl edit heartbeatd` with the lines [Service] and ReadWritePaths={}; " + RESTART
OWN_FOLDER = 'install -d -o nobody -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"'


def one(finding: Finding) -> Made:
    """As if a check had found it."""
    return lambda: (finding,)


def outside(given: Situation, *, is_root: bool = True) -> Made:
    """Why the checks are not made in the sandbox."""
    found = check.why_outside(given, is_root=is_root)
    return lambda: () if found is None else (found,)


def timed(*, battery: bool = True, **properties: str) -> Made:
    """What timedatectl shows."""
    return one(clock.classify(properties, battery=battery))


def configured(secret_from: str = "/etc/key", webhook_from: str = "/etc/credstore/hook") -> Situation:
    """A Worker and a webhook, with their secrets from there."""
    made = situation(DEFAULT_PATH, heartbeat={"url": "https://worker.example/", "secret_key": "k"})
    heartbeat = replace(made.config.heartbeat, secret_from=secret_from)
    alerts = replace(made.config.alerts, webhook_url=Secret(HOOK), webhook_from=webhook_from)
    return replace(made, config=replace(made.config, heartbeat=heartbeat, alerts=alerts))


def uncounted(detail: str, engine: EngineSocket | None = None, asked: Path = HERE) -> Made:
    """What the helper says, which listens at `asked`; the engine's socket is /run/e.sock."""
    report = ProbeReport("containers", ProbeStatus.FAULT, detail)
    return one(containers.not_counted(report, Path("/run/e.sock"), replace(RUNNING, engine=engine), asked))


def checked(made: registry.Check, given: Situation) -> Made:
    """By one of the checks as it is, which asks nobody."""

    def findings() -> Iterator[Finding]:
        runtime = Runtime()
        yield from made(given, runtime)
        runtime.close()

    return findings


def unresolved(reason: Exception | None, detail: str = "it failed", *, answering: bool = True) -> Made:
    """Why the Worker has no address."""
    failed = RequestError(Cause.DNS, detail)
    failed.__cause__ = reason
    return one(names.unresolved("heartbeat.url", "w.example", failed, answering=answering))


def answered(status: int, url: str = HOOK, methods: str = "") -> Made:
    """The webhook's answer."""
    return one(webhook.classify(url, Answer(status, 12.0, {webhook.METHODS: methods} if methods else {})))


def unanswered(cause: Cause) -> Made:
    """No answer of the webhook's."""
    return one(webhook.no_answer(HOOK, RequestError(cause, "why")))


def beaten(result: HeartbeatResult | None) -> Made:
    """The Worker's answer."""
    return one(worker.classify("https://w.example/", "/etc/key", result))


def kept_at(path: str, given: Situation = KNOWN) -> Made:
    """The database's folder, and the file in it."""
    return lambda: storage._findings(replace(given, config=situation(storage={"path": path}).config))


def waiting(stored: bytes | None, loaded: bytes | None) -> Made:
    """A credential as it is stored, and as the running service has it."""
    given, has = ({} if data is None else {SECRET_KEY: Credential("s", data)} for data in (stored, loaded))
    return lambda: unit.waiting_credentials(given, has)


def unit_is(load: str = "loaded", *, outdated: bool = False, status: int = 0, restarts: int = 0) -> Made:
    """The service as systemd has it."""
    state = ("activating", "auto-restart") if status else ("active", "running")
    service = replace(in_state(*state, status, restarts=restarts, outdated=outdated), load=load)
    return lambda: unit.check(replace(KNOWN, service=service))


# What is looked at; then of the one finding meant its subject, its verdict, a part of its text, and its hint as a whole.
CHECK: list[tuple[Made, str, Verdict, str, str]] = [
    (one(check.IN_SANDBOX), "sandbox", OK, "tried as the user heartbeat, in the sandbox of heartbeatd.service", ""),
    (one(check.NOT_LOOKED_AT), "storage", WARNING, "only root can tell what the user", "run it with sudo"),
    (outside(replace(KNOWN, path=HERE)), "sandbox", OK, "the service does not run by /dev/null", ""),
    (outside(KNOWN), "sandbox", OK, "systemd does not answer here", ""),
    (outside(RUNNING), "sandbox", OK, "there is no heartbeatd.service here", ""),
    (outside(replace(RUNNING, service=replace(in_state(), load="masked"))), "sandbox", WARNING, "is masked", ""),
    (outside(HIDING, is_root=False), "sandbox", WARNING, "only root can go in", "run it with sudo"),
    (lambda: (sandbox.read(b"?"),), "sandbox", WARNING, "what is said inside is not understood: ?", ""),
    (one(registry.not_tried("clock", OSError(errno.EIO, "I/O"))), "clock", ERROR, "cannot be tried: I/O", ""),
]
CLOCK: list[tuple[Made, str, Verdict, str, str]] = [
    (timed(NTPSynchronized="yes"), "clock", OK, "the clock is synchronised", ""),
    (
        *(timed(NTP="yes"), "clock", WARNING, "timestamps and TLS depend on it"),
        "a time service runs and has not set it yet: `timedatectl timesync-status`, or `chronyc sources`",
    ),
    (
        *(timed(CanNTP="yes"), "clock", WARNING, "the clock is not synchronised"),
        "a time service is installed and switched off: `timedatectl set-ntp true`",
    ),
    (
        *(timed(battery=False), "clock", WARNING, "there is no battery clock that would keep the time while the host"),
        "install systemd-timesyncd or chrony; in a container the clock is the host's: see to it there",
    ),
    (one(clock.WITHOUT_TIMEDATECTL), "clock", WARNING, "there is no timedatectl here", ""),
    (one(clock.WITHOUT_ANSWER), "clock", WARNING, "timedatectl has no answer", ""),
]
CONFIGURATION: list[tuple[Made, str, Verdict, str, str]] = [
    (
        *(
            one(configuration.unencrypted(Path("/x/key"))),
            "secrets",
            ERROR,
            "/x/key is not encrypted: systemd will not",
        ),
        "mv /x/key /x/key.plain",
    ),
    (lambda: configuration.check(configured()), "configuration", OK, f"{DEFAULT_PATH} is valid", ""),
    (lambda: configuration.check(configured()), "secrets", OK, "the key comes from /etc/key", ""),
    (lambda: configuration.check(configured()), "secrets", OK, "the webhook's URL comes from /etc/credstore/hook", ""),
]
HOST: list[tuple[Made, str, Verdict, str, str]] = [
    (checked(host.check, KNOWN), "host", OK, "(the system's name)", ""),
    (
        checked(host.check, situation(agent={"hostname": "web-1"})),
        *("host", OK, "this host is known as web-1 (agent.hostname)", ""),
    ),
]
CONTAINERS: list[tuple[Made, str, Verdict, str, str]] = [
    (one(containers.number_running(3)), "docker", OK, "3 containers run", ""),
    (
        one(containers.not_counted(ProbeReport("containers", ProbeStatus.OFF, "off"), HERE, KNOWN)),
        *("docker", OK, "off; container_count stays NULL", ""),
    ),
    (
        one(containers.not_counted(ProbeReport("containers", ProbeStatus.FAULT, ""), HERE, KNOWN, NOT_HERE)),
        *("docker", OK, "containers are counted once the agent runs, by heartbeatd-containers.service", ""),
    ),
    (
        *(uncounted("gone", asked=NOT_HERE), "docker", WARNING, "gone; container_count stays NULL"),
        "`systemctl start heartbeatd-containers.socket` (a start of heartbeatd.service does so, too)",
    ),
    (
        *(uncounted("it reads /a, not /b"), "docker", WARNING, "it reads /a, not /b"),
        "name the same socket as docker.socket and in the drop-in for heartbeatd-containers.service: heartbeatd(8), DOCKER",
    ),
    (
        *(uncounted("it is a link to /b"), "docker", WARNING, "is a link to"),
        f"is the engine rootless? The sandbox of heartbeatd-containers.service hides that folder: {MANUAL}",
    ),
    (
        *(uncounted("connection refused"), "docker", WARNING, "connection refused"),
        "is the engine running? `systemctl status docker`",
    ),
    (
        *(uncounted("no answer in time"), "docker", WARNING, "no answer in time"),
        "is the engine busy, or does it hang? `docker info`; docker.timeout_seconds says how long it is waited for",
    ),
    (uncounted("HTTP 500"), "docker", WARNING, "HTTP 500", "`journalctl -u heartbeatd-containers` says more"),
    (uncounted(DENIED), "docker", WARNING, DENIED, f"the engine is Podman's, or rootless? {MANUAL}"),
    (
        *(uncounted(DENIED, EngineSocket(0, 0o660)), "docker", WARNING, DENIED),
        f"/run/e.sock is for its owner alone: {MANUAL}",
    ),
    (
        *(uncounted(DENIED, EngineSocket(1, 0o660)), "docker", WARNING, DENIED),
        "`adduser heartbeat-containers daemon` and `systemctl restart heartbeatd-containers`",
    ),
    (
        one(Finding(WARNING, "docker", DENIED, containers.joined_since("docker"))),
        *("docker", WARNING, DENIED),
        "heartbeat-containers is in the group docker by now: `systemctl restart heartbeatd-containers`",
    ),
]
MOVED = "keep it in /etc/heartbeat: install -o root -g heartbeat -m 640 {} /etc/heartbeat/, and name that file instead"
FILES: list[tuple[Made, str, Verdict, str, str]] = [
    (
        checked(files.check, replace(configured("/etc/passwd"), path=HERE)),
        *("secrets", WARNING, "everybody on this host can read /etc/passwd", "chmod o-rwx /etc/passwd"),
    ),
    (
        *(checked(files.check, replace(HIDING, path=Path("/tmp/none"), sandboxed=True)), "configuration", ERROR),
        *("the service cannot see /tmp/none: PrivateTmp=yes in its unit hides it", MOVED.format("/tmp/none")),
    ),
    (
        *(checked(files.check, replace(configured("/nonexistent"), path=HERE)), "secrets", ERROR),
        "heartbeat.secret_key_file: the file it names cannot be read: No such file or directory",
        "it should be a readable file",
    ),
    (
        one(files.not_allowed("secrets", HERE, "heartbeat", Path("/dev"))),
        *("secrets", ERROR, "the user heartbeat cannot read /dev/null: it may not enter /dev", MOVED.format(HERE)),
    ),
    (
        one(files.not_allowed("secrets", HERE, "heartbeat", None)),
        *("secrets", ERROR, "the user heartbeat cannot read /dev/null"),
        "chown root:heartbeat /dev/null; chmod 640 /dev/null",
    ),
    (
        one(files.not_allowed("secrets", HERE, "nobody", None)),
        *("secrets", ERROR, "the user nobody cannot read /dev/null", "let the user nobody read it"),
    ),
]
NETWORK: list[tuple[Made, str, Verdict, str, str]] = [
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
WEBHOOK: list[tuple[Made, str, Verdict, str, str]] = [
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
        *(answered(401, PRIVATE_HOOK), "webhook", ERROR, "it wants a user and a password"),
        "it does not accept the user and password in alerts.webhook_url (in them, / ? # @ are written %2F %3F %23 %40)",
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
DATABASE, SRV = Path("/srv/heartbeat/metrics.db"), Path("/srv/heartbeat")
STORAGE: list[tuple[Made, str, Verdict, str, str]] = [
    (
        *(one(storage.frozen("/x/m.db")), "storage", ERROR, "the file or its filesystem did not answer within 12 s"),
        "is the filesystem frozen (fsfreeze), or its disk or server gone?",
    ),
    (
        *(one(storage.unreadable(DATABASE, "heartbeat")), "storage", ERROR, "the user heartbeat cannot read"),
        f"chown heartbeat:heartbeat {DATABASE}",
    ),
    (
        *(one(storage.unreadable(storage.STATE / "metrics.db", "heartbeat")), "storage", ERROR, "cannot read"),
        "chown -R heartbeat:heartbeat /var/lib/heartbeat",
    ),
    (
        one(storage.in_use(DATABASE, 7)),
        *("storage", ERROR, f"another heartbeatd (pid 7) has {DATABASE}: the service is refused while that one runs"),
        "stop that one, or name another storage.path",
    ),
    (
        one(storage.out_of_reach(Path("/x/y"), Path("/x"), "nobody")),
        *("storage", ERROR, "the user nobody cannot get to /x/y: it may not enter /x", OWN_FOLDER),
    ),
    (
        one(storage.unwritable(Path("/srv"), "nobody")),
        *("storage", ERROR, "the user nobody cannot write in /srv", OWN_FOLDER),
    ),
    (
        *(one(storage.unwritable(SRV, "heartbeat")), "storage", ERROR, "the user heartbeat cannot write in"),
        f"install -d -o heartbeat -g heartbeat -m 750 {SRV}, and {DROP_IN.format(SRV)}",
    ),
    (
        one(storage.mounted_read_only(Path("/"), KNOWN, "nobody")),
        *("storage", ERROR, "the filesystem of / is mounted read-only", "mount it to be written to"),
    ),
    (
        one(storage.read_only_in_sandbox(SRV, "heartbeat", is_ours=True)),
        *("storage", ERROR, "is read-only for the service: ReadWritePaths= of its unit does not name it"),
        DROP_IN.format(SRV),
    ),
    (
        one(storage.read_only_in_sandbox(Path("/srv"), "nobody", is_ours=False)),
        *("storage", ERROR, "/srv is read-only for the service", OWN_FOLDER),
    ),
    (
        *(kept_at("/tmp/none/m.db", replace(HIDING, sandboxed=True)), "storage", ERROR),
        "the service has another /tmp/none than others: PrivateTmp=yes in its unit",
        f'install -d -o {user_name()} -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"',
    ),
    (
        *(kept_at("/nonexistent/m.db"), "storage", ERROR, "there is no folder /nonexistent"),
        f"install -d -o {user_name()} -m 750 /nonexistent",
    ),
    (
        *(kept_at(f"{__file__}/m.db"), "storage", ERROR, "is not a folder"),
        f'install -d -o {user_name()} -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"',
    ),
    (kept_at(str(storage.STATE / "m.db")), "storage", OK, "systemd makes it at the first start", ""),
    (kept_at(f"{__file__}.db"), "storage", OK, ".db will be created", ""),
    (
        one(storage.usable(DATABASE, {"metrics"}, writable=True)),
        *("storage", OK, "is the earlier agent's; it will be taken over, every row kept", ""),
    ),
    (
        one(storage.usable(DATABASE, {"metrics", "alert_state"}, writable=False)),
        *("storage", OK, "belongs to somebody else; the agent will go on with a copy of its own in its place", ""),
    ),
    (one(storage.usable(DATABASE, (), writable=True)), "storage", OK, f"{DATABASE} can be used", ""),
    (
        one(running.needs_restart("storage", SRV)),
        *("storage", WARNING, f"the running service cannot use {SRV}, and a newly started one can", RESTART),
    ),
]
VERIFY = "`systemd-analyze verify heartbeatd.service` says what is wrong in them; then `sudo systemctl daemon-reload`"
OLD_HELPER = "/usr/lib/python3/dist-packages/heartbeatd/containers/helper.py"
UNIT: list[tuple[Made, str, Verdict, str, str]] = [
    (unit_is("masked"), "service", ERROR, "is masked: systemd will not start it", "`sudo systemctl unmask heartbeatd`"),
    (unit_is("bad-setting"), "service", ERROR, "systemd cannot use the files of heartbeatd.service (Load", VERIFY),
    (
        *(unit_is(outdated=True), "service", WARNING, "the unit's files have changed since systemd read them"),
        "`systemctl daemon-reload`, then restart it",
    ),
    (
        lambda: (replace(unit.cannot_start(226, replace(KNOWN, service=in_state(restarts=1))), hint=""),),
        *("service", ERROR, "tried 2 times", ""),  # the hints are start_failure's: test_unit
    ),
    (
        lambda: unit.moved_helper((("ExecStart", f"{OLD_HELPER} /a /b"),)),
        *("docker", WARNING, f"starts {OLD_HELPER}, which is no more: containers are not counted"),
        "`sudo systemctl edit heartbeatd-containers`: ExecStart=/usr/libexec/heartbeatd/containers /a /b",
    ),
    (waiting(None, b"a"), "secrets", WARNING, "was removed, and the running service goes on with the one it", RESTART),
    (waiting(b"a", None), "secrets", WARNING, "is stored, and the running service does not have it yet", RESTART),
    (waiting(b"a", b"b"), "secrets", WARNING, "was changed, and the running service goes on with the one", RESTART),
]
TABLE = [*CHECK, *CLOCK, *CONFIGURATION, *HOST, *CONTAINERS, *FILES, *NETWORK, *WEBHOOK, *STORAGE, *UNIT]


@pytest.mark.parametrize(("made", "subject", "verdict", "text", "hint"), TABLE, ids=[row[3] for row in TABLE])
def test_a_finding(made: Made, subject: str, verdict: Verdict, text: str, hint: str) -> None:
    """On that subject, as bad as that, with that text, and with nothing else to do than that."""
    (finding,) = (each for each in made() if text in each.text)
    assert finding == Finding(verdict, subject, finding.text, hint)


# Not said of anything that is found: the command line's help, and what happens when the sandbox cannot be used (test_unit).
NO_CHECKS = {"printing", "in_sandbox", "situation"}
NOT_FINDINGS = {"add", "findings", "_systemd_run", "_INSIDE"}


def words_of_findings(path: Path) -> Iterator[str]:
    """Each piece of prose in a module of the checks, except what is compared with, asked of SQLite, or a docstring."""
    for top in ast.parse(path.read_text()).body:
        names_it = {getattr(top, "name", ""), *(t.id for t in getattr(top, "targets", ()) if isinstance(t, ast.Name))}
        if names_it & NOT_FINDINGS:
            continue
        left_out: set[int] = set()
        for node in ast.walk(top):
            is_query = isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("execute", "endswith")
            if (
                isinstance(node, ast.Compare)
                or is_query
                or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            ):
                left_out |= {id(inner) for inner in ast.walk(node)}
        for node in ast.walk(top):
            if id(node) not in left_out and isinstance(node, ast.Constant) and " " in str(node.value).strip():
                yield str(node.value)


def test_no_finding_is_missing() -> None:
    """Whatever the checks can say is in what the table brings about."""
    brought_about = "\n".join(f"{finding.text}\n{finding.hint}" for made, *_ in TABLE for finding in made())
    modules = [path for path in Path(check.__file__).parent.glob("*.py") if path.stem not in NO_CHECKS]
    missing = {
        (path.name, words) for path in modules for words in words_of_findings(path) if words not in brought_about
    }
    assert missing == set()
