"""The filesystems that the sandbox hides: what the agent asks for, and what the helper's own line of shell answers."""

import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.probes.hidden import PAUSE_READINGS, HiddenFilesystems

UNIT = Path(__file__).resolve().parents[2] / "systemd/heartbeatd-filesystems@.service"
SANDBOX = b"""210 195 8:1 / / ro,relatime shared:9 master:1 - ext4 /dev/sda1 rw,errors=remount-ro
211 210 0:23 /systemd/inaccessible/dir /home ro,nosuid,nodev,noexec shared:10 master:5 - tmpfs tmpfs rw,size=400864k
"""
ROOT = b"26 1 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n"
HOME = b"27 26 8:2 / /home ro,relatime - ext4 /dev/sda2 rw\n28 27 8:3 / /home/my\\040disk ro - xfs /dev/sdb1 rw\n"
DF = b"""       Used       Avail   Inodes    IFree Mounted on
31711100928 77233192960 16777216 15788245 /
        750         250     1000      900 /home
        100         300        -        - /home/my disk
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    """The agent's own table of mounts, in its sandbox."""
    file = tmp_path / "mountinfo"
    file.write_bytes(SANDBOX)
    return file


@contextmanager
def helper(folder: Path, serve: Callable[[socket.socket], object]) -> Iterator[tuple[Path, list[None]]]:
    """A socket whose connections are served one after the other; the second value has an item for each."""
    path, served = folder / "helper.sock", list[None]()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            served.append(None)
            with connection:
                serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield path, served
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def look(reader: HiddenFilesystems) -> Mapping[Series, float]:
    """One reading, if it takes one."""
    reader.require()
    return reader.read()


def answering(*parts: bytes) -> Callable[[socket.socket], None]:
    """Answers each line with these, until the other side hangs up."""

    def serve(connection: socket.socket) -> None:
        while connection.recv(1):
            for part in parts:
                connection.sendall(part)

    return serve


def test_what_is_hidden_is_read_over_one_connection(tmp_path: Path, mountinfo: Path) -> None:
    """Space and inodes of /home, and of what is mounted below it, and of nothing that the agent sees itself."""
    with helper(tmp_path, answering(ROOT + HOME + b".", b"\n" + DF, b".\n")) as (path, served):
        reader = HiddenFilesystems(path, mountinfo)
        for _ in range(3):
            assert look(reader) == {
                Series("disk_used_percent", "/home"): 75.0,
                Series("disk_inodes_percent", "/home"): 10.0,
                Series("disk_read_only", "/home"): 0.0,
                Series("disk_used_percent", "/home/my disk"): 25.0,
                Series("disk_read_only", "/home/my disk"): 0.0,
            }
        assert len(served) == 1
        del reader


def test_without_any_it_is_asked_again_after_six_hours(tmp_path: Path, mountinfo: Path) -> None:
    """And nobody is kept waiting at the other end."""
    with helper(tmp_path, answering(ROOT + b".\n" + DF + b".\n")) as (path, served):
        reader = HiddenFilesystems(path, mountinfo)
        for _ in range(PAUSE_READINGS + 1):
            with pytest.raises(NoData, match="no filesystem of its own"):
                look(reader)
        assert len(served) == 2


def test_a_subvolume_is_what_the_agent_sees_itself(tmp_path: Path, mountinfo: Path) -> None:
    """/home of the btrfs that is mounted on /: it is as full as that."""
    mountinfo.write_bytes(SANDBOX.replace(b" 8:1 / ", b" 0:26 /@rootfs ").replace(b"ext4", b"btrfs"))
    shown = b"61 28 0:26 /@home /home ro,noatime - btrfs /dev/nvme0n1p2 rw,ssd,subvolid=257,subvol=/@home\n"
    with helper(tmp_path, answering(shown + b".\n" + DF + b".\n")) as (path, _), pytest.raises(NoData):
        look(HiddenFilesystems(path, mountinfo))


def test_where_nothing_is_hidden_nobody_is_asked(tmp_path: Path, mountinfo: Path) -> None:
    """As without systemd, or with a drop-in that does without mounts."""
    mountinfo.write_bytes(ROOT + HOME)
    with helper(tmp_path, answering()) as (path, served):
        with pytest.raises(NoData, match="nothing is hidden"):
            look(HiddenFilesystems(path, mountinfo))
        assert served == []


def test_a_helper_that_is_not_there(tmp_path: Path, mountinfo: Path) -> None:
    """Its socket was masked: no data. Nobody behind it: failed."""
    path = tmp_path / "none.sock"
    with pytest.raises(NoData, match=r"none\.sock"):
        look(HiddenFilesystems(path, mountinfo))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        with pytest.raises(ProbeError, match="Connection refused"):
            look(HiddenFilesystems(path, mountinfo))


def test_a_helper_that_was_ended_is_started_again(tmp_path: Path, mountinfo: Path) -> None:
    """At the next reading, by another connection; one that ends in the middle of its answer has failed."""

    def once(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(ROOT + HOME + b".\n" + DF + b".\n")

    with helper(tmp_path, once) as (path, served):
        reader = HiddenFilesystems(path, mountinfo)
        assert look(reader) == look(reader)
        assert len(served) == 2
        del reader
    path.unlink()
    with (
        helper(tmp_path, lambda connection: connection.sendall(b"26 1 8:1 / ")) as (path, _),
        pytest.raises(ProbeError, match=r"no answer|reset|Broken pipe"),
    ):
        look(HiddenFilesystems(path, mountinfo))


def test_df_that_says_nothing_of_it_has_failed(tmp_path: Path, mountinfo: Path) -> None:
    """It is there, but may not be looked at, for example."""
    with (
        helper(tmp_path, answering(ROOT + HOME + b".\n.\n")) as (path, _),
        pytest.raises(ProbeError, match="df says nothing of /home"),
    ):
        look(HiddenFilesystems(path, mountinfo))


def test_the_units_own_line_of_shell_answers(tmp_path: Path, mountinfo: Path) -> None:
    """To whatever comes in, and it ends with the connection: there is no separate filesystem here, or there is."""
    script = re.search(r"^ExecStart=-/bin/sh -c '(.*)'$", UNIT.read_text(), re.MULTILINE)
    assert script
    line = script[1]

    def serve(connection: socket.socket) -> None:
        ours = connection.fileno()
        subprocess.run(["/bin/sh", "-c", line], stdin=ours, stdout=ours, timeout=60, check=False)

    with helper(tmp_path, serve) as (path, served):
        reader = HiddenFilesystems(path, mountinfo)
        try:
            assert all(0 <= value <= 100 for value in look(reader).values())
        except NoData as error:
            assert "no filesystem of its own" in str(error)
        assert len(served) == 1
        del reader
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"$(touch x); `id`\n")
            answer = b""
            while answer.count(b"\n.\n") < 2:
                answer += connection.recv(65536)
            assert answer.startswith(Path("/proc/self/mountinfo").read_bytes()[:2])
            assert b"Mounted on" in answer
