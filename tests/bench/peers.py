"""Compares heartbeatd with what else watches a host: `python3 -m tests.bench.peers`, as root, some twenty minutes.

In one booted throw-away Debian with ten containers run, each as a service: heartbeatd as installed, beating over HTTPS each ten
seconds; Debian's monitoring agents, set up to measure the same as often; the earlier agent's way of working; a sleeping
Python; and a C loop, the floor. Progress goes to stderr, a Markdown table to stdout. Run it on an idle machine.
"""

import argparse
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import alone, packages, syscalls, table, unit_usage
from tests.bench.pollers import Pollers, free_ports
from tests.bench.stage import CA_FILE, CONTAINERS, Stage, build_package, compile_floor, copy_in, say, staged
from tests.bench.subjects import AGENT, FOLDER, HELPER, Place, Subject, subjects
from tests.support.agent import CHECKOUT
from tests.support.receiver import WORKER
from tests.system.tree import PACKAGES, SUITES

NEEDED = ("dockerd", "dpkg-buildpackage", "gcc", "mmdebstrap", "openssl", "strace", "systemd-nspawn")
STARTS = 5
_OF_AGENT = (AGENT, HELPER)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    suite: str
    cycles: int
    late_cycles: int
    settle_s: int
    write: Path | None


def main() -> None:
    """Print the table; with --write also put it into a file."""
    options = _options()
    if os.geteuid() != 0:
        sys.exit("it boots a Debian, mounts a disk and starts a Docker engine, so it has to be run as root")
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        sys.exit(f"not installed here: {', '.join(missing)}; `make bench` installs them")
    if options.write is not None:
        try:
            table.around(options.write)  # now, rather than in twenty minutes
        except (OSError, ValueError) as error:
            sys.exit(str(error))
    # SIGINT, too: whoever starts this in the background may have it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began_s = time.monotonic()
    try:
        with staged(options.suite) as stage:
            result = _Run(stage, options).result()
    except KeyboardInterrupt:
        sys.exit("interrupted: the host, the engine and the disk are gone again")
    say(f"done in {(time.monotonic() - began_s) / 60:.0f} minutes")
    text = table.markdown(result)
    print(text)
    if options.write is not None:
        table.write(options.write, text)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.peers", description=__doc__)
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0], help="which Debian (default: %(default)s)")
    parser.add_argument("--cycles", type=int, default=12, help="cycles of 10 s to measure (default: %(default)s)")
    parser.add_argument("--late-cycles", type=int, default=180, help="of 1 s, for lateness (default: %(default)s)")
    parser.add_argument("--settle", type=int, default=120, help="seconds before measuring (default: %(default)s)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"replace what is between {table.BEGIN} and {table.END}"
    )
    given = parser.parse_args()
    return Options(given.suite, given.cycles, given.late_cycles, given.settle, given.write)


class _Run:
    """The phases, in order."""

    def __init__(self, stage: Stage, options: Options) -> None:
        self._stage, self._options = stage, options
        ports = free_ports(3)
        place = Place(stage.worker.url(WORKER), stage.check_port, options.suite, (ports[0], ports[1], ports[2]))
        everybody = subjects(place)
        self._subjects = [s for s in everybody if not s.without]
        self._notes = [f"{s.name}: not measured: {s.without}" for s in everybody if s.without]
        self._running: list[Subject] = []

    def result(self) -> table.Result:
        """Run all of it."""
        sizes = self._install()
        self._set_up()
        start_ms = {subject.name: self._start(subject) for subject in self._subjects}
        figures, calls = self._measure()
        self._stop()
        by_itself = alone.measured(self._stage, self._options.cycles, self._options.late_cycles)
        if "cpu" not in self._stage.host.path("/sys/fs/cgroup/cgroup.controllers").read_text().split():
            self._notes.append(
                "CPUWeight= has no effect on this host, whose control groups have no cpu controller; Nice= has."
            )
        rows = [
            table.Row(s.name, sizes.get(s.name), figures.get(s.name), calls.get(s.name), start_ms.get(s.name))
            for s in self._subjects
        ]
        return table.Result(self._header(), tuple(rows), by_itself, (*_STANDING_NOTES, *self._notes))

    def _install(self) -> dict[str, float]:
        """Install everything; before that, the MiB that each subject with packages would add to the bare host."""
        host = self._stage.host
        with tempfile.TemporaryDirectory() as folder:
            say("building the package")
            deb = packages.offer(host, build_package(Path(folder)))
            copy_in(host, compile_floor(Path(folder)), f"{FOLDER}/floor")
        say("looking at sizes, installing packages")
        host.run("apt-get update -qq", timeout_s=180)
        wanted = {s.name: s.packages for s in self._subjects if s.packages} | {AGENT: (deb,)}
        sizes = {name: packages.added_mib(host, words) for name, words in wanted.items()}
        packages.install(host, dict.fromkeys(word for words in wanted.values() for word in words))
        return sizes

    def _set_up(self) -> None:
        stage = self._stage
        copy_in(stage.host, CHECKOUT / "tests/bench/earlier.py", f"{FOLDER}/earlier.py")
        copy_in(stage.host, stage.authority.file, f"{FOLDER}/ca.pem")
        copy_in(stage.host, stage.authority.file, CA_FILE)
        stage.host.path("/etc/heartbeat/config.toml").write_text(stage.toml(unit_usage.INTERVAL_S))
        # Who Docker's socket belongs to where Docker is installed.
        stage.host.run("chgrp docker /run/docker.sock; chmod 660 /run/docker.sock")
        # Debian starts most of them once installed, and glances as a server.
        units = {s.unit for s in self._subjects if not s.command} | {"glances.service"}
        stage.host.run(f"systemctl stop {' '.join(units)}", check=False)

    def _start(self, subject: Subject) -> float | None:
        """Start it; the median ms of several starts until it was up, where its unit's type tells that."""
        host = self._stage.host
        if subject.name == HELPER:  # systemd starts it when the agent asks
            self._running.append(subject)
            return None
        say(f"starting {subject.name}")
        try:
            for file, text in subject.files:
                host.path(file).write_text(text)
            command = f"systemd-run --unit={subject.unit} {subject.command}"
            host.run(command if subject.command else f"systemctl start {subject.unit}")
            self._running.append(subject)
            return (
                statistics.median(self._restart(subject.unit) for _ in range(STARTS)) if self._tells(subject) else None
            )
        except AssertionError as error:
            self._notes.append(f"{subject.name}: not measured: it did not start")
            say(str(error))
            return None

    def _tells(self, subject: Subject) -> bool:
        kind = self._stage.host.out(f"systemctl show --property=Type --value {subject.unit}")
        return kind in ("notify", "forking")

    def _restart(self, unit: str) -> float:
        """Milliseconds from its start to active; ExecStartPre= is not its own start."""
        host = self._stage.host
        names = ("ExecMainStartTimestampMonotonic", "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        # reset-failed: or systemd would find that it, or a socket that goes with it, is started too often.
        host.run(f"systemctl reset-failed; systemctl restart {unit}")
        said = host.out(f"systemctl show --property={','.join(names)} {unit}")
        found = {name: int(value) for name, _, value in (line.partition("=") for line in said.splitlines())}
        began, left, active = (found[name] for name in names)
        return (active - (began or left)) / 1000

    def _measure(self) -> tuple[dict[str, unit_usage.Figures], dict[str, float]]:
        """Figures and system calls a cycle, of those that still run at the end."""
        with Pollers({s.name: s.poll for s in self._running if s.poll}) as pollers:
            say(f"all run; letting them settle for {self._options.settle_s} s")
            time.sleep(self._options.settle_s)
            pollers.faults.clear()  # some have no answer yet when asked for the first time
            groups = {s.name: self._stage.group(s.unit) for s in self._running if self._is_up(s)}
            say(f"measuring {self._options.cycles} cycles of {unit_usage.INTERVAL_S} s")
            figures = unit_usage.measure(groups, self._options.cycles)
            self._note_what_the_agent_missed()
            cycles = max(1, self._options.cycles // 2)
            say(f"counting system calls, {cycles} cycles")
            calls = syscalls.count({name: unit_usage.members(group) for name, group in groups.items()}, cycles)
        self._notes += [f"{name}: asked in vain at least once ({fault})" for name, fault in pollers.faults.items()]
        return figures, calls

    def _note_what_the_agent_missed(self) -> None:
        """A cycle that did not do all its work would look cheap."""
        whole = (CONTAINERS, 1, 200)
        rows = alone.last_rows(
            self._stage.disk, "container_count, internet_ok, worker_status", max(1, self._options.cycles - 1)
        )
        if wrong := [row for row in rows if row != whole]:
            self._notes.append(
                f"{AGENT}: {len(wrong)} of {len(rows)} cycles were not whole: {wrong[0]} instead of {whole}"
            )

    def _is_up(self, subject: Subject) -> bool:
        if self._stage.host.run(f"systemctl is-active --quiet {subject.unit}", check=False).returncode == 0:
            return True
        self._notes.append(f"{subject.name}: not measured: it ended by itself")
        say(self._stage.host.journal(f"--unit={subject.unit}", "-n", "20"))
        return False

    def _stop(self) -> None:
        say("stopping all but heartbeatd")
        units = " ".join(s.unit for s in self._running if s.name not in _OF_AGENT)
        self._stage.host.run(f"systemctl stop {units}", timeout_s=120)

    def _header(self) -> str:
        names = [AGENT, *(name for s in self._subjects for name in s.packages)]
        found = packages.versions(self._stage.host, dict.fromkeys(names))
        model = _processor()
        return (
            f"Measured by `python3 -m tests.bench.peers` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores of {model}, "
            f"Linux {platform.release()}, Debian {self._options.suite} booted by systemd-nspawn, {CONTAINERS} containers, "
            f"{self._options.cycles} cycles of {unit_usage.INTERVAL_S} s. Versions: "
            + ", ".join(f"{name} {version}" for name, version in found.items())
            + "."
        )


_STANDING_NOTES: Sequence[str] = (
    "Not all do the same: only heartbeatd and the earlier agent's way count containers, beat over HTTPS and store a row. The "
    "floor does the beat and the check over plain HTTP, and stores a row; monit does the check; the others only measure. "
    "The earlier agent's way is a re-creation (tests/bench/earlier.py), not in Docker: new clients and connections each time.",
    f"Installed: with dependencies, beside a Debian of little more than {', '.join(PACKAGES)}; nothing that is only recommended.",
    "Memory: of all processes of the unit; pages shared with others that run here are counted in part (PSS) or whole (RSS).",
    "CPU: of one core, user and system, of the unit's control group, so that children count. Switches: of context, in all "
    "threads. System calls: under strace, in cycles of their own. Written: by the kernel's write accounting (proc(5), "
    "write_bytes, whole pages); what journald writes is not in it.",
    "Start: until systemd was told that it is up, where the unit's type has it told; for type forking, until the parent ended.",
    "node-exporter is scraped and zabbix-agent2 polled each ten seconds; netdata is set to every 10 s, as it looks each second "
    "by default.",
    "heartbeatd.service sets Nice=5 and CPUWeight=20.",
)


def _processor() -> str:
    """The processor's name (proc(5)), or the machine's kind where the kernel tells none."""
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == "model name"), platform.machine())


if __name__ == "__main__":
    main()
