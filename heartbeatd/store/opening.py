"""Before a database is the agent's own: files of somebody else's are copied, and SQLite is switched to its WAL."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from heartbeatd.store.disk_files import beside


def copy_if_foreign(path: Path) -> None:
    """Files that somebody else owns (copied in by root) but that can be read are replaced by a copy that is ours, WAL and all."""
    real = path.resolve()
    wal, index = beside(real, "-wal"), beside(real, "-shm")
    there = [found for found in (real, wal, index) if found.exists()]
    if real not in there or all(os.access(found, os.W_OK) for found in there) or not os.access(real.parent, os.W_OK):
        return
    copy = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{real.as_uri()}?mode=ro", uri=True)) as theirs,
            contextlib.closing(sqlite3.connect(copy)) as ours,
        ):
            theirs.backup(ours)
        copy.replace(real)
        for left in (wal, index):  # what was in them is in the copy
            left.unlink(missing_ok=True)
    finally:
        copy.unlink(missing_ok=True)


def switch_to_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Wait for whoever does the same at this moment: for this SQLite does not wait by itself. Raises sqlite3.Error."""
    until_s = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(0.02)
