"""What SQLite and the system throw while the database is read for people, as errors of ours that say what is the matter."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.errors import CorruptStoreError, Problem, StoreError, StoreNotAllowedError
from heartbeatd.store import guard, hints


class NoDatabaseError(StoreError):
    """There is no file yet."""


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system throw while reading into an error of ours that says what is the matter."""
    try:
        yield
    except FileNotFoundError:
        raise NoDatabaseError(
            Problem(str(path), "there is no database yet", "the agent makes it at its first start")
        ) from None
    except PermissionError:
        raise _not_allowed(path) from None
    except OSError as error:
        raise StoreError(Problem(str(path), error.strerror or str(error))) from None
    except (MemoryError, sqlite3.DataError, OverflowError):
        raise StoreError(Problem(str(path), "it holds more than heartbeatd ever writes", _FOREIGN)) from None
    except sqlite3.Error as error:
        raise _explained(path, error) from None


def _not_allowed(path: Path) -> StoreError:
    return StoreNotAllowedError(Problem(str(path), f"the user {hints.user()} may not read it"))


_FOREIGN = "it was changed by hand, or is not heartbeatd's"


def _explained(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptStoreError(Problem(str(path), f"database: {error}", "the file is damaged, or something else"))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH) and not os.access(path, os.R_OK):
        return _not_allowed(path)
    what, hint = f"database: {error}", "see sqlite.org/rescode.html"
    match code:
        case sqlite3.SQLITE_INTERRUPT:
            what, hint = (
                f"it could not be read within {guard.DEADLINE_S:g} s",
                "it is very large, damaged or not heartbeatd's",
            )
        case sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_TOOBIG:
            what, hint = "it holds more than heartbeatd ever writes", _FOREIGN
        case sqlite3.SQLITE_BUSY:
            hint = "another process holds it locked: find it with `fuser`"
        case sqlite3.SQLITE_ERROR:
            what = f"it is not a database of this version of heartbeatd: {error}"
            hint = "the agent brings an earlier one up to date at its first start"
    return StoreError(Problem(str(path), what, hint))
