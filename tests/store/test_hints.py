"""Each hint names what is wrong: its cause is brought about, and the advice, where it is a command, puts it right."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import AS_NOBODY, run_python
from tests.support.disk import sh

pytestmark = pytest.mark.namespaces
OPEN = (
    "import sys; from pathlib import Path\n"
    "from heartbeatd.errors import StoreError\nfrom heartbeatd.store.database import Database\n"
    "try: Database.open(Path(sys.argv[1]), 1).close()\nexcept StoreError as error: print(error)\n"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an ordinary user can get to, and that is his."""
    made = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    os.chown(made, 65534, 65534)
    yield made
    shutil.rmtree(made)


def hint_to_nobody(path: Path, **more_environment: str) -> str:
    """What an agent that runs as `nobody` says when it opens the database; nothing if it can."""
    done = run_python("-c", OPEN, path, prefix=AS_NOBODY, **more_environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def follow(text: str) -> None:
    """Do, as root, what the advice says."""
    found = re.search(r": ((?:chown|chmod|chattr|install) [^)]*)\)$", text)
    assert found is not None, text
    sh(found.group(1))


@pytest.mark.parametrize(
    ("hurt", "words"),
    [
        ("rm -r {folder}", "there is no folder"),
        ("chown root: {folder}; chmod 755 {folder}", "nobody may not write in .*, which belongs to root"),
        ("chmod 500 {folder}", "nobody may not write in .*: chmod u\\+rwx"),
        ("touch {path}; chmod 600 {path}", "nobody may not read and write .*, which belongs to root"),
        ("touch {path}; chown nobody {path}; chmod 400 {path}; chmod 500 {folder}", "chmod u\\+rwx"),
    ],
)
def test_rights(folder: Path, hurt: str, words: str) -> None:
    """The user is named who really runs it; following the advice, once or twice, is enough."""
    path = folder / "metrics.db"
    sh(hurt.format(folder=folder, path=path))
    text = hint_to_nobody(path)
    assert re.search(words, text), text
    for _ in range(3):
        if text:
            follow(text)
            text = hint_to_nobody(path)
    assert text == ""


@pytest.mark.parametrize("what", ["metrics.db", "metrics.db-wal", ""], ids=["file", "wal", "folder"])
def test_immutable(disk: Path, folder: Path, what: str) -> None:
    """chattr +i is said to be that, and not a matter of owners."""
    sh(f"install -d -o nobody {disk}/data; mount --bind {disk}/data {folder}")
    try:
        sh(f"sqlite3 {folder}/metrics.db 'CREATE TABLE x (y)'; touch {folder}/metrics.db-wal; chown nobody {folder}/*")
        sh(f"chattr +i {folder}/{what}")
        text = hint_to_nobody(folder / "metrics.db")
        sh(f"chattr -i {folder} {folder}/*")
        assert "is immutable: chattr -i" in text
        assert hint_to_nobody(folder / "metrics.db") == ""
    finally:
        sh(f"umount {folder}")


def test_a_place_that_is_read_only_for_the_unit_alone(folder: Path) -> None:
    """As ProtectSystem=strict makes it: the drop-in is named, or outside systemd the mount. The owner is not to blame."""
    sh(f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}")
    try:
        in_unit, outside = (
            hint_to_nobody(folder / "metrics.db", INVOCATION_ID="1"),
            hint_to_nobody(folder / "metrics.db"),
        )
    finally:
        sh(f"umount {folder}")
    assert f"ReadWritePaths={folder}" in in_unit
    assert "is mounted read-only where this process runs" in outside
    assert "chown" not in in_unit + outside


def test_a_filesystem_that_is_read_only(folder: Path) -> None:
    """For everybody: no drop-in helps."""
    sh(f"mount -t tmpfs -o ro tmpfs {folder}")
    try:
        text = hint_to_nobody(folder / "metrics.db", INVOCATION_ID="1")
    finally:
        sh(f"umount {folder}")
    assert "is mounted read-only: see `dmesg`" in text
    assert "ReadWritePaths" not in text


def test_a_full_disk(folder: Path) -> None:
    """Not a byte is left."""
    sh(f"mount -t tmpfs -o size=64k,uid=65534 tmpfs {folder}; head -c 60k /dev/zero > {folder}/ballast")
    try:
        assert "the disk is full: make room" in hint_to_nobody(folder / "metrics.db")
    finally:
        sh(f"umount {folder}")


def test_a_folder_that_the_system_has_for_many() -> None:
    """Nobody is told to give /var away."""
    text = hint_to_nobody(Path("/var/metrics.db"))
    assert "choose a folder of its own" in text
    assert "chown" not in text


@pytest.mark.parametrize("kind", ["mkfifo", "mkdir"])
def test_what_is_no_regular_file(folder: Path, kind: str) -> None:
    """It is said at once, and by name."""
    sh(f"{kind} {folder}/metrics.db; chown nobody {folder}/metrics.db")
    assert "not a regular file" in hint_to_nobody(folder / "metrics.db")


def test_what_the_system_does_not_write(folder: Path) -> None:
    """An error below SQLite is named as one, with the code; nobody claims to know that the disk fails."""
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n{OPEN}"
    done = run_python("-c", limited, folder / "metrics.db")
    assert "(SQLITE_IOERR_" in done.stdout
    assert ": the system could not read or write it; `dmesg` says whether" in done.stdout
