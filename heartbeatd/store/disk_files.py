"""What others do to a database's files while it is open: they are deleted, replaced by others, or overwritten.

SQLite does not notice, or when it is too late (https://sqlite.org/howtocorrupt.html, 1 and 2): it goes on in files without a
name, or applies its WAL to a file that it does not belong to. So before each write the three files are looked at from outside,
by stat(2) alone. None of them is opened but the WAL, which SQLite takes no locks on: whoever opens the database or its index in
another way than SQLite's, and closes it again, takes all locks of this process on it away (2.2).
"""

import errno
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from heartbeatd.files import Identity, identity

_WAL_HEADER_BYTES = 32  # https://sqlite.org/fileformat2.html#the_write_ahead_log
_SALT = slice(16, 20)
_MOST_LINKS = 40  # as many as the kernel follows
_OURS_AHEAD = 3  # each time the WAL is begun anew its salt is one more


class Harm(StrEnum):
    """What was done, in the words of the log."""

    REPLACED = "was deleted or replaced while in use; going on with what is there now"
    OVERWRITTEN = "was overwritten while in use; going on with what is in it now"
    WAL = "lost its -wal file while in use; nothing that was in it is lost, and it is made anew"
    INDEX = "lost its -shm file while in use, which is made anew"


@dataclass(slots=True)
class DiskFiles:
    """The files of an open database: who they are, and when the main one was last seen to be written."""

    path: Path
    real: Path
    main: Identity | None
    wal: Identity | None
    index: Identity | None
    written: tuple[int, int] | None = None  # mtime (ns) and size
    salt: int | None = None

    @classmethod
    def of(cls, path: Path) -> "DiskFiles":
        """As they are now. SQLite keeps what belongs to a database beside the file that a symbolic link leads to."""
        real = path.resolve()
        return cls(path, real, identity(path), identity(beside(real, "-wal")), identity(beside(real, "-shm")))

    def is_current_file(self) -> bool:
        """False if another file is at the path, or none."""
        return identity(self.path) == self.main

    def looked_at(self) -> tuple[bool, bool]:
        """Whether the file is in place, and whether it was written since this was asked last: by a checkpoint, or otherwise."""
        try:
            found = self.path.stat()
        except OSError:
            return False, False
        before, self.written = self.written, (found.st_mtime_ns, found.st_size)
        return (found.st_dev, found.st_ino) == self.main, self.written != before

    def lost(self) -> Harm | None:
        """Which of the files beside it was deleted, or replaced by another."""
        if self.wal is not None and identity(beside(self.real, "-wal")) != self.wal:
            return Harm.WAL
        if self.index is not None and identity(beside(self.real, "-shm")) != self.index:
            return Harm.INDEX
        return None

    def learn_salt(self) -> None:
        """What tells our WAL from others'."""
        self.salt = _salt(beside(self.real, "-wal"))

    def remove_ours(self) -> None:
        """After the main file was overwritten: what belongs to the one before it. A WAL that was restored with it stays."""
        salt = _salt(beside(self.real, "-wal"))
        if salt is None or self.salt is None or 0 <= salt - self.salt <= _OURS_AHEAD:
            beside(self.real, "-wal").unlink(missing_ok=True)
        beside(self.real, "-shm").unlink(missing_ok=True)

    def remove_left(self) -> None:
        """After the main file was replaced: what belongs to the one before it and still has its name. SQLite leaves it there."""
        for suffix, ours in (("-wal", self.wal), ("-shm", self.index)):
            if ours is not None and identity(beside(self.real, suffix)) == ours:
                beside(self.real, suffix).unlink(missing_ok=True)


class ForeignLink(OSError):
    """A symbolic link that others than root made."""


def resolve_link(path: Path) -> Path:
    """The file that `path` is, or that root's links there lead to; it need not be there.

    The agent, and whoever took it over, may write in the database's folder: so what a link of anybody else's leads to is nobody's
    choice, and neither the agent nor heartbeatctl follows it. Raises ForeignLink, or another OSError.
    """
    for _ in range(_MOST_LINKS):
        try:
            found = path.lstat()
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(found.st_mode):
            return path
        if found.st_uid != 0:
            raise ForeignLink(
                0, f"{path} is a symbolic link that is not root's: name the file itself, or let root make the link"
            )
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def beside(path: Path, suffix: str) -> Path:
    """`metrics.db` → `metrics.db-wal`."""
    return path.with_name(path.name + suffix)


def _salt(wal: Path) -> int | None:
    try:
        opened = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        header = os.read(opened, _WAL_HEADER_BYTES)
    except OSError:
        return None
    finally:
        os.close(opened)
    return int.from_bytes(header[_SALT], "big") if len(header) == _WAL_HEADER_BYTES else None
