"""Why a database cannot be used, and what to do about it: found by looking at the folder, the files and the mount, not guessed.

The commands that put it right are worded here, for the agent's errors and for `heartbeatctl check`, which finds out as its user.
Nothing is opened here: a file that is looked at may be the open database itself (see `disk_files`).
"""

import grp
import os
import pwd
import stat
from pathlib import Path

from heartbeatd.store.disk_files import beside

STATX_ATTR_IMMUTABLE = 0x10
_AT_FDCWD = -100
_STATX_BYTES, _ATTRIBUTES = 256, slice(8, 16)  # of struct statx, statx(2)
# Folders that the system has for many: their owner is not to be changed for one file.
_NAMES = ("", "etc", "usr", "var", "var/lib", "home", "root", "srv", "opt", "tmp", "var/tmp", "run", "mnt", "media")
SHARED = frozenset(Path("/") / name for name in _NAMES)


def to_write(path: Path) -> str:
    """What keeps the database at `path` from being written by this user, and what to do; nothing if nothing is to be seen."""
    try:
        return _folder(path.parent) or _mount(path.parent) or _rights(path)
    except OSError as error:
        return f"{error.filename or path}: {error.strerror}"


def user() -> str:
    """The name of the user this process runs as."""
    return _name(os.geteuid())


def make_folder(folder: Path, user: str, group: str = "") -> str:
    """The command that makes one that is this user's."""
    return f"install -d -o {user}{f' -g {group}' if group else ''} -m 750 {folder}"


def give(found: Path, user: str, group: str) -> str:
    """The command that makes a file or a folder this user's, and nothing below it."""
    return f"chown {user}:{group} {found}"


def allow_writing(folder: Path) -> str:
    """What opens the unit's sandbox there."""
    return f"`systemctl edit heartbeatd` with the lines [Service] and ReadWritePaths={folder}; `systemctl restart heartbeatd`"


def _folder(folder: Path) -> str:
    if not folder.exists():
        return f"there is no folder {folder}: {make_folder(folder, user(), _group())}"
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not os.access(folder, os.X_OK):
        return f"{user()} may not enter {folder}, which belongs to {_owner(folder)}"
    return ""


def _mount(folder: Path) -> str:
    if not os.statvfs(folder).f_flag & os.ST_RDONLY:
        return ""
    if not _only_for_us(folder):
        return f"the filesystem of {folder} is mounted read-only: see `dmesg` for the reason, and mount it for writing"
    if "INVOCATION_ID" in os.environ:
        return f"the unit's sandbox lets it write elsewhere only: {allow_writing(folder)} (a reload is not enough)"
    return f"{folder} is mounted read-only where this process runs: mount it for writing there"


def _only_for_us(folder: Path) -> bool:
    """True if the filesystem could be written, and only the place it is mounted at cannot: by a sandbox, or a bind mount."""
    # Fields: id, parent, device, root, mount point, options, further ones up to "-", type, source, options of the filesystem.
    lines = [
        line.split() for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    device = folder.stat().st_dev
    named = f"{os.major(device)}:{os.minor(device)}"
    whole = [line[line.index("-") + 3].split(",") for line in lines if line[2] == named]
    return bool(whole) and all("rw" in options for options in whole)


def _rights(path: Path) -> str:
    folder = path.parent
    if not os.access(folder, os.W_OK):
        if _immutable(folder):
            return f"{folder} is immutable: chattr -i {folder}"
        if folder in SHARED:
            return (
                f"{user()} may not write in {folder}, which the system has for others, too: choose a folder of its own"
            )
        return f"{user()} may not write in {folder}, which belongs to {_owner(folder)}: {_let(folder, 'u+rwx')}"
    for found in (path, beside(path, "-wal"), beside(path, "-shm")):
        if not found.exists():
            continue
        if not stat.S_ISREG(found.stat().st_mode):
            return f"{found} is no regular file: move it away"
        if not os.access(found, os.R_OK | os.W_OK):
            if _immutable(found):
                return f"{found} is immutable: chattr -i {found}"
            return f"{user()} may not read and write {found}, which belongs to {_owner(found)}: {_let(found, 'u+rw')}"
    return ""


def _let(found: Path, mode: str) -> str:
    """What lets this user at it."""
    return f"chmod {mode} {found}" if found.stat().st_uid == os.geteuid() else give(found, user(), _group())


def _owner(found: Path) -> str:
    seen = found.stat()
    return f"{_name(seen.st_uid)} (mode {stat.S_IMODE(seen.st_mode):04o})"


def _group() -> str:
    number = os.getegid()
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _immutable(found: Path) -> bool:
    """True if the filesystem says so (chattr(1)). By statx(2), which Python does not have: an ioctl would have to open it."""
    import ctypes

    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    if libc.statx(_AT_FDCWD, os.fsencode(found), 0, 0, buffer) != 0:
        return False
    return bool(int.from_bytes(buffer.raw[_ATTRIBUTES], "little") & STATX_ATTR_IMMUTABLE)
