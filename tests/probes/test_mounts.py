"""The table of mounts: what of it is a real local filesystem, by tables as they are on users' machines."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.probes.mounts import is_mounted, local, meant_to_be_written, parse

DEBIAN = rb"""22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
24 28 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=1979132k,nr_inodes=494783,mode=755,inode64
25 24 0:22 / /dev/pts rw,nosuid,noexec,relatime shared:3 - devpts devpts rw,gid=5,mode=620,ptmxmode=000
26 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=400864k,mode=755,inode64
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/nas--vg-root rw,errors=remount-ro
31 26 0:27 / /run/lock rw,nosuid,nodev,noexec,relatime shared:6 - tmpfs tmpfs rw,size=5120k,inode64
34 23 0:30 / /proc/sys/fs/binfmt_misc rw,relatime shared:16 - autofs systemd-1 rw,fd=29,pgrp=1,timeout=0,direct
41 28 8:2 / /boot rw,relatime shared:30 - ext2 /dev/sda2 rw
42 41 8:1 / /boot/efi rw,relatime shared:31 - vfat /dev/sda1 rw,fmask=0077,dmask=0077,codepage=437,errors=remount-ro
43 28 254:2 / /home rw,relatime shared:32 - ext4 /dev/mapper/nas--vg-home rw
44 28 254:3 / /srv/my\040disk rw,noatime shared:33 - xfs /dev/mapper/nas--vg-srv rw,attr2,inode64,logbufs=8,noquota
45 28 254:3 /music /srv/music rw,noatime shared:33 - xfs /dev/mapper/nas--vg-srv rw,attr2,inode64,logbufs=8,noquota
46 28 11:0 / /media/cdrom0 ro,nosuid,nodev,noexec,relatime shared:34 - iso9660 /dev/sr0 ro,nojoliet,check=s,map=n
47 28 0:45 / /mnt/nas rw,relatime shared:35 - nfs4 nas.lan:/export rw,vers=4.2,rsize=1048576,hard,proto=tcp
48 28 0:46 / /mnt/smb rw,relatime shared:36 - cifs //nas/media rw,vers=3.1.1,cache=strict,username=me
49 28 0:47 / /mnt/ssh rw,nosuid,nodev,relatime shared:37 - fuse.sshfs me@far:/ rw,user_id=1000,group_id=1000
50 28 8:17 / /media/stick rw,relatime shared:38 - fuseblk /dev/sdb1 rw,user_id=0,group_id=0,allow_other,blksize=4096
"""
RASPBERRY_PI = rb"""21 27 0:20 / /proc rw,relatime shared:12 - proc proc rw
27 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
30 24 0:25 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:8 - cgroup2 cgroup2 rw,nsdelegate
39 27 179:1 / /boot/firmware rw,relatime shared:61 - vfat /dev/mmcblk0p1 rw,fmask=0022,dmask=0022,errors=remount-ro
52 27 0:41 / /var/log rw,nosuid,nodev,noexec,relatime shared:70 - tmpfs log2ram rw,size=131072k
"""
NAS = rb"""28 1 0:26 /@rootfs / rw,noatime shared:1 - btrfs /dev/nvme0n1p2 rw,ssd,space_cache=v2,subvolid=256,subvol=/@rootfs
61 28 0:26 /@home /home rw,noatime shared:40 - btrfs /dev/nvme0n1p2 rw,ssd,space_cache=v2,subvolid=257,subvol=/@home
62 28 0:26 /@snapshots /.snapshots rw,noatime shared:41 - btrfs /dev/nvme0n1p2 rw,subvolid=258,subvol=/@snapshots
70 28 0:52 / /tank rw,relatime shared:50 - zfs tank rw,xattr,noacl
71 70 0:53 / /tank/media rw,relatime shared:51 - zfs tank/media rw,xattr,noacl
72 28 0:60 / /mnt/pool rw,relatime shared:52 - fuse.mergerfs 1:2 rw,user_id=0,group_id=0,allow_other
"""
DOCKER = rb"""26 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard,errors=remount-ro
60 26 8:16 / /var/lib/docker rw,relatime shared:31 - ext4 /dev/sdb rw
71 60 0:54 / /var/lib/docker/overlay2/cab1/merged rw,relatime shared:40 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
72 25 0:4 net:[4026532281] /run/docker/netns/0e7 rw shared:41 - nsfs nsfs rw
73 60 0:61 / /var/lib/docker/zfs/graph/9ac rw,relatime shared:42 - zfs tank/docker/9ac rw,xattr,noacl
80 26 7:3 / /snap/core22/1122 ro,nodev,relatime shared:45 - squashfs /dev/loop3 ro,errors=continue,threads=single
81 26 7:4 / /snap/lxd/27037 ro,nodev,relatime shared:46 - squashfs /dev/loop4 ro,errors=continue,threads=single
"""
SANDBOX = rb"""210 195 8:1 / / ro,relatime shared:9 master:1 - ext4 /dev/sda1 rw,errors=remount-ro
211 210 0:23 /systemd/inaccessible/dir /home ro,nosuid,nodev,noexec shared:10 master:5 - tmpfs tmpfs rw,size=400864k
212 210 8:1 /var/lib/heartbeat /var/lib/heartbeat rw,nosuid,noexec,relatime shared:11 master:1 - ext4 /dev/sda1 rw
213 210 8:17 / /srv ro,relatime shared:12 master:30 - ext4 /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("table", "points"),
    [
        (DEBIAN, ["/", "/boot", "/boot/efi", "/home", "/media/stick", "/srv/music"]),
        (RASPBERRY_PI, ["/", "/boot/firmware"]),
        (NAS, ["/", "/tank", "/tank/media"]),
        (DOCKER, ["/", "/var/lib/docker"]),
        (SANDBOX, ["/", "/srv"]),
    ],
    ids=["Debian", "Raspberry Pi", "NAS", "Docker and snaps", "sandbox"],
)
def test_the_local_filesystems_of_a_machine(table: bytes, points: list[str]) -> None:
    """One mount point of each that is on a disk and can fill up, the shortest: no pseudo, network or image filesystems."""
    assert sorted(mount.point for mount in local(parse(table))) == points
    assert not any(mount.read_only for mount in local(parse(table)))


def test_names_are_as_people_know_them() -> None:
    """Spaces, newlines and backslashes are escaped in the table; what is no UTF-8 stays what it is."""
    table = (
        rb"""1 0 8:1 / /a\040b rw - ext4 /dev/sda1 rw
2 0 8:2 / /a\134040b rw - ext4 /dev/sda2 rw
3 0 8:3 / /a\012b rw - ext4 /dev/sda3 rw
"""
        + b"4 0 8:4 / /\xff rw shared:1 master:2 - ext4  rw\n"
    )
    assert [mount.point for mount in parse(table)] == ["/a b", "/a\\040b", "/a\nb", os.fsdecode(b"/\xff")]


def test_what_is_mounted_over_another_hides_it() -> None:
    """The last one counts, whatever it is."""
    under, over = b"1 0 8:1 / /mnt rw - ext4 /dev/sda1 rw\n", b"2 1 0:9 / /mnt rw - tmpfs tmpfs rw\n"
    assert [mount.kind for mount in parse(under + over)] == ["tmpfs"]
    assert [mount.kind for mount in local(parse(over + under))] == ["ext4"]


def test_read_only_is_the_filesystem_not_the_view_of_it() -> None:
    """A sandbox mounts everything read-only; after an error it is the filesystem itself that is."""
    (seen,) = parse(b"1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw,errors=remount-ro\n")
    assert not seen.read_only
    (broken,) = parse(b"1 0 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro\n")
    assert broken.read_only


def test_a_network_mount_that_automount_has_not_made_yet() -> None:
    """To look at it would make it."""
    waiting = (
        rb"47 28 0:44 / /mnt/nas rw,relatime shared:34 - autofs systemd-1 rw,fd=53,pgrp=1,timeout=0,direct" + b"\n"
    )
    made = b"48 47 0:45 / /mnt/nas rw,relatime shared:35 - nfs4 nas.lan:/export rw,vers=4.2\n"
    assert not is_mounted("/mnt/nas", parse(waiting))
    assert is_mounted("/mnt/nas", parse(waiting + made))
    assert not is_mounted("/mnt", parse(waiting + made))


def test_what_fstab_says_is_to_be_written() -> None:
    """Every line with options but those with `ro`; comments are none."""
    fstab = rb"""# /dev/sdz1 /old ext4 defaults 0 0
UUID=1-2 / ext4 errors=remount-ro 0 1
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
/dev/sdb1 /srv/my\040disk ext4 defaults,nofail 0 2
/dev/sdc1 /archive ext4 noatime,ro 0 2
nonsense
"""
    assert meant_to_be_written(fstab) == {"/", "/media/cdrom0", "/srv/my disk"}


WORDS = (*DEBIAN.split(), b"\n", b" ", b"-", b"\\777", b"\\0")


@given(st.binary() | st.lists(st.sampled_from(WORDS)).map(b" ".join))
def test_any_bytes_are_some_table(table: bytes) -> None:
    """What is no line of it is left out."""
    mounts = parse(table)
    assert len({mount.point for mount in mounts}) == len(mounts)
    assert {mount.device for mount in local(mounts)} <= {mount.device for mount in mounts}
    meant_to_be_written(table)
