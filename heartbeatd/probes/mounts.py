"""The table of mounts, /proc/self/mountinfo: what is mounted where, and which of it is a real local filesystem.

Theory of operation. What has a block device of its own is local: its device number has a major one. Those without are pseudo
filesystems, tmpfs, overlays and network mounts, but for a few that have disks and no device of their own. Subvolumes of btrfs
have one number in this table, datasets of ZFS one each. Bind mounts share the number of what they show: the shortest mount point
names it, as in df(1).
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

# proc(5): ID, parent, device, root, mount point, options, optional fields up to a hyphen; type, source, the filesystem's options.
_LINE = re.compile(rb"^\d+ \d+ (\d+:\d+) \S+ (\S+) \S+ (?:\S+ )*?- (\S+) \S* (\S+)$", re.MULTILINE)
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")
_DISKS_WITHOUT_DEVICE = ("bcachefs", "btrfs", "ubifs", "zfs")
_ALWAYS_FULL = ("cramfs", "erofs", "iso9660", "romfs", "squashfs", "udf")  # images and discs
_AUTOMOUNT = "autofs"
# What engines mount for each container; and in a container of systemd-nspawn, what of the machine around it is handed in.
_OF_CONTAINERS = ("/var/lib/docker/", "/var/lib/containers/", "/var/lib/kubelet/", "/run/docker/", "/run/host/")


@dataclass(frozen=True, slots=True)
class Mount:
    """`device` is `major:minor`. `read_only` is the filesystem itself, not only this view of it, as a sandbox has it."""

    point: str
    device: str
    kind: str
    read_only: bool

    @property
    def is_local(self) -> bool:
        """True if it is kept on a disk of this host, and can fill up."""
        has_disk = not self.device.startswith("0:") or self.kind in _DISKS_WITHOUT_DEVICE
        return has_disk and self.kind not in _ALWAYS_FULL and not self.point.startswith(_OF_CONTAINERS)


def parse(mountinfo: bytes) -> list[Mount]:
    """The mounts that can be seen, in the order in which they were mounted; lines that are none are left out."""
    found: dict[str, Mount] = {}
    for device, point, kind, options in _LINE.findall(mountinfo):
        path = _unescaped(point)
        found.pop(path, None)  # hidden by this one
        found[path] = Mount(path, device.decode(), os.fsdecode(kind), options.split(b",", 1)[0] == b"ro")
    return list(found.values())


def local(mounts: Iterable[Mount]) -> list[Mount]:
    """The real local filesystems, one mount of each."""
    found: dict[str, Mount] = {}
    for mount in mounts:
        known = found.get(mount.device)
        if mount.is_local and (known is None or len(mount.point) < len(known.point)):
            found[mount.device] = mount
    return list(found.values())


def is_mounted(point: str, mounts: Iterable[Mount]) -> bool:
    """True if something is mounted there; what autofs would mount once somebody looks is not."""
    return any(mount.point == point and mount.kind != _AUTOMOUNT for mount in mounts)


def meant_to_be_written(fstab: bytes) -> set[str]:
    """The mount points that fstab(5) has without `ro`: one that is read-only all the same has had errors."""
    lines = (line.split() for line in fstab.splitlines() if not line.lstrip().startswith(b"#"))
    return {_unescaped(line[1]) for line in lines if len(line) > 3 and b"ro" not in line[3].split(b",")}


def _unescaped(path: bytes) -> str:
    """`/mnt/my\\040disk` → `/mnt/my disk`."""
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes((int(found[1], 8),)), path))
