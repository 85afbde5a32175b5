"""Files that people or systemd have put there: only regular ones are read, with a bound on their size, and without waiting.

A FIFO waits for a writer, a device may never end, and for some devices to open them is to do something.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

Identity = tuple[int, int]  # device and inode


class NotRegularFile(OSError):
    """Something else stands where a file is expected. `strerror` is e.g. `it is a FIFO, not a regular file`."""


def identity(path: Path) -> Identity | None:
    """Which file that is, None if there is none or it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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


def decoded(data: bytes) -> str:
    """The text in `data` with its lines ended by newlines, whatever editor wrote it. Raises ValueError: `line 3 is not …`."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0\0" in (data[0:4:2], data[1:4:2]):
        raise ValueError("is UTF-16 text, not UTF-8")
    if b"\0" in data:
        raise ValueError(f"line {_line_of(data, data.index(0))} has a NUL byte, which no text has")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"line {_line_of(data, error.start)} is not UTF-8 text") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def write_atomically(path: Path, data: bytes, mode: int, group: int = -1) -> None:
    """Replace the file as a whole: at no moment is it half-written, or readable by anybody it is not for. Raises OSError.

    Its owner is who runs this, its group `group`. Several may do it at once: the last one's file stays.
    """
    new = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "wb") as file:
            os.fchown(opened, -1, group)
            os.fchmod(opened, mode)
            file.write(data)
            file.flush()
            os.fsync(opened)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _line_of(data: bytes, at: int) -> int:
    """The number of the line that byte `at` is on."""
    return len(data[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))


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
