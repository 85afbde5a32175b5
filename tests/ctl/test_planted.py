"""Whatever a taken-over agent leaves in place of its database: heartbeatctl ends soon, and says plainly what it is."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import pytest

from heartbeatd.core.worker import WorkerState
from heartbeatd.errors import StoreError
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from tests.support.agent import run_python
from tests.support.rows import NOW_NS, alert, row
from tests.support.states import announced

pytestmark = pytest.mark.slow  # a hundred processes
Planted = Callable[[Path], None]
MOST_BYTES = 600 << 20  # of address space, which is several times what is used
MOST_CPU_S = 20
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
HUGE = "hex(zeroblob(450000000))"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose database is a sound one."""
    file = tmp_path / "config.toml"
    file.write_text(f'[docker]\nsocket = ""\n[storage]\npath = "{tmp_path}/metrics.db"\n')
    with closing(Database.open(tmp_path / "metrics.db", NOW_NS)) as store:
        store.record([row(1)], (announced(WorkerState.OK, NOW_NS),), [alert(1)], flush=True)
        store.record([row(86400)], (), (), flush=True)  # so the hour and the day of the first are rolled up
        store._connection.execute("DELETE FROM metrics WHERE id = ?", (row(86400).id,))
    return file


def ctl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run heartbeatctl with bounds that the old code went beyond; what it prints is always plain."""
    bounds = ["prlimit", f"--as={MOST_BYTES}", f"--cpu={MOST_CPU_S}"]
    done = run_python("-m", "heartbeatd.ctl", *words, prefix=bounds)
    assert "Traceback" not in done.stderr
    for line in (done.stdout + done.stderr).split("\n"):
        assert line.isprintable(), line
    return done


def sql(path: Path, *statements: str) -> None:
    """Change the database as its owner can."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def instead(of: str, statement: str) -> Planted:
    """`statement` in place of the table `of`."""
    return lambda path: sql(path, f"DROP TABLE {of}", statement)


def replaced(by: Callable[[Path], object]) -> Planted:
    """Something else in place of the file."""

    def plant(path: Path) -> None:
        path.rename(path.with_name("elsewhere.db"))
        by(path)

    return plant


def beside(suffix: str) -> Planted:
    """A FIFO where SQLite keeps what belongs to the database."""
    return lambda path: os.mkfifo(f"{path}{suffix}", 0o444)


def _link(path: Path, to: Path) -> None:
    """Of anybody's but root's, which would be root's choice. Its owner is who root then acts as, and has to get there."""
    path.symlink_to(to)
    if os.geteuid() == 0:
        os.lchown(path, 65534, 65534)
        for folder in path.parents[:-2]:
            folder.chmod(0o711)


def _corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(1024, len(data), 64):
        data[at : at + 32] = os.urandom(32)
    path.write_bytes(data)


def _crowded(path: Path) -> None:
    """Tables without end: the schema alone would take gigabytes."""
    path.write_bytes(_crowd())


@lru_cache
def _crowd() -> bytes:
    wide = ", ".join(f"column_{n} TEXT DEFAULT 'value {n}'" for n in range(1500))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("BEGIN")
        for number in range(300):
            connection.execute(f"CREATE TABLE t{number} ({wide})")
        connection.commit()
        return connection.serialize()


ROWS = "id TEXT, timestamp_lima TEXT, cpu_percent REAL, ram_percent REAL, ram_used_mb REAL, disk_percent REAL, container_count"
NULLS = ", ".join("NULL" for _ in range(10))
PLANTED: dict[str, tuple[Planted, str]] = {
    "a view of gigabytes": (instead("metrics", f"CREATE VIEW metrics AS SELECT {HUGE} AS id, {NULLS}"), "not a table"),
    "a view without end": (
        instead("metrics", f"CREATE VIEW metrics AS {ENDLESS} i AS id, {NULLS} FROM n"),
        "metrics is not a table",
    ),
    "a view for the queue": (
        instead(
            "deliveries",
            f"CREATE VIEW deliveries AS {ENDLESS} i AS number, NULL AS delivered_ns, '' AS last_error FROM n",
        ),
        "deliveries is not a table",
    ),
    "a view for what was announced": (
        instead("alert_state", f"CREATE VIEW alert_state AS {ENDLESS} 'worker' AS subject, {HUGE} AS announced FROM n"),
        "alert_state is not a table",
    ),
    "a virtual table": (instead("metrics", "CREATE VIRTUAL TABLE metrics USING fts5(id)"), "metrics is not a table"),
    "a view that calls itself a table": (
        lambda path: sql(
            path,
            f"UPDATE sqlite_master SET sql = 'CREATE VIEW metrics AS {ENDLESS} i FROM n' WHERE name = 'metrics'",
        ),
        "",
    ),
    "a generated column": (
        instead("metrics", f"CREATE TABLE metrics ({ROWS} INTEGER, ping_ms REAL AS ({HUGE}))"),
        "metrics has generated columns",
    ),
    "a value of megabytes": (
        lambda path: sql(path, "UPDATE metrics SET id = hex(zeroblob(40000000))"),
        "more than heartbeatd ever writes",
    ),
    "an error of megabytes": (
        lambda path: sql(path, "UPDATE deliveries SET last_error = hex(zeroblob(40000000))"),
        "more than heartbeatd ever writes",
    ),
    "tables without end": (_crowded, "more than heartbeatd ever writes"),
    "a table that is missing": (lambda path: sql(path, "DROP TABLE deliveries"), "no such table: deliveries"),
    "pages of noise": (_corrupt, "damaged"),
    "a link": (replaced(lambda path: _link(path, path.with_name("elsewhere.db"))), "symbolic link"),
    "a link to nothing": (replaced(lambda path: _link(path, Path("nothing"))), "symbolic link"),
    "a FIFO as -wal": (beside("-wal"), "it is a FIFO"),
    "a FIFO as -shm": (beside("-shm"), "it is a FIFO"),
    "a FIFO as -journal": (beside("-journal"), "it is a FIFO"),
}


# These are refused with the configuration that names them.
NO_FILES: dict[str, tuple[Planted, str]] = {
    "a FIFO": (replaced(os.mkfifo), "it is a FIFO"),
    "a folder": (replaced(Path.mkdir), "it is a folder"),
    "a device": (replaced(lambda path: path.symlink_to("/dev/zero")), "it is a device"),
}
NOT_READ_BY_HISTORY = ("a value of megabytes", "an error of megabytes", "a table that is missing")


@pytest.mark.parametrize(("plant", "told"), PLANTED.values(), ids=PLANTED)
def test_status_says_what_stands_there(config: Path, tmp_path: Path, plant: Planted, told: str) -> None:
    """Every figure is unknown, with the reason; nothing is zero or false for want of knowing."""
    plant(tmp_path / "metrics.db")
    done = ctl("status", "--config", config)
    assert done.returncode in (1, 3)
    assert f"{tmp_path}/metrics.db: " in done.stdout
    assert told in done.stdout
    assert "queued" not in done.stdout
    data = json.loads(ctl("status", "--config", config, "--json").stdout)
    assert told in data["trouble"]
    assert data["alerts"] == {"queued": None, "last_error": None}
    assert (data["last_cycle"], data["worker"]["announced"]) == (None, None)


@pytest.mark.parametrize(
    "name", [*(name for name in PLANTED if name not in NOT_READ_BY_HISTORY), "a view for the hours"]
)
def test_history_says_what_stands_there(config: Path, tmp_path: Path, name: str) -> None:
    """One line on standard error, and 1."""
    hours = instead("rollups", f"CREATE VIEW rollups AS {ENDLESS} '9' AS start FROM n")
    plant, told = PLANTED.get(name, (hours, "rollups is not a table"))
    plant(tmp_path / "metrics.db")
    done = ctl("history", "--config", config)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["a view of gigabytes", "a link", "a link to nothing", "a FIFO as -wal"])
def test_nothing_is_stored_into_what_is_not_ours(config: Path, tmp_path: Path, name: str) -> None:
    """`once --store` refuses before it measures anything, and makes nothing where a link points to."""
    plant, told = PLANTED[name]
    plant(tmp_path / "metrics.db")
    done = ctl("once", "--store", "--config", config)
    assert done.returncode == 1
    assert told in done.stderr
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(("plant", "told"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_refused_at_once(config: Path, tmp_path: Path, plant: Planted, told: str) -> None:
    """Whoever opened it might wait for ever: no verb does, and neither does the reader itself."""
    plant(tmp_path / "metrics.db")
    for words in (("status",), ("history",), ("once", "--store")):
        done = ctl(*words, "--config", config)
        assert done.returncode == 78
        assert told in done.stderr
    with pytest.raises(StoreError, match=f"{told}|symbolic link"):
        Reader.open(tmp_path / "metrics.db")


def test_nothing_is_stored_where_a_trigger_would_run(config: Path, tmp_path: Path) -> None:
    """What a trigger does is its author's choice: a `once --store` of root's must not do it."""
    sql(
        tmp_path / "metrics.db",
        f"CREATE TRIGGER t AFTER INSERT ON metrics BEGIN INSERT INTO metrics (id) {ENDLESS} i FROM n; END",
    )
    done = ctl("once", "--store", "--config", config)
    assert done.returncode == 1
    assert "triggers" in done.stderr


@pytest.mark.parametrize(
    "blob_bytes", [450_000_000, 100_000_000]
)  # more than the test lets it have, and less than that
def test_what_a_planted_check_takes_is_bounded(config: Path, tmp_path: Path, blob_bytes: int) -> None:
    """A CHECK is computed where the row is stored, in whose process that may be: `once --store` is refused the memory."""
    check = f"CHECK(length(hex(zeroblob({blob_bytes}))) > 0)"
    sql(
        tmp_path / "metrics.db",
        f"UPDATE sqlite_master SET sql = rtrim(sql, ')' || char(10)) || ', {check})' WHERE name = 'metrics'",
    )
    done = ctl("once", "--store", "--config", config)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "metrics.db" in done.stderr
    with closing(sqlite3.connect(tmp_path / "metrics.db")) as connection:
        assert connection.execute("SELECT count(*) FROM metrics").fetchone() == (1,)


def test_a_table_too_large_to_read_ends_at_the_deadline(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an index, rows by the hundred thousand are looked through until then; and that is said."""
    database = tmp_path / "metrics.db"
    sql(
        database,
        "DROP TABLE deliveries",
        "CREATE TABLE deliveries (number, delivered_ns, set_aside_ns, last_error)",
        "INSERT INTO deliveries WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
        " SELECT i, NULL, NULL, 'x' FROM n",
    )
    with closing(Reader.open(database)) as reader:
        assert reader.queue().waiting == 300000
    monkeypatch.setattr("heartbeatd.store.guard.DEADLINE_S", 0.0)
    with pytest.raises(StoreError, match="could not be read within 0 s"), closing(Reader.open(database)) as reader:
        reader.queue()


HANGS = """
import sys, threading
from pathlib import Path
from heartbeatd.ctl import database
from heartbeatd.errors import StoreError
database.GRACE_S = 0.2 - database.DEADLINE_S
try:
    database.read(Path(sys.argv[1]), Path(sys.argv[2]), lambda reader: threading.Event().wait())
except StoreError as error:
    sys.exit(str(error))
"""


def test_a_filesystem_that_hangs_holds_nobody_up(config: Path, tmp_path: Path) -> None:
    """What waits in the kernel cannot be interrupted: it is left behind, and the process ends."""
    done = run_python("-c", HANGS, config, tmp_path / "metrics.db")
    assert done.returncode == 1
    assert done.stderr.endswith("the file or its filesystem did not answer within 0.2 s\n")


@pytest.mark.parametrize("names", ["'cpu_percent', i || hex(zeroblob(200))", "i || hex(zeroblob(200)), ''"])
def test_metrics_and_labels_without_end_are_passed_over(config: Path, tmp_path: Path, names: str) -> None:
    """In the current day, which is added up from its hours while somebody waits."""
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    sql(
        tmp_path / "metrics.db",
        f"INSERT INTO rollups {rows} SELECT 'hour', '2026-01-01T00:00:00-05:00', {names}, 1, 1, 1, 1 FROM n",
    )
    done = ctl("history", "--config", config, "--days", "1000", "--by", "day", "--json")
    assert [day["cycles"] for day in json.loads(done.stdout)] == [1]


def test_what_users_add_is_in_nobodys_way(config: Path, tmp_path: Path) -> None:
    """Columns of their own behind ours, computed or large, views, indexes and other tables."""
    sql(
        tmp_path / "metrics.db",
        "ALTER TABLE metrics ADD COLUMN ram_gb REAL AS (ram_used_mb / 1024)",
        "ALTER TABLE metrics ADD COLUMN note TEXT",
        "UPDATE metrics SET note = hex(zeroblob(5000000))",
        "CREATE INDEX by_hour ON metrics (substr(timestamp_lima, 1, 13))",
        "CREATE VIEW latest AS SELECT * FROM metrics",
        "CREATE TABLE notes (text TEXT)",
    )
    told = json.loads(ctl("status", "--config", config, "--json").stdout)
    assert told["last_cycle"]["id"] == "row-000001"
    assert told["alerts"]["queued"] == 1
    assert ctl("history", "--config", config, "--days", "1000").returncode == 0
    assert ctl("once", "--store", "--config", config).returncode == 0


ODD: dict[str, str] = {
    "no time": "UPDATE metrics SET timestamp_lima = 'not a time'",
    "no zone": "UPDATE metrics SET timestamp_lima = '2026-11-23T15:20:10'",
    "a year beyond": "UPDATE metrics SET timestamp_lima = '99999-11-23T15:20:10-05:00'",
    "text for numbers": "UPDATE metrics SET cpu_percent = 'x', ping_ms = 'y', worker_status = 'z', container_count = 'c'",
    "blobs": "UPDATE metrics SET timestamp_lima = x'00ff', cpu_percent = x'00', worker_status = x'01', id = x'02'",
    "infinite": "UPDATE metrics SET cpu_percent = 9e999, ram_used_mb = -9e999, cycle_duration_ms = 1e300",
    "nulls": "UPDATE metrics SET timestamp_lima = NULL, cycle_duration_ms = NULL, internet_ok = NULL",
    "no UTF-8": "UPDATE metrics SET id = CAST(x'ff1b9b' AS TEXT), timestamp_lima = CAST(x'ff' AS TEXT)",
    "an odd status": "UPDATE metrics SET worker_status = 9223372036854775807, internet_ok = 77",
    "escapes": "UPDATE deliveries SET last_error = char(27) || '[2J' || char(10) || 'worker  HTTP 200, ok' || char(155) || '31m'",
    "a state unknown": "UPDATE alert_state SET announced = char(27) || ']0;OWNED'",
    "a moment unknown": "UPDATE alert_state SET since_ns = 'then'",
    "a moment far off": "UPDATE alert_state SET since_ns = 9223372036854775807",
    "hours": "UPDATE rollups SET start = '2026-zz' || char(27), count = 'many', mean = 'hot', max = 9e999",
    "a metric unknown": "UPDATE rollups SET metric = char(27) || metric",
    "the hour of the last row": "UPDATE metrics SET timestamp_lima = '20261123T152010-05:00'",
}


@pytest.mark.parametrize("statement", ODD.values(), ids=ODD)
def test_a_value_that_makes_no_sense_is_unknown(config: Path, tmp_path: Path, statement: str) -> None:
    """No traceback, no escape sequence, no second line; what is not what it should be is `?`, unknown or null."""
    sql(tmp_path / "metrics.db", statement)
    done = ctl("status", "--config", config)
    assert done.returncode in (1, 3)
    assert len([line for line in done.stdout.splitlines() if line.startswith("worker ")]) == 1
    printed = ctl("status", "--config", config, "--json").stdout
    assert printed.isascii()
    assert "Infinity" not in printed
    assert json.loads(printed)["trouble"] in (None, "systemd does not answer")
    assert ctl("history", "--config", config, "--days", "1000").returncode == 0
    json.loads(ctl("history", "--config", config, "--days", "1000", "--json").stdout)


def test_unknown_is_said_in_words(config: Path, tmp_path: Path) -> None:
    """The lines of a row of which nothing makes sense."""
    sql(tmp_path / "metrics.db", ODD["no time"], ODD["text for numbers"], ODD["a state unknown"])
    lines = ctl("status", "--config", config).stdout
    assert "last cycle  at an unknown time" in lines
    assert "cpu ?%" in lines
    assert "containers  not counted (docker.socket is empty)" in lines
    data = json.loads(ctl("status", "--config", config, "--json").stdout)
    assert data["last_cycle_age_seconds"] is None
    assert data["last_cycle"]["cpu_percent"] is None
    assert data["worker"] == {
        "configured": False,
        "announced": None,
        "since": data["worker"]["since"],
        "last_status": None,
    }


def test_a_row_of_a_clock_that_was_ahead_is_not_fresh(config: Path, tmp_path: Path) -> None:
    """A row dated years ahead is no sign that cycles run."""
    sql(tmp_path / "metrics.db", "UPDATE metrics SET timestamp_lima = '2099-01-01T00:00:00.000000-05:00'")
    done = ctl("status", "--config", config)
    assert "ahead of this host's clock" in done.stdout
    assert done.returncode in (1, 3)


def test_the_last_error_is_that_of_the_last_try(config: Path, tmp_path: Path) -> None:
    """Not the alphabetically greatest, and none of an alert that has arrived."""
    sql(
        tmp_path / "metrics.db",
        "DELETE FROM deliveries",
        "INSERT INTO deliveries (number, channel, last_error) VALUES (1, 'webhook', 'timeout: too slow')",
        "INSERT INTO deliveries (number, channel, last_error) VALUES (2, 'webhook', 'HTTP 500')",
        "INSERT INTO deliveries (number, channel, last_error, delivered_ns) VALUES (3, 'webhook', 'zebra', 3)",
        "INSERT INTO deliveries (number, channel) VALUES (4, 'webhook')",
    )
    assert "alerts      3 queued; last try: HTTP 500\n" in ctl("status", "--config", config).stdout


def test_only_the_worker_is_shown_as_the_worker(config: Path, tmp_path: Path) -> None:
    """A state of another subject, which a later version may keep, is none of the Worker's."""
    sql(tmp_path / "metrics.db", "UPDATE alert_state SET subject = 'disk:/', announced = 'error'")
    assert json.loads(ctl("status", "--config", config, "--json").stdout)["worker"]["announced"] is None
