"""What `status` says of each state of the service and of the database, as lines and as data."""

from dataclasses import replace

import pytest

from heartbeatd.config.load import parse
from heartbeatd.core.subject import Severity
from heartbeatd.core.timefmt import to_lima
from heartbeatd.core.worker import WORKER, WorkerState
from heartbeatd.ctl.service import Service
from heartbeatd.ctl.status_report import Report, Snapshot, facts, lines
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.results import Announced, Queue, StoredRow

NOW_NS = 1_790_000_005_000_000_000
S = 1_000_000_000
UP_S = 3600
CONFIG = parse({"heartbeat": {"url": "https://beat.example/", "secret_key": "k"}})
ACTIVE = Service("active", "running", "enabled", "Worker ok", 0, "Wed 2026-11-25 14:45:12 UTC", 0, 4711)


def row(age_s: float = 5, **values: str | int | None) -> StoredRow:
    """A row of that age."""
    blank: dict[str, object] = dict.fromkeys(name for name, _ in METRICS)
    stamp = to_lima(NOW_NS - int(age_s * S))
    known = {**blank, "timestamp_lima": stamp, "worker_status": 200, "cycle_duration_ms": 12.0, **values}
    return StoredRow(**known)  # type: ignore[arg-type]


GOOD = Snapshot(row(), (Announced(WORKER, WorkerState.OK, Severity.OK, NOW_NS - 60 * S),), Queue(0, None))
WELL = Report(CONFIG, ACTIVE, GOOD, NOW_NS, UP_S * S)


def as_text(report: Report) -> str:
    """Its lines."""
    return "\n".join(lines(report)) + "\n"


def test_all_is_well() -> None:
    """Eight lines and the status of systemd's own."""
    assert WELL.well
    assert as_text(WELL) == (
        "service     active (running) since Wed 2026-11-25 14:45:12 UTC, 0 restarts, enabled\n"
        "            Worker ok\n"
        "last cycle  5 s ago, 12 ms\n"
        "host        cpu ?%, ram ?% (? MB), disk ?%\n"
        "worker      HTTP 200, ok; announced: ok since 2026-09-21 09:12:25 (America/Lima)\n"
        "internet    ?\n"
        "containers  unknown (no Docker, or it cannot be read)\n"
        "alerts      0 queued\n"
        "next slot   09:13:30 (America/Lima)\n"
    )
    assert facts(WELL)["next_slot"] == "2026-09-21T09:13:30-05:00"
    assert facts(WELL)["trouble"] is None


@pytest.mark.parametrize(
    ("active", "sub", "line"),
    [
        ("failed", "failed", "service     failed, 1 restart, enabled"),
        ("inactive", "dead", "service     inactive (dead), 1 restart, enabled"),
        ("activating", "auto-restart", "service     activating (auto-restart), 1 restart, enabled"),
    ],
)
def test_a_service_that_is_not_up_has_no_next_slot(active: str, sub: str, line: str) -> None:
    """Nor is the age of its last row an alarm; and nothing is said twice."""
    snapshot = replace(GOOD, row=row(9000))
    report = replace(WELL, unit=replace(ACTIVE, active=active, sub=sub, restarts=1), snapshot=snapshot)
    assert as_text(report).splitlines()[0] == line
    assert "next slot" not in as_text(report)
    assert "no newer row" not in as_text(report)
    assert facts(report)["next_slot"] is None


def test_an_agent_that_systemd_does_not_run() -> None:
    """Started by hand it is well if rows arrive; why the service is not shown is said."""
    report = replace(WELL, unit=None, no_unit="not its configuration")
    assert as_text(report).splitlines()[0] == "service     unknown: not its configuration"
    assert report.well
    assert "next slot" in as_text(report)
    assert facts(report)["trouble"] == "not its configuration"


def test_right_after_a_start_an_old_row_is_no_alarm() -> None:
    """Until three cycles have had their time."""
    old = replace(WELL, snapshot=replace(GOOD, row=row(9000)))
    for up_s, alarm in ((2, False), (29, False), (31, True)):
        report = replace(old, unit=replace(ACTIVE, since_monotonic_us=(UP_S - up_s) * 1_000_000))
        assert ("← no newer row has been stored" in as_text(report)) == alarm
        assert report.well != alarm
    first = replace(WELL, unit=replace(ACTIVE, since_monotonic_us=(UP_S - 2) * 1_000_000))
    assert replace(first, snapshot=Snapshot(queue=Queue(0, None))).well


@pytest.mark.parametrize(
    "snapshot",
    [
        replace(GOOD, row=row(31)),
        replace(GOOD, row=row(-31)),
        replace(GOOD, row=row(timestamp_lima=None)),
        replace(GOOD, row=None),
        replace(GOOD, announced=(Announced(WORKER, WorkerState.ERROR, Severity.CRITICAL, NOW_NS),)),
        replace(GOOD, announced=(Announced(WORKER, None, None, NOW_NS),)),
        replace(GOOD, queue=Queue(1, "HTTP 404")),
        Snapshot(trouble="no"),
    ],
)
def test_what_is_not_well(snapshot: Snapshot) -> None:
    """What is wrong, or not known."""
    assert not replace(WELL, snapshot=snapshot).well


def test_alerts_on_their_way_are_no_trouble() -> None:
    """Only a try that failed is."""
    assert replace(WELL, snapshot=replace(GOOD, queue=Queue(2, None))).well


def test_a_configuration_that_cannot_be_read_is_not_one_without_a_worker() -> None:
    """What the database says is told; what would follow from the file is unknown."""
    report = replace(WELL, config=None, refusal="config.toml: is not TOML")
    assert "not configured" not in as_text(report)
    assert "worker      HTTP 200, ok" in as_text(report)
    assert "next slot" not in as_text(report)
    data = facts(report)
    assert data["worker"] == {**data["worker"], "configured": None, "announced": "ok"}  # type: ignore[dict-item]
    assert data["next_slot"] is None
    assert data["trouble"] == "config.toml: is not TOML"


def test_a_database_that_cannot_be_read() -> None:
    """Nothing is zero."""
    report = replace(WELL, snapshot=Snapshot(trouble="metrics.db: it is a FIFO"))
    assert "queued" not in as_text(report)
    assert "database    metrics.db: it is a FIFO\n" in as_text(report)
    assert facts(report)["alerts"] == {"queued": None, "last_error": None}


def test_systemd_that_does_not_answer() -> None:
    """Whether there is a next slot follows from the rows."""
    report = replace(WELL, unit=None)
    assert as_text(report).startswith("service     unknown: systemd does not answer\n")
    assert "next slot" in as_text(report)
    assert "next slot" not in as_text(replace(report, snapshot=replace(GOOD, row=row(9000))))
    assert facts(report)["trouble"] == "systemd does not answer"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (None, "no answer in the last cycle"),
        (503, "HTTP 503, error"),
        (99, "HTTP 99, which means nothing"),
    ],
)
def test_what_the_worker_answered(status: int | None, line: str) -> None:
    """An odd status is not taken for silence."""
    assert f"worker      {line}; announced" in as_text(
        replace(WELL, snapshot=replace(GOOD, row=row(worker_status=status)))
    )


@pytest.mark.parametrize(
    "report",
    [
        replace(WELL, config=None),
        replace(WELL, unit=replace(ACTIVE, active="inactive", sub="dead")),
        replace(WELL, unit=replace(ACTIVE, since_monotonic_us=(UP_S - 2) * 1_000_000)),
        replace(WELL, snapshot=replace(GOOD, last_answer=429)),
        replace(WELL, snapshot=replace(GOOD, last_answer=503)),
    ],
    ids=["no configuration", "stopped", "just started", "429 before", "503 before"],
)
def test_silence_where_maybe_nothing_was_sent(report: Report) -> None:
    """No Worker may be configured, the agent may have been stopping, or the Worker may have asked to wait."""
    silent = replace(report, snapshot=replace(report.snapshot, row=row(worker_status=None)))
    assert "worker      no answer, or no heartbeat sent, in the last cycle; announced" in as_text(silent)


def test_without_a_worker() -> None:
    """It is said that nothing is sent."""
    assert "worker      not configured: nothing is sent\n" in as_text(replace(WELL, config=parse({})))
