"""`heartbeatctl check`: what is wrong before anything runs.

As root everything is tried as the user heartbeat, because that is who the agent is.
"""

import argparse
import grp
import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from heartbeatd import wiring
from heartbeatd.config import Config, load
from heartbeatd.core.alerting import rule_for
from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.model import Presence, Sample
from heartbeatd.core.payload import heartbeat_body
from heartbeatd.core.redact import shown_url
from heartbeatd.core.wording import CAUSE_ADVICE
from heartbeatd.credentials import NAMES, PLAIN, STORE
from heartbeatd.ctl import service
from heartbeatd.errors import ConfigError, ExitCode, StoreError
from heartbeatd.net.answer import NoAnswer
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.probes import base, reader
from heartbeatd.probes.containers import Containers
from heartbeatd.process import Process
from heartbeatd.sinks.store import open_to_read
from heartbeatd.sinks.systemd import is_journal
from heartbeatd.waiting import seconds_from_now

READER = "heartbeatd-containers"
READER_USER = "heartbeat-containers"


class Verdict(StrEnum):
    """How bad it is. A warning leaves the agent working; an error does not."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


_LEVELS = {Verdict.OK: "<6>", Verdict.WARNING: "<4>", Verdict.ERROR: "<3>"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: on what, how it stands, and what to do."""

    verdict: Verdict
    subject: str
    text: str
    todo: str = ""


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("--offline", action="store_true", help="only validate the file; try nothing")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 nothing is wrong (warnings may be), 1 something is, 78 the file is refused."""
    try:
        config = load(arguments.config, service.credentials())
    except ConfigError as error:
        for problem in error.problems:
            _print(Finding(Verdict.ERROR, "configuration", f"{problem.where}: {problem.what}", problem.hint))
        return error.exit_code
    worst = Verdict.OK
    misplaced = list(_misplaced())
    service.become_user(arguments.config)
    for finding in itertools.chain(misplaced, _findings(config, arguments.config, offline=arguments.offline)):
        if finding.verdict is not Verdict.OK and worst is not Verdict.ERROR:
            worst = finding.verdict
        if finding.verdict is Verdict.ERROR or not arguments.quiet:
            _print(finding)
    return ExitCode.FAILED if worst is Verdict.ERROR else ExitCode.OK


def _print(finding: Finding) -> None:
    # As ExecReload= the output goes to the journal: sd-daemon(3) tells it there how bad a line is.
    level = _LEVELS[finding.verdict] if is_journal(sys.stdout) else ""
    print(f"{level}{finding.verdict:<8} {finding.subject:<14} {finding.text}", flush=True)
    if finding.todo:
        print(f"{level}{'':<23} → {finding.todo}", flush=True)


def _findings(config: Config, path: Path, *, offline: bool) -> Iterator[Finding]:
    yield Finding(Verdict.OK, "configuration", f"{path} is valid")
    yield from _configuration(config, path)
    if offline:
        return
    process = Process()
    try:
        for look in (_names, _worker, _webhook, _internet, _docker, _storage, _clock):
            yield from look(config, process)
    finally:
        process.close()


def _misplaced() -> Iterator[Finding]:
    """Credentials that would keep the service from starting. Only root may look for them."""
    for name in NAMES if os.access(STORE, os.X_OK) else ():
        if (STORE / name).exists():
            yield Finding(
                Verdict.ERROR,
                "secrets",
                f"{STORE / name} is not encrypted: systemd will not start the service with it (status 243)",
                f"mv {STORE / name} {STORE / name}{PLAIN}",
            )


def _readable_by_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # no file, or in a folder that is not for us, and so not for all
        return False


def _configuration(config: Config, path: Path) -> Iterator[Finding]:
    if not os.access(path, os.R_OK):
        yield Finding(
            Verdict.ERROR,
            "configuration",
            f"the user {service.USER} cannot read {path}",
            f"chown root:{service.USER} {path}; chmod 640 {path}",
        )
    for file in (path, Path(config.heartbeat.secret_from)):
        if config.heartbeat.secret and _readable_by_all(file):
            yield Finding(Verdict.WARNING, "secrets", f"everybody on this host can read {file}", f"chmod o-rwx {file}")
    if config.heartbeat.url:
        yield Finding(Verdict.OK, "secrets", f"the key comes from {config.heartbeat.secret_from}")
    if config.alerts.webhook_from.startswith(("systemd", "/etc/credstore")):
        yield Finding(Verdict.OK, "secrets", f"the webhook's URL comes from {config.alerts.webhook_from}")
        if urlsplit(config.heartbeat.url).scheme == "http" and not _is_loopback(config.heartbeat.url):
            yield Finding(
                Verdict.WARNING,
                "heartbeat",
                "the key goes over the network in the clear",
                "use https:// in heartbeat.url",
            )
    if config.longest_cycle_s >= config.agent.interval_seconds:
        yield Finding(
            Verdict.WARNING,
            "configuration",
            f"a cycle may wait {config.longest_cycle_s:g} s, agent.interval_seconds is {config.agent.interval_seconds}",
            "lower heartbeat.timeout_seconds, internet.timeout_seconds or docker.timeout_seconds, or slots will be missed",
        )


def _names(config: Config, process: Process) -> Iterator[Finding]:
    urls = {
        "heartbeat.url": config.heartbeat.url,
        "alerts.webhook_url": config.alerts.webhook_url.reveal(),
        "internet.url": config.internet.url,
    }
    for key, url in urls.items():
        parts = urlsplit(url)
        if not parts.hostname:
            continue
        try:
            found = process.resolver.lookup(parts.hostname, parts.port or 443, seconds_from_now(5), process.waiter)
        except NoAnswer as error:
            yield Finding(
                Verdict.WARNING if key == "internet.url" else Verdict.ERROR,
                "names",
                f"{key}: {error.detail}",
                "look at the name, /etc/resolv.conf and `resolvectl status`",
            )
        else:
            yield Finding(
                Verdict.OK, "names", f"{key}: {parts.hostname} is {', '.join(sorted({a.sockaddr[0] for a in found}))}"
            )


def _worker(config: Config, process: Process) -> Iterator[Finding]:
    url = config.heartbeat.url
    sender = wiring.heartbeat(config, process)
    if sender is None:
        yield Finding(
            Verdict.WARNING, "worker", "heartbeat.url is not set: nothing is sent", "set heartbeat.url and a key"
        )
        return
    now_ns = process.clock.now_ns()
    body = heartbeat_body(wiring.agent(config, process), Sample(now_ns), uuid7(now_ns, os.urandom(RANDOM_BYTES)), 0)
    beat = sender.send(body, process.waiter)
    sender.close()
    if beat is None or beat.status is None:
        cause, detail = (beat.cause, beat.detail) if beat is not None else (None, "interrupted")
        yield Finding(
            Verdict.ERROR, "worker", f"{shown_url(url)}: {cause}: {detail}", CAUSE_ADVICE[cause] if cause else ""
        )
        return
    rule = rule_for(beat.status)
    if rule is not None and rule.state.good:
        yield Finding(
            Verdict.OK, "worker", f"{shown_url(url)} took a heartbeat (HTTP {beat.status} in {beat.took_ms:.0f} ms)"
        )
        return
    meaning = rule.meaning if rule else "not an HTTP answer"
    yield Finding(
        Verdict.ERROR,
        "worker",
        f"{shown_url(url)} answers HTTP {beat.status}: {meaning}",
        f"compare heartbeat.url and the key (from {config.heartbeat.secret_from}) with the Worker's",
    )


def _webhook(config: Config, process: Process) -> Iterator[Finding]:
    url = config.alerts.webhook_url.reveal()
    if not url:
        yield Finding(
            Verdict.WARNING,
            "webhook",
            "alerts.webhook_url is not set: changes of the Worker are only logged",
            "set alerts.webhook_url",
        )
        return
    # OPTIONS starts no workflow, and any HTTP answer shows that somebody listens.
    yield from _reach(process, "webhook", "OPTIONS", url, config.alerts.timeout_seconds)


def _internet(config: Config, process: Process) -> Iterator[Finding]:
    yield from _reach(process, "internet", "HEAD", config.internet.url, config.internet.timeout_seconds)


def _reach(process: Process, subject: str, method: str, url: str, timeout_s: float) -> Iterator[Finding]:
    client = Client(process.resolver, wiring.USER_AGENT)
    shown = shown_url(url)
    bad, todo = Verdict.WARNING, "is this host online? if it is, choose another internet.url"
    if subject == "webhook":
        bad, todo = Verdict.ERROR, "is n8n up, and alerts.webhook_url right?"
    try:
        answer = client.send(Request(method, Target.of(url)), timeout_s, process.waiter)
    except NoAnswer as error:
        yield Finding(bad, subject, f"{shown}: {error}", todo)
    else:
        said = f"{shown} is reachable (it answers {method} with HTTP {answer.status}, {answer.took_ms:.0f} ms)"
        yield Finding(
            Verdict.OK, subject, said, "`heartbeatctl test-alert` sends a real message" if subject == "webhook" else ""
        )
    finally:
        client.close()


def _docker(config: Config, process: Process) -> Iterator[Finding]:
    settings = config.docker
    probe = Containers(process.lane("docker"), settings.socket, settings.timeout_seconds)
    probe.warm_up(seconds_from_now(10), process.waiter)
    reading = base.begin(
        "containers", lambda: probe.start(seconds_from_now(settings.timeout_seconds), process.waiter)
    )()
    probe.close()
    if reading.value is not None:
        yield Finding(Verdict.OK, "docker", f"{reading.value} containers run")
    elif reading.note.presence is Presence.ABSENT:
        yield Finding(Verdict.OK, "docker", f"{reading.note.detail}; container_count stays NULL")
    else:
        yield Finding(
            Verdict.WARNING,
            "docker",
            f"{reading.note.detail}; container_count stays NULL",
            _docker_todo(Path(settings.socket.removeprefix("unix://"))),
        )


def _docker_todo(path: Path) -> str:
    """What to do about an engine that cannot be read."""
    if not reader.SOCKET.exists():
        return f"`systemctl start {READER}.socket` (a start of heartbeatd.service does so too); or set docker.socket to nothing"
    try:
        group = grp.getgrgid(path.stat().st_gid)
    except (OSError, KeyError):
        return f"`journalctl -u {READER}` says more"
    if READER_USER not in group.gr_mem and group.gr_name != "root":
        return f"`adduser {READER_USER} {group.gr_name}` and `systemctl restart {READER}`"
    return f"is the engine up? `docker info`; `journalctl -u {READER}` says more"


def _storage(config: Config, process: Process) -> Iterator[Finding]:
    path = Path(config.storage.path)
    try:
        is_folder = path.parent.is_dir()
    except OSError as error:
        yield Finding(
            Verdict.ERROR,
            "storage",
            f"{path.parent}: {error.strerror}",
            f"the user {service.USER} has to get there: choose another folder for storage.path, or open the way to this one",
        )
        return
    if not is_folder:
        at_default = path.parent == Path("/var/lib/heartbeat")
        yield Finding(
            Verdict.OK if at_default else Verdict.ERROR,
            "storage",
            f"there is no folder {path.parent}" + ("; systemd makes it at the first start" if at_default else ""),
            "" if at_default else f"install -d -o {service.USER} -g {service.USER} -m 750 {path.parent}",
        )
        return
    if not os.access(path.parent, os.W_OK | os.X_OK):
        yield Finding(
            Verdict.ERROR,
            "storage",
            f"{path.parent} cannot be written",
            _storage_todo(path),
        )
        return
    if not path.exists():
        yield Finding(Verdict.OK, "storage", f"{path} will be created")
        return
    if not os.access(path, os.R_OK | os.W_OK):
        yield Finding(Verdict.ERROR, "storage", f"{path} cannot be read and written", _storage_todo(path))
        return
    try:
        connection = open_to_read(path)
    except StoreError as error:
        for problem in error.problems:
            yield Finding(Verdict.ERROR, "storage", f"{problem.where}: {problem.what}", problem.hint)
        return
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    taken_over = "alert_state" not in tables and "metrics" in tables
    yield Finding(
        Verdict.OK,
        "storage",
        f"{path} is the earlier agent's; it will be taken over, every row kept"
        if taken_over
        else f"{path} can be used",
    )


def _storage_todo(path: Path) -> str:
    """What makes the database's folder the agent's to write in."""
    todo = f"chown -R {service.USER}:{service.USER} {path.parent}"
    if path.parent != Path("/var/lib/heartbeat"):
        todo += f", and a drop-in for the unit with ReadWritePaths={path.parent}"
    return todo


def _clock(config: Config, process: Process) -> Iterator[Finding]:
    try:
        shown = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        yield Finding(
            Verdict.WARNING, "clock", "cannot tell whether the clock is synchronised: timedatectl does not answer"
        )
        return
    if shown == "yes":
        yield Finding(Verdict.OK, "clock", "the clock is synchronised")
    else:
        yield Finding(
            Verdict.WARNING,
            "clock",
            "the clock is not synchronised",
            "install systemd-timesyncd or chrony: timestamps and TLS depend on it",
        )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
