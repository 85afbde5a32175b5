"""Reading what people put there: regular files, bounded, never waiting; everything else is refused by name."""

import os
import socket
from pathlib import Path

import pytest

from heartbeatd.files import NotRegularFile, read_regular, require_regular


def test_a_regular_file_is_read_as_far_as_allowed(tmp_path: Path) -> None:
    """Also through a link, and one of /proc, whose size says 0."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"0123456789")
    link.symlink_to(file)
    assert read_regular(file, 4) == b"0123"
    assert read_regular(link, 100) == b"0123456789"
    assert read_regular(Path("/proc/self/status"), 5) == b"Name:"
    require_regular(file)


def test_what_is_no_regular_file_is_refused_by_name_and_at_once(tmp_path: Path) -> None:
    """A FIFO without a writer, a folder, a device without end, a socket; directly and through a link."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for path, kind in (
        (tmp_path / "fifo", "a FIFO"),
        (tmp_path / "link", "a FIFO"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
        (tmp_path / "socket", "a socket"),
    ):
        for refused in (lambda path=path: read_regular(path, 10), lambda path=path: require_regular(path)):
            with pytest.raises(NotRegularFile) as caught:
                refused()
            assert caught.value.strerror == f"it is {kind}, not a regular file"
            assert caught.value.filename == str(path)


def test_what_is_not_there_is_said_as_the_system_says_it(tmp_path: Path) -> None:
    """The caller tells it apart by its class."""
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 10)
    with pytest.raises(FileNotFoundError):
        require_regular(tmp_path / "none")
