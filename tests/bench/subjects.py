"""Who is compared, and how each is set up to do what heartbeatd does: CPU, memory and root disk, each ten seconds."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.pollers import scrape, zabbix

AGENT, HELPER = "heartbeatd", "its containers helper"
EARLIER, EXPORTER, COLLECTD = "the earlier agent's way", "node-exporter, as Debian has it", "collectd"
FOLDER = "/opt/bench"  # on the host


@dataclass(frozen=True, slots=True)
class Place:
    """What stands around the subjects: the Worker (HTTPS), the port of the check (plain HTTP), the suite, free ports."""

    worker: str
    check_port: int
    suite: str
    ports: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Subject:
    """One row: a unit, Debian's own or, with a `command`, one that systemd-run makes.

    `files` are written before it is started (path, text); `poll` asks it each ten seconds.
    """

    name: str
    unit: str
    packages: tuple[str, ...] = ()
    command: str = ""
    files: tuple[tuple[str, str], ...] = ()
    poll: Callable[[], None] | None = None
    without: str = ""  # why it is left out, if it is


def subjects(place: Place) -> tuple[Subject, ...]:
    """All of them, heartbeatd first."""
    python_packages = ("python3-docker", "python3-psutil", "python3-requests")
    check = f"http://127.0.0.1:{place.check_port}/"
    return (
        Subject(AGENT, "heartbeatd.service"),
        Subject(HELPER, "heartbeatd-containers.service"),
        Subject(
            EARLIER,
            "bench-earlier.service",
            python_packages,
            f"python3 {FOLDER}/earlier.py {place.worker} {check} {FOLDER}/ca.pem /var/lib/bench-earlier.db",
        ),
        *_exporters(place.ports[0], place.ports[1]),
        _collectd(),
        _monit(place.check_port),
        _zabbix(place),
        _glances(),
        _netdata(place.suite),
        Subject(
            "bare python3, asleep",
            "bench-python.service",
            ("python3",),
            "python3 -c 'import time; time.sleep(86400)'",
        ),
        Subject(
            "the floor: a C loop",
            "bench-floor.service",
            ("libsqlite3-0",),
            f"{FOLDER}/floor {place.check_port} /var/lib/bench-floor.db",
        ),
    )


def _exporters(port: int, other_port: int) -> tuple[Subject, Subject]:
    packages = ("prometheus-node-exporter",)
    listen = "--web.listen-address=127.0.0.1:"
    few = " ".join(f"--collector.{name}" for name in ("cpu", "meminfo", "filesystem", "stat", "loadavg"))
    return (
        Subject(
            EXPORTER,
            "prometheus-node-exporter.service",
            packages,
            files=(("/etc/default/prometheus-node-exporter", f'ARGS="{listen}{port}"\n'),),
            poll=scrape(port),
        ),
        Subject(
            "node-exporter, 5 collectors",
            "bench-exporter.service",
            packages,
            f"prometheus-node-exporter --collector.disable-defaults {few} {listen}{other_port}",
            poll=scrape(other_port),
        ),
    )


def _collectd() -> Subject:
    plugins = "".join(f"LoadPlugin {name}\n" for name in ("cpu", "memory", "load", "df", "csv"))
    config = (
        f'Interval 10\n{plugins}<Plugin df>\n  MountPoint "/"\n</Plugin>\n'
        '<Plugin csv>\n  DataDir "/var/lib/collectd/csv"\n</Plugin>\n'
    )
    return Subject(COLLECTD, "collectd.service", ("collectd-core",), files=(("/etc/collectd/collectd.conf", config),))


def _monit(port: int) -> Subject:
    config = (
        "set daemon 10\nset log /var/log/monit.log\nset idfile /var/lib/monit/id\nset statefile /var/lib/monit/state\n"
        "check system $HOST\n  if cpu usage > 99% then alert\n  if memory usage > 99% then alert\n"
        "check filesystem root with path /\n  if space usage > 99% then alert\n"
        f'check host worker with address 127.0.0.1\n  if failed port {port} protocol http request "/" method HEAD then alert\n'
    )
    return Subject("monit", "monit.service", ("monit",), files=(("/etc/monit/monitrc", config),))


def _zabbix(place: Place) -> Subject:
    port = place.ports[2]
    config = (
        "LogFile=/var/log/zabbix/zabbix_agent2.log\nControlSocket=/run/zabbix/agent.sock\nHostname=bench\n"
        f"Server=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\nPidFile=/run/zabbix/zabbix_agent2.pid\n"
    )
    keys = (
        *("system.cpu.util", "vm.memory.size[pavailable]", "vfs.fs.size[/,pused]"),
        f"net.tcp.service[http,127.0.0.1,{place.check_port}]",
    )
    files = (("/etc/zabbix/zabbix_agent2.conf", config),)
    return Subject("zabbix-agent2", "zabbix-agent2.service", ("zabbix-agent2",), files=files, poll=zabbix(port, keys))


def _glances() -> Subject:
    command = (
        "glances --quiet --time 10 --disable-plugin all --enable-plugin cpu,mem,fs,load --disable-check-update "
        f"--export csv --export-csv-file {FOLDER}/glances.csv"
    )
    return Subject("glances", "bench-glances.service", ("glances",), command)


def _netdata(suite: str) -> Subject:
    config = (
        "[global]\n  run as user = netdata\n[db]\n  update every = 10\n[web]\n  bind to = 127.0.0.1\n"
        "[registry]\n  enabled = no\n"
    )
    return Subject(
        "netdata",
        "netdata.service",
        ("netdata-core",),
        files=(("/etc/netdata/netdata.conf", config),),
        without="" if suite == "bookworm" else f"Debian {suite} has no netdata",
    )
