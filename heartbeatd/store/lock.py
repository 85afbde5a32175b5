"""One agent for one database: a flock(2) on a file beside it, held for as long as the database is open.

On a file of its own, never on the database: to open and close that would take SQLite's locks on it away. The kernel lets go of
the lock when its holder ends, however it does, so a file that was left behind is no lock. Where none can be made, the agent goes
on without one.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from heartbeatd.errors import Problem, StoreError
from heartbeatd.store.disk_files import beside


class InUseError(StoreError):
    """Another agent has the database."""


def acquire(path: Path) -> int | None:
    """Lock the database at `path` for this agent: a descriptor, to be closed to let go; None where no lock can be had.

    Raises InUseError, which names the one that has it as far as that can be seen.
    """
    file = beside(path.resolve(), ".lock")
    opened = _opened(file)
    if opened is None:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        who = _holder(opened)
        os.close(opened)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return None  # a filesystem without locks
        raise InUseError(Problem(str(path), who, "stop that one, or name another storage.path")) from None
    with contextlib.suppress(OSError):  # read-only, or full: it is a lock all the same
        os.ftruncate(opened, 0)
        os.pwrite(opened, f"{os.getpid()}\n".encode(), 0)
    return opened


def held_by(path: Path) -> int:
    """The process that has locked the database at `path`; 0 if none has, or that is not to be seen. Takes no lock itself."""
    try:
        opened = os.open(beside(path.resolve(), ".lock"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return _by_kernel(opened)
    finally:
        os.close(opened)


def _opened(file: Path) -> int | None:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for access in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with contextlib.suppress(OSError):
            return os.open(file, access | flags, 0o640)
    return None


def _holder(opened: int) -> str:
    """Who has the lock, in words: by the kernel's own list, or else by what the holder wrote, if such a process lives."""
    pid = _by_kernel(opened)
    with contextlib.suppress(OSError, ValueError):
        pid = pid or int(os.pread(opened, 20, 0))
    if pid == os.getpid():
        return "this agent has it open already, by another name"
    if not pid or not Path(f"/proc/{pid}").exists():
        return "another heartbeatd has this database"
    with contextlib.suppress(OSError):
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
        if "/heartbeatd.service" in groups:
            return f"heartbeatd.service has this database (pid {pid})"
    return f"another heartbeatd has this database (pid {pid})"


def _by_kernel(opened: int) -> int:
    """The process that holds a flock on this file (proc_locks(5)); 0 if that is not to be seen."""
    inode = str(os.fstat(opened).st_ino)
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return max(0, int(words[4]))
    return 0
