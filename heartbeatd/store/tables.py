"""What the steps of the ladder ask of a file's tables, and do to them."""

import sqlite3


class IncompatibleDatabase(Exception):
    """The file is a database, but not one this version can use; the text says why."""


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {column[1] for column in connection.execute(f"PRAGMA table_info({table})")}


def add_columns(connection: sqlite3.Connection, table: str, **kinds: str) -> None:
    """Those that are not there yet, empty."""
    there = columns(connection, table)
    for name, kind in kinds.items():
        if name not in there:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def execute_each(connection: sqlite3.Connection, statements: str) -> None:
    """One by one: executescript() would commit what is under way."""
    for statement in statements.split(";"):
        connection.execute(statement)


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None
