"""Reading what people put there: regular files, bounded, never waiting; everything else is refused by name."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heartbeatd.files import NotRegularFile, decoded, read_regular, require_regular, write_atomically


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


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """With the rights asked for, whatever the umask; nothing else is left, also if it cannot be put in place."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    write_atomically(file, b"new", 0o640)
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(folder, b"new", 0o640)
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    """None takes another's half-written file for its own."""
    file = tmp_path / "file"
    texts = [bytes([letter]) * 100_000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_atomically(file, text, 0o600), texts * 5))
    assert file.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", ""), (b"a", "a"), (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\nc\n"), ("ñ".encode(), "ñ")],
)
def test_text_is_text_whatever_wrote_it(data: bytes, text: str) -> None:
    """A byte order mark is no part of it, and lines end with newlines."""
    assert decoded(data) == text
