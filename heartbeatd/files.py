"""Files that people or systemd have put there: only regular ones are read, with a bound on their size, and without waiting.

A FIFO waits for a writer, a device may never end, and for some devices to open them is to do something.
"""

import errno
import os
import stat
from pathlib import Path


class NotRegularFile(OSError):
    """Something else stands where a file is expected. `strerror` is e.g. `it is a FIFO, not a regular file`."""


def read_regular(path: Path, at_most: int) -> bytes:
    """What is in the file, `at_most` bytes of it. Raises OSError; NotRegularFile if it is a FIFO, folder, device or socket."""
    require_regular(path)
    # What has been looked at may be another by now, so it is opened without waiting, and looked at again.
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        _require_regular(path, os.fstat(opened))
        return file.read(at_most)


def require_regular(path: Path) -> None:
    """Raises OSError if nothing is there; NotRegularFile if it is a FIFO, folder, device or socket. Opens nothing."""
    _require_regular(path, path.stat())


def _require_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise NotRegularFile(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
