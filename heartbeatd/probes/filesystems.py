"""How full filesystems are: the local ones, and the network mounts that the configuration names.

statvfs(3) on a dead mount never comes back, so they are asked on threads: one for all that are local, one for each network mount.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from heartbeatd.core.metrics import Series
from heartbeatd.core.plain import plain
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.probes.mounts import Mount, is_mounted, local, meant_to_be_written, parse

MOUNTINFO = Path("/proc/self/mountinfo")
FSTAB = Path("/etc/fstab")
_LONGEST_LABEL = 256
_INODES_ARE_NONE = ("zfs",)  # it says what would fit into the space that is left


class MountTable:
    """What is mounted at the time. It is parsed when it has changed."""

    def __init__(self, mountinfo: Path) -> None:
        self._mountinfo = mountinfo
        self._text = b""
        self._all: list[Mount] = []
        self._local: list[Mount] = []

    def all(self) -> list[Mount]:
        text = read_bytes(self._mountinfo)
        if text != self._text:
            self._text, self._all = text, parse(text)
            self._local = local(self._all)
        return self._all

    def local(self) -> list[Mount]:
        """See `mounts.local`."""
        self.all()
        return self._local


class LocalFilesystems:
    """Reads those that are mounted at the time."""

    def __init__(self, mountinfo: Path = MOUNTINFO, fstab: Path = FSTAB) -> None:
        self._table, self._watched = MountTable(mountinfo), Watched(fstab)

    def read(self) -> Mapping[Series, float]:
        """Raises NoData if there is none, ProbeError if none can be asked."""
        values: dict[Series, float] = {}
        refused = ""
        for mount in self._watched.those_of(self._table.local()):
            try:
                if _shows(mount):
                    values.update(usage(mount.point, inodes=counts_inodes(mount)))
                    values.update(state(mount))
            except OSError as error:  # one that is broken, or unmounted since: the others are read all the same
                refused = refused or f"{mount.point}: {error.strerror}"
        if refused and not values:
            raise ProbeError(refused)
        if not values:
            raise NoData("no local filesystem is mounted where the agent can see it")
        return values


class NetworkMount:
    """Reads the one that is mounted at `point`."""

    def __init__(self, point: str, mountinfo: Path = MOUNTINFO) -> None:
        self._point, self._table = point, MountTable(mountinfo)

    def read(self) -> Mapping[Series, float]:
        """Raises NoData if nothing is mounted there: what is below it is another filesystem."""
        if not is_mounted(self._point, self._table.all()):
            raise NoData(f"nothing is mounted on {self._point}")
        try:
            return usage(self._point)
        except OSError as error:
            raise ProbeError(f"{self._point}: {error.strerror}") from None


class Watched:
    """Chooses those that are not meant to be read only, by fstab(5) and by what was found before: how full the others are does
    not change."""

    def __init__(self, fstab: Path = FSTAB) -> None:
        self._fstab = fstab
        self._written: set[tuple[str, str]] = set()  # device and mount point

    def those_of(self, mounts: list[Mount]) -> list[Mount]:
        """Of these mounts."""
        there = {(mount.device, mount.point): mount.read_only for mount in mounts}
        self._written = {one for one, read_only in there.items() if not read_only or one in self._written}
        if len(self._written) == len(there):
            return mounts
        try:
            meant = meant_to_be_written(read_bytes(self._fstab))
        except OSError:
            meant = set()
        return [mount for mount in mounts if (mount.device, mount.point) in self._written or mount.point in meant]


def state(mount: Mount) -> dict[Series, float]:
    """Whether it is read-only."""
    return {Series("disk_read_only", plain(mount.point, _LONGEST_LABEL)): float(mount.read_only)}


def usage(point: str, *, inodes: bool = True) -> dict[Series, float]:
    """Space and inodes in use of the filesystem that is mounted there."""
    found = os.statvfs(point)
    used = found.f_blocks - found.f_bfree
    return percentages(point, used, found.f_bavail, found.f_files if inodes else 0, found.f_ffree)


def percentages(point: str, used: int, available: int, inodes: int, inodes_free: int) -> dict[Series, float]:
    """What is in use in percent, as `df` counts it: of the space that is there without what is reserved for root.

    A series is left out where there is nothing to count; btrfs has no number of inodes, for example.
    """
    label = plain(point, _LONGEST_LABEL)
    values = {}
    if used + available > 0:
        values[Series("disk_used_percent", label)] = round(100 * used / (used + available), 1)
    if inodes > 0:
        values[Series("disk_inodes_percent", label)] = round(100 * (1 - inodes_free / inodes), 1)
    return values


def counts_inodes(mount: Mount) -> bool:
    """False where inodes are made as they are needed."""
    return mount.kind not in _INODES_ARE_NONE


def read_bytes(path: Path) -> bytes:
    """All that is in a small file of the kernel's."""
    with path.open("rb", buffering=0) as file:
        return file.read()


def _shows(mount: Mount) -> bool:
    """False if it is a single file, as containers have them, or something else was mounted over it or over a folder above it.

    The last cannot be told of what has no device of its own.
    """
    found = Path(mount.point).stat()
    device = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
    return stat.S_ISDIR(found.st_mode) and (mount.device.startswith("0:") or mount.device == device)
