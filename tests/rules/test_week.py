"""A week of normal use tells nobody anything: reboots, upgrades, containers made anew, backups, a router that connects anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.alerting import Announcement
from heartbeatd.core.container import Container, Watched
from heartbeatd.core.heartbeat import Cause, HeartbeatResult
from heartbeatd.core.metrics import Series, seldom_cycles
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import RuleSettings, Seen, evaluate, together
from heartbeatd.core.sample import ProbeReport, ProbeStatus, Sample
from heartbeatd.core.service import HEALTHY, Service, ServiceCheck, ServiceKind, without_answer
from heartbeatd.core.silence import Held
from heartbeatd.core.subject import Subject
from heartbeatd.core.worker import WORKER
from heartbeatd.rules import all_rules
from tests.support.clocks import NOW_NS

S = 1_000_000_000
MINUTE, HOUR, DAY = 60, 3600, 86_400
INTERVAL_S = 10
WEEK_S = 7 * DAY
# What a careful user has set: containers and services by name, beside what is built in.
SETTINGS = RuleSettings(
    Policy(for_cycles=2),
    "https://worker/",
    "http://internet/",
    INTERVAL_S,
    containers=Watched(("web", "db")),
    services=(
        Service("shop", ServiceKind.HTTP, "https://shop.example/"),
        Service("database", ServiceKind.TCP, "127.0.0.1:5432"),
    ),
)
BACKUP_S = 2 * HOUR
COMPOSE_S = 10 * HOUR
RECONNECT_S = 4 * HOUR + 30 * MINUTE
UPGRADE_S = (6 * DAY + 5 * HOUR,)
REBOOTS_S = (2 * DAY + 6 * HOUR, 6 * DAY + 6 * HOUR)
BOOT_S = 90  # from shutting down to the agent's first cycle
GRACE_S = 60  # until systemd says that the system is up


@dataclass
class Week:
    """The host's second of the week, and what its disk has more than usual."""

    extra_percent: float = 0.0
    states: dict[Subject, AlertState] = field(default_factory=dict)
    told: list[Announcement] = field(default_factory=list)

    def run(self) -> None:
        """All its cycles, each evaluated by all rules as the agent does."""
        rules = all_rules(SETTINGS)
        agent = AgentInfo("nas", "1", 0)
        explains = True
        for number, at_s in enumerate(range(0, WEEK_S, INTERVAL_S)):
            if _is_off(at_s):
                continue
            sample = self._sample(at_s, number)
            result = _heartbeat(at_s)
            if sample.internet_ok:
                explains = True
            held = Held((), booting=_since_boot(at_s) < GRACE_S, spared=frozenset((WORKER,)))
            seen = Seen(sample.taken_ns, sample, result, self.states, explains, held)
            found = together([evaluate(rule, seen, agent) for rule in rules])
            self.states |= {state.subject: state for state in found.changed}
            self.told += [due for due, _ in found.told]

    def _sample(self, at_s: int, number: int) -> Sample:
        engine, listed = _containers(at_s)
        readings = dict(self._readings(at_s)) if number % seldom_cycles(INTERVAL_S) == 0 else {}
        busy = _in_backup(at_s) or _in_upgrade(at_s)
        internet_ok = not _is_offline(at_s)
        return Sample(
            NOW_NS + at_s * S,
            cpu_percent=99.0 if busy else 10.0,
            ram_percent=92.0 if busy else 40.0,
            disk_percent=60.0,
            internet_ok=internet_ok,
            ping_ms=20.0 if internet_ok else None,
            reports=(ProbeReport("containers", engine), ProbeReport("filesystems", ProbeStatus.OK)),
            readings=readings,
            containers=listed,
            service_checks=tuple(_services(at_s, number, internet_ok=internet_ok)),
        )

    def _readings(self, at_s: int) -> Iterator[tuple[Series, float]]:
        """/srv holds what the night's backup writes for some minutes before it removes the oldest."""
        peak = 4 * MINUTE > (at_s % DAY) - (BACKUP_S + 50 * MINUTE) >= 0
        yield Series("disk_used_percent", "/"), 60.0 + (3 if _in_upgrade(at_s) else 0)
        yield Series("disk_used_percent", "/srv"), (95.0 if peak else 86.0) + self.extra_percent
        yield Series("disk_inodes_percent", "/srv"), 12.0
        yield Series("disk_read_only", "/srv"), 0.0
        yield Series("swap_percent"), 80.0 if _in_backup(at_s) else 5.0
        yield Series("load_per_core"), 6.0 if _in_backup(at_s) else 0.3
        yield Series("io_stall_percent"), 70.0 if _in_backup(at_s) else 1.0


def _since_boot(at_s: int) -> int:
    return min((at_s - reboot_s - BOOT_S for reboot_s in REBOOTS_S if at_s >= reboot_s), default=WEEK_S)


def _is_off(at_s: int) -> bool:
    """While it reboots, and in the cycle that an upgrade of the package takes."""
    return _since_boot(at_s) < 0 or any(0 <= at_s - upgrade_s < INTERVAL_S for upgrade_s in UPGRADE_S)


def _in_backup(at_s: int) -> bool:
    return 0 <= at_s % DAY - BACKUP_S < HOUR


def _in_upgrade(at_s: int) -> bool:
    return any(0 <= at_s - upgrade_s < 10 * MINUTE for upgrade_s in UPGRADE_S)


def _is_offline(at_s: int) -> bool:
    """The router connects anew each night; after a boot the network takes a while."""
    return 0 <= at_s % DAY - RECONNECT_S < 45 or _since_boot(at_s) < 20


def _heartbeat(at_s: int) -> HeartbeatResult:
    """One is lost now and then, and the Worker fails once a day: single ones."""
    if _is_offline(at_s):
        return HeartbeatResult(None, Cause.DNS, "Temporary failure in name resolution")
    if at_s % (7 * HOUR) == 20 * MINUTE:
        return HeartbeatResult(None, Cause.TIMEOUT, "gave up while connecting")
    return HeartbeatResult(503 if at_s % DAY == 13 * HOUR else 200)


def _containers(at_s: int) -> tuple[ProbeStatus, tuple[Container, ...] | None]:
    """`docker compose up` each day, and the engine's own restart in an upgrade, stop them for a while, and make them anew."""
    up_s = min(
        at_s % DAY - COMPOSE_S if at_s % DAY >= COMPOSE_S else DAY,
        *(at_s - upgrade_s - 5 * MINUTE if at_s >= upgrade_s + 5 * MINUTE else DAY for upgrade_s in UPGRADE_S),
    )
    since_s = min(up_s, _since_boot(at_s))
    if _since_boot(at_s) < 15:
        return ProbeStatus.NO_DATA, None
    if since_s < 30:
        return ProbeStatus.OK, ()
    recent, health = since_s < 90, "starting" if since_s < 100 else "healthy"
    return ProbeStatus.OK, tuple(Container(name, "running", health, recent) for name in ("web", "db", "cache"))


def _services(at_s: int, number: int, *, internet_ok: bool) -> Iterator[ServiceCheck]:
    if number % 6 or _since_boot(at_s) < 10:
        return
    away = HEALTHY if internet_ok else without_answer(Cause.DNS, "Temporary failure in name resolution")
    slow = without_answer(Cause.TIMEOUT, "gave up while connecting") if at_s % DAY == 3 * HOUR else away
    yield ServiceCheck("shop", at_s, slow, 5.0, 60, outside=True, explained=not internet_ok)
    stopped = _in_upgrade(at_s) and at_s % MINUTE == 0 and 0 <= (at_s - UPGRADE_S[0]) - 2 * MINUTE < 40
    yield ServiceCheck(
        "database", at_s, without_answer(Cause.REFUSED, "Connection refused") if stopped else HEALTHY, 1.0
    )


@pytest.mark.slow
def test_a_week_of_normal_use_tells_nobody_anything() -> None:
    """What happens in it is seen, which is the more reason to say nothing of it."""
    week = Week()
    week.run()
    assert week.told == []


@pytest.mark.slow
def test_what_is_wrong_in_such_a_week_is_told_once() -> None:
    """The same, on a disk that the backup leaves too little room: a problem, and nothing else."""
    week = Week(extra_percent=4.5)
    week.run()
    assert [(due.event, str(due.observed.subject), due.observed.state) for due in week.told] == [
        ("problem", "disk:/srv", "warning")
    ]
