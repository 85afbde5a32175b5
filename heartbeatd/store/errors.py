"""What SQLite and the system throw while the agent writes, as errors of ours that say what to do."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.errors import CorruptStoreError, Problem, StoreError
from heartbeatd.store.tables import IncompatibleDatabase

# sqlite3 error codes of a file that is no database any more (https://sqlite.org/rescode.html)
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system throw into an error of ours that says what to do."""
    try:
        yield
    except IncompatibleDatabase as error:
        raise StoreError(
            Problem(str(path), str(error), "move the file aside, or install a version that fits")
        ) from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        kind = CorruptStoreError if code & 0xFF in CORRUPT else StoreError
        hint = _hint(path, code & 0xFF, getattr(error, "sqlite_errorname", ""))
        raised = kind(Problem(str(path), f"database: {error}", hint))
        raised.code = code & 0xFF
        raise raised from error
    except OSError as error:
        seen = error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT)
        hint = _writing_hint(path) if seen else ""
        raise StoreError(Problem(str(path), error.strerror or str(error), hint)) from error
    except ValueError as error:  # a word in alert_state that this version does not know
        raise CorruptStoreError(Problem(str(path), f"database: {error}", "it was changed by hand")) from error


def _hint(path: Path, code: int, name: str) -> str:
    hints = {
        sqlite3.SQLITE_FULL: "the disk is full: make room",
        sqlite3.SQLITE_BUSY: locked_hint(path),
        sqlite3.SQLITE_CORRUPT: "the file is damaged",
        sqlite3.SQLITE_NOTADB: "the file is damaged, or something else",
    }
    seen = hints.get(code) or _writing_hint(path)
    if not seen and code == sqlite3.SQLITE_IOERR:
        return f"{name}: the system could not read or write it; `dmesg` says whether that is the disk's fault"
    return seen or (f"{name}: see sqlite.org/rescode.html" if name else "")


def _writing_hint(path: Path) -> str:
    from heartbeatd.store import hints

    return hints.to_write(path)


def locked_hint(path: Path) -> str:
    return f"another process holds it locked: find it with `fuser {path}`"
