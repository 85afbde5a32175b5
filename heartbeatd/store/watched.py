"""A connection that notices what others do to the database's files while they are open: what it wrote then would be lost."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.errors import Problem, StoreError
from heartbeatd.store.disk_files import DiskFiles, Harm
from heartbeatd.store.errors import CORRUPT, locked_hint, translate_errors


@dataclass(frozen=True, slots=True)
class _Folded:
    """What is in the file itself, less its WAL: the version of its layout (PRAGMA schema_version), and the last row."""

    schema: int
    last: int | None = None


class WatchedConnection:
    """Every method raises StoreError (CorruptStoreError) in place of what SQLite throws."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self._files = DiskFiles.of(path)
        self._folded = _Folded(0)

    def watch(self) -> None:
        """Begin to look after the files: from here on `harm` says what others do to them."""
        with translate_errors(self.path):
            # What is in the WAL goes into the file itself, so that there is something to know it again by.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._files = DiskFiles.of(self.path)
            self._files.looked_at()
            self._folded, _ = self._in_file(None)

    def is_current_file(self) -> bool:
        """False if the file was deleted or replaced under the open connection: what is written then goes nowhere."""
        return self._files.is_current_file()

    def harm(self, *, closely: bool) -> Harm | None:
        """What others did to the files since `watch`: then this connection is of no use any more, see `give_up`.

        Looked at `closely`, the files beside it count, too. That costs more, and nothing is lost while they are missed.
        """
        in_place, written = self._files.looked_at()
        if not in_place:
            return Harm.REPLACED
        if closely and (lost := self._files.lost()) is not None:
            return lost
        if not written:
            if closely:
                self._files.learn_salt()
            return None
        before = self._folded
        try:
            now, kept_id = self._in_file(before.last)
        except sqlite3.Error:  # somebody's checkpoint is under way, or it is damaged, which `verify_on_disk` finds out
            self._files.written = None
            return None
        with translate_errors(self.path):
            if before.schema > now.schema or not self._is_ahead_of(now, before, kept_id):
                return Harm.OVERWRITTEN
        self._folded = now
        self._files.learn_salt()
        return None

    def _is_ahead_of(self, now: "_Folded", before: "_Folded", kept_id: str | None) -> bool:
        """Whether the file itself has what this connection sees, or less. `kept_id` is in the row that was last known in it."""
        try:
            (schema_now,) = self._connection.execute("PRAGMA schema_version").fetchone()
            ours = self._connection.execute("SELECT id FROM metrics WHERE rowid = ?", (before.last,)).fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in CORRUPT:  # the WAL was overwritten, too
                return False
            raise
        return bool(now.schema <= schema_now) and (ours is None or ours[0] == kept_id)

    def give_up(self, harm: Harm) -> None:
        """Close after `harm`, so that nothing is lost. Raises StoreError if that is not possible yet: then it stays open."""
        if harm is Harm.OVERWRITTEN:
            self._connection.interrupt()  # then closing does not write the WAL into a file that it does not belong to
        elif harm is not Harm.INDEX and not self._fold() and harm is Harm.WAL:
            what = "its -wal file was deleted, and somebody who reads holds up saving what was in it"
            waits = StoreError(Problem(str(self.path), what, locked_hint(self.path)))
            waits.code = sqlite3.SQLITE_BUSY
            raise waits
        self.close()
        with translate_errors(self.path):
            if harm is Harm.OVERWRITTEN:
                self._files.remove_ours()
            elif harm is Harm.REPLACED:
                self._files.remove_left()

    def _fold(self) -> bool:
        """Write all that is in the WAL into the file itself; False if that was not possible."""
        with contextlib.suppress(sqlite3.Error):
            (busy, pages, folded) = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return not busy and pages == folded
        return False

    def _in_file(self, rowid: int | None) -> tuple["_Folded", str | None]:
        """How far the WAL has been folded into the file, and the id of the row `rowid` there."""
        # Without locks, and so without a WAL: the file as it is on the disk.
        uri = f"{self._files.real.as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as alone:
            (version,) = alone.execute("PRAGMA schema_version").fetchone()
            if alone.execute("SELECT 1 FROM sqlite_master WHERE name = 'metrics'").fetchone() is None:
                return _Folded(version), None
            (last,) = alone.execute("SELECT max(rowid) FROM metrics").fetchone()
            found = alone.execute("SELECT id FROM metrics WHERE rowid = ?", (rowid,)).fetchone()
        return _Folded(version, last), found[0] if found else None

    def verify_on_disk(self) -> None:
        """Raise CorruptStoreError if what is in the file is no database any more.

        The open connection may go on for ever without noticing: what it needs of a file that only it writes is in its memory.
        A fresh one has to read. It has to be SQLite's: whoever opens the file in any other way, and closes it again, takes all
        locks of this process on it away, and the next reader outside deletes the WAL (https://sqlite.org/howtocorrupt.html, 2.2).
        """
        with (
            translate_errors(self.path),
            contextlib.closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True)) as fresh,
        ):
            fresh.execute("SELECT id FROM metrics ORDER BY rowid DESC LIMIT 1").fetchone()

    def close(self) -> None:
        """Flush, and fold the WAL back into the file if nobody else has it open."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
