"""Every version's file climbs the ladder to the newest, whole or not at all.

`databases/version-N*.db` were written by the code of that version: the earlier agent's own layouts (0), the others as new files,
and as files that had been of an older version before. The first rows of version-8.db were deleted: the roll-ups tell of them.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.core.queued import QueuedNotification, for_this_try
from heartbeatd.errors import StoreError
from heartbeatd.notify.n8n import body_of
from heartbeatd.store.database import Database
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.rollups import HOUR, PERIODS
from heartbeatd.store.steps import MIGRATIONS
from tests.store.test_rollups import counted, history, in_view
from tests.support.rows import NOW_NS, alert, row

Content = dict[str, list[dict[str, object]]]
FILES = sorted((Path(__file__).parent / "databases").glob("version-*.db"))


def version_of(file: Path) -> int:
    """The version that wrote it, by its name."""
    return int(file.stem.split("-")[1])


NOTIFICATION = ("number", "event_id", "queued_ns", "body", "boot_id", "booted_ns")
OF_WEBHOOK = ("number", "attempts", "last_error", "delivered_ns", "set_aside_ns")
COUNTS = ("errors", "refused", "late", "next_try_ns")
ROLL_UPS = {"rollups", *(f"history_{period.name}" for period in PERIODS)}
WIDE = pytest.mark.parametrize("file", [one for one in FILES if version_of(one) < 9], ids=lambda file: file.stem)
EVERY_VERSION = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@pytest.fixture
def copied(path: Path, file: Path) -> Path:
    """A copy of the file, where the agent would look for it."""
    return Path(shutil.copy(file, path))


def reading(path: Path) -> "closing[sqlite3.Connection]":
    """A connection that makes no file beside a closed database."""
    return closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True))


def content(path: Path) -> Content:
    """All rows of all tables but the roll-ups, and the version."""
    with reading(path) as reader:
        reader.row_factory = sqlite3.Row
        tables = [name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        queries = {name: f"SELECT * FROM {name}" for name in tables if name not in ROLL_UPS}
        queries |= {"metrics": "SELECT rowid, * FROM metrics", "version": "PRAGMA user_version"}
        return {name: [dict(found) for found in reader.execute(query)] for name, query in queries.items()}


def layout(path: Path) -> dict[str, str]:
    """How each table and index is made, but for `metrics`, whose further columns are the user's."""
    with closing(sqlite3.connect(path)) as reader:
        made = reader.execute(
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name != 'metrics'"
        )
        return {name: " ".join(sql.split()) for name, sql in made}


def expected(file: Path) -> Content:
    """What the newest version makes of it: all there was, the earlier agent's -1 as NULL, and a place for what came since."""
    before = content(file)
    rows = [
        {**r, "container_count": None if r["container_count"] == -1 else r["container_count"]}
        for r in before["metrics"]
    ]
    taken_over: list[dict[str, object]] = [{"last_rowid": len(rows), "at_ns": NOW_NS}]
    taken_over = before.get("takeover", taken_over)
    alerts = before.get("alerts", [])
    notifications = [{name: a.get(name) for name in NOTIFICATION} for a in alerts]
    deliveries: list[dict[str, object]] = [
        {"channel": "webhook", **dict.fromkeys(COUNTS, 0), **{name: a.get(name) for name in OF_WEBHOOK}} for a in alerts
    ]
    last: list[dict[str, object]] = [{"name": "notifications", "seq": alerts[-1]["number"] if alerts else 0}]
    return {
        "metrics": rows,
        "alert_state": [
            {
                **_with(a, "streak_state untold untold_since_ns changes_ns notified_ns"),
                "severity": a.get("severity") or severity_of(a["announced"]),
            }
            for a in before.get("alert_state", [])
        ],
        "notifications": before.get("notifications", notifications),
        "deliveries": before.get("deliveries", deliveries),
        "sqlite_sequence": before["sqlite_sequence"] if version_of(file) >= 10 else last,
        "series": before.get("series", []),
        "readings": before.get("readings", []),
        "silences": before.get("silences", []),
        "service_checks": [],
        "takeover": taken_over,
        "run": [_with(r, "booted_ns") for r in before.get("run", [])],
        "untold_gap": before.get("untold_gap", []),
        "version": [{"user_version": len(MIGRATIONS)}],
    }


def as_queued(alert: QueuedNotification) -> dict[str, object]:
    """What is delivered of it, less what only the moment of sending knows."""
    body: dict[str, dict[str, object]] = json.loads(body_of(for_this_try(alert, 1, NOW_NS)))
    details = {name: value for name, value in body["details"].items() if name not in ("attempt", "queued_seconds")}
    return {**body, "details": details}


def severity_of(announced: object) -> str:
    """Of a state of the Worker, the only subject before version 6."""
    return {"ok": "ok", "degraded": "warning"}.get(str(announced), "critical")


def _with(found: dict[str, object], names: str) -> dict[str, object]:
    """The row with these columns, empty, and without what is not kept any more."""
    return dict.fromkeys(names.split()) | {name: value for name, value in found.items() if name != "streak_good"}


def test_there_is_a_file_of_every_version() -> None:
    """Of each that came before the one of this code."""
    assert {version_of(file) for file in FILES} == set(range(len(MIGRATIONS)))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_step_makes_what_it_made_when_it_was_released(version: int) -> None:
    """Whatever is measured, rolled up or announced by now: a new file of each version is laid out as that version did it."""
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as new,
        reading(FILES[0].with_name(f"version-{version}.db")) as old,
    ):
        new.create_function("now_ns", 0, lambda: NOW_NS)
        for step in MIGRATIONS[:version]:
            step(new)
        made, released = (
            {
                name: " ".join(sql.split())
                for name, sql in file.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            }
            for file in (new, old)
        )
        assert made == released


@EVERY_VERSION
def test_a_file_of_an_older_version_keeps_everything(file: Path, copied: Path, path: Path) -> None:
    """Row for row in every table; the roll-ups are what the rows say; the layout is that of a new file; and it can be used."""
    before = expected(file)
    with closing(Database.open(copied, NOW_NS)) as store:
        assert store.taken_over == (len(before["metrics"]) if version_of(file) == 0 else None)
    after = content(copied)
    assert after == before
    with closing(sqlite3.connect(copied)) as reader:
        assert [(name, kind) for _, name, kind, *_ in reader.execute("PRAGMA table_info(metrics)")][
            : len(METRICS)
        ] == list(METRICS)
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(Database.open(path.with_name("new.db"), NOW_NS)):
        assert layout(copied) == layout(path.with_name("new.db"))
    with closing(Database.open(copied, NOW_NS)) as store:
        assert store.taken_over is None
        open_ = {d["number"] for d in before["deliveries"] if d["delivered_ns"] is d["set_aside_ns"] is None}
        waiting = [told for told in before["notifications"] if told["number"] in open_]
        assert [json.loads(str(told["body"])) for told in waiting] == [
            as_queued(found.notification) for found in store.undelivered()
        ]
        undelivered = [str(told["event_id"]) for told in waiting]
        store.record([row(1)], (), (alert(99),), flush=True)
        assert [a.event_id for a in store.undelivered()] == [*undelivered, alert(99).event_id]
        assert (store.states() == {}) == (not before["alert_state"])


def lines_of(file: Path, table: str) -> list[dict[str, object]]:
    """All there is in a table or a view."""
    with reading(file) as reader:
        reader.row_factory = sqlite3.Row
        return [dict(found) for found in reader.execute(f"SELECT * FROM {table} ORDER BY start")]


@WIDE
def test_every_figure_of_an_hour_and_a_day_is_kept(file: Path, copied: Path) -> None:
    """What the tables of 0.1 had stands in their views to the last digit; where there were none, what the rows say."""
    Database.open(copied, NOW_NS).close()
    for period in PERIODS:
        view = f"history_{period.name}"
        if version_of(file) >= 3:
            assert lines_of(copied, view) == lines_of(file, view)
        with closing(sqlite3.connect(copied)) as reader:
            assert version_of(file) == 8 or in_view(reader, period) == counted(reader, period)
            assert history(reader, period) == in_view(reader, period)


@WIDE
def test_the_hour_and_the_day_of_an_upgrade_go_on(file: Path, copied: Path) -> None:
    """Begun by the old version, they have the rows of both once they are over; what was before stays as it was."""
    Database.open(copied, NOW_NS).close()
    begun = lines_of(copied, "history_hour")
    with closing(Database.open(copied, NOW_NS)) as store:
        ((last,),) = store._connection.execute("SELECT timestamp_lima FROM metrics ORDER BY rowid DESC LIMIT 1")
        last_row = row(900_001, timestamp_lima=last, worker_status=200)
        store.record([last_row], (), (), flush=False)
        store.record([row(900_002, timestamp_lima="2027-01-01T00:00:00.000000-05:00")], (), (), flush=False)
    after = {str(line["start"]): line for line in lines_of(copied, "history_hour")}
    for line in begun:
        is_last = line["start"] == HOUR.start(last)
        assert after.pop(str(line["start"]))["cycles"] == int(str(line["cycles"])) + is_last
        assert is_last or line in lines_of(copied, "history_hour")
    assert after == {}
    days = {line["start"]: line["cycles"] for line in lines_of(copied, "history_day")}
    assert sum(map(int, map(str, days.values()))) == sum(int(str(line["cycles"])) for line in begun) + 1


@EVERY_VERSION
def test_the_next_version_adds_a_step(file: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more step at the end of the ladder is all it takes, and it is done once."""

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE next (x)")
        connection.execute("INSERT INTO next VALUES (1)")

    before = expected(file)
    monkeypatch.setattr("heartbeatd.store.migrations.MIGRATIONS", (*MIGRATIONS, step))
    for _ in range(2):
        Database.open(copied, NOW_NS).close()
    version = [{"user_version": len(MIGRATIONS) + 1}]
    assert content(copied) == {**before, "next": [{"x": 1}], "version": version}


@EVERY_VERSION
def test_a_step_that_fails_leaves_the_file_as_it_was(file: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what the steps before it have done; the next start, with a version that can, does all of it."""

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM notifications")
        connection.execute("INSERT INTO there_is_no_such_table VALUES (1)")

    monkeypatch.setattr("heartbeatd.store.migrations.MIGRATIONS", (*MIGRATIONS, step))
    with pytest.raises(StoreError, match="there_is_no_such_table"):
        Database.open(copied, NOW_NS)
    assert content(copied) == content(file)
    monkeypatch.undo()
    Database.open(copied, NOW_NS).close()
    assert content(copied) == expected(file)


@pytest.mark.parametrize("file", [file for file in FILES if version_of(file)], ids=lambda file: file.stem)
def test_a_file_made_anew_from_a_dump_is_ours_all_the_same(file: Path, path: Path) -> None:
    """`.dump` of sqlite3(1) does not write the version down: what is there is not made twice, and not taken over again."""
    with reading(file) as damaged, closing(sqlite3.connect(path)) as restored:
        restored.executescript("\n".join(damaged.iterdump()))
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.taken_over is None
    dumped, before = content(path), expected(file)
    for found in (*dumped["metrics"], *before["metrics"]):
        del found["rowid"]  # a dump numbers the rows anew
    assert dumped == before


@EVERY_VERSION
def test_a_dump_of_what_was_brought_up_to_date_can_be_used(file: Path, copied: Path, path: Path) -> None:
    """Tables, views and figures: the ladder finds all of its work done."""
    Database.open(copied, NOW_NS).close()
    with closing(sqlite3.connect(copied)) as source:
        dump = "\n".join(source.iterdump())
        figures = source.execute("SELECT * FROM rollups").fetchall()
    restored = path.with_name("restored.db")
    with closing(sqlite3.connect(restored)) as target:
        target.executescript(dump)
    with closing(Database.open(restored, NOW_NS)) as store:
        assert store.taken_over is None
        assert store._connection.execute("SELECT * FROM rollups").fetchall() == figures
    assert layout(restored) == layout(copied)
