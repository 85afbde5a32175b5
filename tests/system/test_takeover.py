"""The earlier agent's users move over: its metrics.db, put at the storage path, is gone on with."""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.conftest import MEASURE_ONLY, configure, wait_active
from tests.system.host import BootedHost

DATABASE = "/var/lib/heartbeat/metrics.db"
SQLITE = f"sqlite3 -readonly {DATABASE}"
ROWS = 200


def earlier_database(path: Path, *, services_health: bool) -> list[str]:
    """Write a database as the earlier agent left it; the ids of its rows, in order."""
    further = ", services_health TEXT" if services_health else ""
    ids = [str(uuid.uuid4()) for _ in range(ROWS)]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE metrics (id TEXT PRIMARY KEY, timestamp_lima TEXT, cpu_percent REAL, ram_percent REAL,"
            " ram_used_mb REAL, disk_percent REAL, container_count INTEGER, internet_ok INTEGER, ping_ms REAL,"
            f" worker_status INTEGER, cycle_duration_ms REAL{further})"
        )
        values = "?, ?, 1.5, 40.0, 812.3, 55.5, ?, 1, 12.5, 200, 640.1" + (
            ', \'{"n8n": "healthy"}\'' if further else ""
        )
        connection.executemany(
            f"INSERT INTO metrics VALUES ({values})",
            [
                (id_, f"2025-06-01T10:{n // 6:02}:{n % 6}0.000214-05:00", -1 if n % 50 == 0 else n)
                for n, id_ in enumerate(ids)
            ],
        )
        connection.commit()
    return ids


@pytest.mark.parametrize("services_health", [False, True], ids=["eleven columns", "with services_health"])
@pytest.mark.parametrize("owner", ["root:root", "heartbeat:heartbeat"])
def test_an_earlier_database_is_taken_over(
    installed: BootedHost, tmp_path: Path, owner: str, services_health: bool
) -> None:
    """Whoever owns the copied file, every row is kept in order, -1 becomes NULL, and new rows follow in the same table."""
    ids = earlier_database(tmp_path / "metrics.db", services_health=services_health)
    installed.run("systemctl stop heartbeatd; rm --recursive --force /var/lib/heartbeat/*")
    installed.run("install --directory --owner=heartbeat --group=heartbeat --mode=0750 /var/lib/heartbeat")
    installed.path(DATABASE).write_bytes((tmp_path / "metrics.db").read_bytes())
    installed.run(f"chown {owner} {DATABASE}; chmod 0644 {DATABASE}")
    configure(installed, MEASURE_ONLY)
    installed.run("systemctl start heartbeatd")
    wait_active(installed)
    installed.wait_for("new rows", lambda: count(installed, "true") >= ROWS + 2)
    kept = installed.out(f"{SQLITE} 'SELECT id FROM metrics ORDER BY rowid'").splitlines()
    assert kept[:ROWS] == ids
    assert all(uuid.UUID(id_).version == 7 for id_ in kept[ROWS:])
    assert count(installed, "container_count < 0") == 0
    assert count(installed, f"container_count IS NULL AND timestamp_lima < '2026' AND rowid <= {ROWS}") == 4
    columns = installed.out(f"{SQLITE} \"SELECT name FROM pragma_table_info('metrics')\"").split()
    assert (columns[0], columns[10]) == ("id", "cycle_duration_ms")
    assert columns[11:] == (["services_health"] if services_health else [])
    if services_health:
        assert count(installed, 'services_health = \'{"n8n": "healthy"}\''.replace('"', '\\"')) == ROWS
    assert installed.out(f"stat --format=%U:%G {DATABASE}") == "heartbeat:heartbeat"
    # Said once, and not again at the next start.
    installed.run("systemctl restart heartbeatd")
    said = installed.journal("MESSAGE_ID=9608df0ce1854d399b61e1dda036b9fa", "--output=cat").splitlines()
    assert str(ROWS) in said[-1]


def test_takeover_is_said_once_each(installed: BootedHost) -> None:
    """Each of the four databases above was announced in the journal once, in spite of the restarts."""
    said = installed.journal("MESSAGE_ID=9608df0ce1854d399b61e1dda036b9fa", "--output=cat").splitlines()
    assert len(said) == 4


def test_import_env_gives_a_configuration_that_is_accepted(installed: BootedHost) -> None:
    """`import-env --write .env` puts a config.toml with the earlier agent's three settings in place, and `check` accepts it."""
    installed.path("/root/.env").write_text(
        "SECRET_KEY='s3cret#key'\nHEARTBEAT_URL=https://beat.example.workers.dev/api/heartbeat\n"
        "N8N_WEBHOOK_URL=http://127.0.0.1:5678/webhook/heartbeat\n"
    )
    assert installed.run("heartbeatctl import-env --write /root/.env", check=False).returncode == 1  # it has settings
    installed.run("umask 077; heartbeatctl import-env --write --force /root/.env")
    for name in ("config.toml", "config.toml.bak"):
        assert installed.out(f"stat --format='%U:%G %a' /etc/heartbeat/{name}") == "root:heartbeat 640"
    text = installed.path("/etc/heartbeat/config.toml").read_text()
    for value in (
        "s3cret#key",
        "https://beat.example.workers.dev/api/heartbeat",
        "http://127.0.0.1:5678/webhook/heartbeat",
    ):
        assert f'"{value}"' in text
    installed.run("heartbeatctl check --offline")


def count(host: BootedHost, where: str) -> int:
    """How many rows fit."""
    return int(host.run(f'{SQLITE} "SELECT count(*) FROM metrics WHERE {where}"', check=False).stdout or 0)
