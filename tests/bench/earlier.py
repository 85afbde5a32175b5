"""The earlier agent's way of working, in little: every ten seconds everything anew, as its `monitor.py` did it.

earlier.py WORKER-URL CHECK-URL CA-FILE DATABASE

A new Docker client, a new connection for each request, a new one to the database, and a sleep after the work.
"""

import contextlib
import sqlite3
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone

import docker
import psutil
import requests

INTERVAL_S = 10
LIMA = timezone(timedelta(hours=-5))


def main() -> None:
    """Run until killed."""
    worker, check, ca_file, database = sys.argv[1:]
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS metrics (id TEXT, at TEXT, cpu, ram, disk, containers, ok, ping, status)"
        )
        db.commit()
    while True:
        began_s = time.monotonic()
        row = (str(uuid.uuid4()), datetime.now(LIMA).isoformat(), *_measured(), *_checked(check))
        status = _beat(worker, ca_file)
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, status))
            db.commit()
        time.sleep(max(0, INTERVAL_S - (time.monotonic() - began_s)))


def _measured() -> tuple[float, float, float, int]:
    containers = len(docker.from_env().containers.list())
    return psutil.cpu_percent(), psutil.virtual_memory().percent, psutil.disk_usage("/").percent, containers


def _checked(url: str) -> tuple[int, float]:
    """1 and the latency in ms."""
    began_s = time.monotonic()
    requests.head(url, timeout=5)
    return 1, (time.monotonic() - began_s) * 1000


def _beat(url: str, ca_file: str) -> int:
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    return requests.post(url, headers=headers, json={"services": {}}, timeout=5, verify=ca_file).status_code


if __name__ == "__main__":
    main()
