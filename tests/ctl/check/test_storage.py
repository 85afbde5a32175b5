"""Whether the agent could keep its database where `storage.path` says: asked as its user, and in a sandbox like its own."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.ctl.check import storage
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.store import lock
from tests.ctl.check.conftest import Found, found_by_nobody, situation, unit

NOBODY = 65534
# A mount namespace in which $1 is read-only, as ProtectSystem=strict makes all that ReadWritePaths= does not name.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter, and which no PrivateTmp= would hide."""
    made = Path(f"/var/lib/hbd-check-{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def kept_in(path: Path) -> Situation:
    """A configuration with this storage.path."""
    return situation(storage={"path": str(path)})


def ours(folder: Path) -> Path:
    """The folder, nobody's."""
    os.chown(folder, NOBODY, NOBODY)
    return folder


def the(given: Situation, *prefix: str | Path) -> Finding:
    """What the user nobody finds about storage."""
    (finding,) = found_by_nobody(given, prefix=prefix)["storage"]
    assert "chown -R" not in finding.hint
    return finding


@pytest.mark.namespaces
def test_all_is_well(folder: Path) -> None:
    """A folder of ours: the file will be made; an empty one, and one with tables, can be used."""
    path = ours(folder) / "metrics.db"
    assert "will be created" in the(kept_in(path)).text
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alert_state (subject TEXT)")
    ours(path)
    assert the(kept_in(path)).text == f"{path} can be used"


@pytest.mark.namespaces
def test_the_earlier_agents_database(folder: Path) -> None:
    """It is taken over, and that is said."""
    path = ours(folder) / "metrics.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE metrics (id TEXT)")
    ours(path)
    finding = the(kept_in(path))
    assert finding.verdict is Verdict.OK
    assert "taken over" in finding.text


@pytest.mark.namespaces
def test_a_folder_of_roots(folder: Path) -> None:
    """Not the folder is given away, but one of the agent's own is proposed."""
    finding = the(kept_in(folder / "metrics.db"))
    assert finding.verdict is Verdict.ERROR
    assert finding.text == f"the user nobody cannot write in {folder}"
    assert finding.hint == 'install -d -o nobody -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"'


@pytest.mark.namespaces
def test_a_folder_that_is_not_there(folder: Path) -> None:
    """It is made for the agent."""
    finding = the(kept_in(folder / "deep/metrics.db"))
    assert finding.verdict is Verdict.ERROR
    assert finding.hint == f"install -d -o nobody -m 750 {folder}/deep"


@pytest.mark.namespaces
def test_a_folder_that_may_not_be_entered(folder: Path) -> None:
    """The one that is shut is named."""
    (folder / "shut/data").mkdir(parents=True)
    (folder / "shut").chmod(0o700)
    finding = the(kept_in(folder / "shut/data/metrics.db"))
    assert finding.verdict is Verdict.ERROR
    assert f"may not enter {folder}/shut" in finding.text


@pytest.mark.namespaces
def test_a_file_of_roots(folder: Path) -> None:
    """Not readable: an error, for that file alone. Readable: the agent goes on with a copy of it, and so nothing is wrong."""
    path = ours(folder) / "metrics.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alert_state (subject TEXT)")
    path.chmod(0o600)
    finding = the(kept_in(path))
    assert finding.verdict is Verdict.ERROR
    assert finding.hint == f"chown heartbeat:heartbeat {path}"
    path.chmod(0o644)
    finding = the(kept_in(path))
    assert finding.verdict is Verdict.OK
    assert "a copy of its own" in finding.text


@pytest.mark.namespaces
def test_a_wal_of_roots(folder: Path) -> None:
    """Left beside a database that was copied: the agent would need what is in it."""
    path = ours(folder) / "metrics.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alert_state (subject TEXT)")
    ours(path)
    beside = folder / "metrics.db-wal"
    beside.touch(mode=0o600)
    finding = the(kept_in(path))
    assert finding.verdict is Verdict.ERROR
    assert finding.hint == f"chown heartbeat:heartbeat {beside}"


@pytest.mark.namespaces
def test_another_agent_has_it(folder: Path) -> None:
    """The service would be refused; that it has its own database is as it should be, and so is a lock that was left behind."""
    path = ours(folder) / "metrics.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alert_state (subject TEXT)")
    ours(path)
    given, pid = replace(kept_in(path), path=DEFAULT_PATH), os.getpid()
    held = lock.acquire(path)
    assert held is not None
    (folder / "metrics.db.lock").chmod(0o644)
    other = the(given)
    service = the(replace(given, service=replace(unit(), pid=pid)))
    os.close(held)
    assert other.verdict is Verdict.ERROR
    assert f"another heartbeatd (pid {pid})" in other.text
    assert other.hint.startswith("stop that one")
    assert service.verdict is Verdict.OK
    assert the(given).verdict is Verdict.OK


@pytest.mark.namespaces
def test_a_damaged_file(folder: Path) -> None:
    """It is said before anything runs."""
    path = ours(folder) / "metrics.db"
    path.write_bytes(b"garbage\n" * 4096)
    ours(path)
    finding = the(kept_in(path))
    assert finding.verdict is Verdict.ERROR
    assert "not a database" in finding.text


@pytest.mark.namespaces
def test_read_only_in_the_sandbox(folder: Path) -> None:
    """Ours, and ReadWritePaths= does not name it: a drop-in. Outside a sandbox it is the mount that is wrong."""
    given, inside = kept_in(ours(folder) / "metrics.db"), ("unshare", "--mount", "sh", "-c", READ_ONLY, folder)
    finding = the(replace(given, sandboxed=True), *inside)
    assert finding.verdict is Verdict.ERROR
    assert "ReadWritePaths=" in finding.text
    assert f"ReadWritePaths={folder}" in finding.hint
    assert "systemctl edit heartbeatd" in finding.hint
    for each in (given, replace(given, sandboxed=True, read_only=True)):
        finding = the(each, *inside)
        assert finding.hint == "mount it to be written to"
    assert "mounted read-only" in finding.text
    assert "drop-in" not in finding.hint


@pytest.mark.namespaces
def test_a_link_out_of_the_folder(folder: Path) -> None:
    """The database would be made where it leads to, and that folder counts."""
    (folder / "other").mkdir(mode=0o755)
    link = ours(folder) / "metrics.db"
    link.symlink_to(folder / "other/metrics.db")
    finding = the(kept_in(link))
    assert finding.verdict is Verdict.ERROR
    assert finding.text == f"the user nobody cannot write in {folder}/other"
    ours(folder / "other")
    assert the(kept_in(link)).text == f"{folder}/other/metrics.db will be created"
    os.lchown(link, 65534, 65534)
    assert "is a symbolic link that is not root's" in the(kept_in(link)).text


@pytest.mark.parametrize(
    ("path", "setting"), [("/tmp", "PrivateTmp=yes"), ("/var/tmp", "PrivateTmp=yes"), ("/home/x", "ProtectHome=yes")]
)
def test_another_folder_in_the_sandbox(found: Found, path: str, setting: str) -> None:
    """What is written there is gone at the next stop, or cannot be written."""
    given = replace(kept_in(Path(path) / "sub/metrics.db"), folder=(1, 1), sandboxed=True)
    given = replace(given, settings=(("ProtectHome", "yes"), ("PrivateTmp", "yes")))
    (finding,) = found(storage.check, given)
    assert finding.verdict is Verdict.ERROR
    assert setting in finding.text
    assert "/srv/heartbeat" in finding.hint


def test_the_state_directory_is_systemds_to_make(found: Found) -> None:
    """Before the first start it is not there, and that is as it should be."""
    if storage.STATE.exists():
        pytest.fail(f"{storage.STATE} exists on this machine")
    (finding,) = found(storage.check, situation())
    assert finding.verdict is Verdict.OK
    assert "at the first start" in finding.text
