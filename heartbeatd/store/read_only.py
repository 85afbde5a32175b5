"""The database, opened to be read by people's commands: see `reader` for what has to be feared of it."""

import contextlib
import os
import sqlite3
from pathlib import Path

from heartbeatd.store.disk_files import beside
from heartbeatd.store.guard import limit, require_real_files, require_real_tables
from heartbeatd.store.read_errors import reported

BUSY_S = 1.0


def open_to_read(path: Path) -> sqlite3.Connection:
    """A guarded read-only connection, which can neither change the database nor hold the agent up. Raises as `Reader.open`."""
    with reported(path):
        real = require_real_files(path)
        # A database that was closed cleanly has no WAL, and without write access SQLite could not make one to look.
        mode = "mode=ro" if beside(real, "-wal").exists() or os.access(real.parent, os.W_OK) else "mode=ro&immutable=1"
        connection = sqlite3.connect(f"{real.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S)
        try:
            limit(connection)
            require_real_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def limit_memory(most_bytes: int) -> None:
    """Bound what SQLite takes in this process, all connections together, from now on: it can only be lowered after that."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA hard_heap_limit = {most_bytes}")
