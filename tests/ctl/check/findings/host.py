"""The clock, the configuration, the host's name, files, containers."""

from dataclasses import replace
from pathlib import Path

from heartbeatd.config.alerts import ChannelConfig
from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.core.sample import ProbeReport, ProbeStatus
from heartbeatd.ctl.check import (
    channels,
    clock,
    configuration,
    containers,
    containers_sdk,
    files,
    host,
)
from heartbeatd.ctl.check.finding import Finding
from heartbeatd.ctl.check.situation import EngineSocket
from tests.ctl.check.conftest import situation
from tests.ctl.check.findings.shared import (
    ERROR,
    HERE,
    HIDING,
    KNOWN,
    NOT_HERE,
    OK,
    RUNNING,
    WARNING,
    Made,
    Row,
    checked,
    configured,
    one,
)

MANUAL = "heartbeatd(8), DOCKER, says how the helper is let in"
DENIED = "permission denied: no rights"
MOVED = "keep it in /etc/heartbeat: install -o root -g heartbeat -m 640 {} /etc/heartbeat/, and name that file instead"


def timed(*, battery: bool = True, **properties: str) -> Made:
    """What timedatectl shows."""
    return one(clock.classify(properties, battery=battery))


def uncounted(detail: str, engine: EngineSocket | None = None, asked: Path = HERE) -> Made:
    """What the helper says, which listens at `asked`; the engine's socket is /run/e.sock."""
    report = ProbeReport("containers", ProbeStatus.FAILED, detail)
    return one(containers.not_counted(report, Path("/run/e.sock"), replace(RUNNING, engine=engine), asked))


CLOCK: list[Row] = [
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

CONFIGURATION: list[Row] = [
    (
        *(
            one(configuration.unencrypted(Path("/x/key"), is_agents=True)),
            "secrets",
            ERROR,
            "/x/key is not encrypted: systemd will not",
        ),
        "mv /x/key /x/key.plain",
    ),
    (
        *(one(configuration.unencrypted(Path("/x/url"), is_agents=False)), "secrets", ERROR),
        *("/x/url is not encrypted: it is not used under this name", "mv /x/url /x/url.plain"),
    ),
    (lambda: configuration.check(configured()), "configuration", OK, f"{DEFAULT_PATH} is valid", ""),
    (lambda: configuration.check(configured()), "secrets", OK, "the key comes from /etc/key", ""),
    (
        *(
            lambda: channels.offline([ChannelConfig(name="phone"), ChannelConfig(name="mail")], has_apprise=False),
            "channels",
        ),
        *(ERROR, "apprise is not installed, so no alert reaches phone, mail", "`apt install apprise`"),
    ),
]

HOST: list[Row] = [
    (checked(host.check, KNOWN), "host", OK, "(the system's name)", ""),
    (
        checked(host.check, situation(agent={"hostname": "web-1"})),
        *("host", OK, "this host is known as web-1 (agent.hostname)", ""),
    ),
]

FILES: list[Row] = [
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

CONTAINERS: list[Row] = [
    (one(containers.number_running(3)), "docker", OK, "3 containers run", ""),
    (
        one(containers.not_counted(ProbeReport("containers", ProbeStatus.OFF, "off"), HERE, KNOWN)),
        *("docker", OK, "off; container_count stays NULL", ""),
    ),
    (
        one(containers.not_counted(ProbeReport("containers", ProbeStatus.FAILED, ""), HERE, KNOWN, NOT_HERE)),
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
    *(
        (one(containers_sdk.not_compared(why)), "docker", OK, f"not compared with what the Docker SDK lists: {why}", "")
        for why in (
            *(containers_sdk.ONLY_ROOT, containers_sdk.NO_SDK, containers_sdk.SILENT),
            containers_sdk.not_roots(Path("/run/e.sock")),
        )
    ),
    (
        one(containers_sdk.compared(Path("/run/e.sock"), frozenset("ab"), frozenset("ba"))),
        *("docker", OK, "the Docker SDK lists the same as the helper: 2 running containers", ""),
    ),
    (
        one(containers_sdk.compared(Path("/run/e.sock"), frozenset("ax"), frozenset("bcdefgx"))),
        *(
            "docker",
            WARNING,
            "other containers at /run/e.sock: only the helper: a; only the SDK: b, c, d, e, f and 1 more",
        ),
        "`docker --host unix:///run/e.sock ps` shows which is right; `journalctl -u heartbeatd-containers` says more",
    ),
]
