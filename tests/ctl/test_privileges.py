"""As whom heartbeatctl acts. As root, each of these runs it as root or as nobody, on folders that somebody else may own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.store.database import Database
from tests.support.agent import run_python
from tests.support.rows import NOW_NS, row

pytestmark = [
    pytest.mark.slow,  # many processes
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]
NOBODY = "nobody"
CLOSED = 'socket = ""\n[internet]\nurl = "http://127.0.0.1:9/"\n'


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody can enter, and only root can change."""
    folder = Path(tempfile.mkdtemp(prefix="heartbeat-rights-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def configured(place: Path, database: Path) -> Path:
    """A configuration of root's own with its database there."""
    config = place / "config.toml"
    config.write_text(f'[docker]\n{CLOSED}[storage]\npath = "{database}"\n')
    config.chmod(0o600)
    return config


def give(path: Path) -> Path:
    """Make it nobody's."""
    path.mkdir(exist_ok=True)
    for file in (path, *path.iterdir()):
        shutil.chown(file, NOBODY)
    return path


def ctl(*words: str | Path, user: str = "root") -> subprocess.CompletedProcess[str]:
    """Run heartbeatctl as that user."""
    # By root, too: heartbeatctl becomes the owner of a folder by itself.
    done = run_python("-m", "heartbeatd.ctl", *words, prefix=("setpriv", f"--reuid={user}", "--clear-groups"))
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_root_writes_through_no_link_of_somebody_elses(place: Path) -> None:
    """`ln -s /etc data/sub` by whoever owns `data`: root would make the database in /etc; as its owner it cannot."""
    data, roots = give(place / "data"), place / "etc"
    roots.mkdir()
    (data / "sub").symlink_to(roots)
    done = ctl("once", "--store", "--config", configured(place, data / "sub/metrics.db"))
    assert done.returncode == 1
    assert list(roots.iterdir()) == []


@pytest.mark.parametrize("words", [("status",), ("history",), ("once", "--store")])
def test_root_reads_as_the_owner_of_the_folder(place: Path, words: tuple[str, ...]) -> None:
    """A database of root's own in a folder of nobody's is not read for them: whoever owns the folder has put it there."""
    data = give(place / "data")
    with closing(Database.open(data / "metrics.db", NOW_NS)) as store:
        store.record([row(1)], (), (), flush=True)
    (data / "metrics.db").chmod(0o600)
    done = ctl(*words, "--config", configured(place, data / "metrics.db"))
    assert done.returncode == 1
    assert "the user nobody may not read it" in done.stdout + done.stderr
    assert "sudo" not in done.stdout + done.stderr


def test_what_root_stores_for_somebody_else_is_theirs(place: Path) -> None:
    """The agent that runs as the folder's owner can go on with it."""
    data = give(place / "data")
    assert ctl("once", "--store", "--config", configured(place, data / "metrics.db")).returncode == 0
    assert {pwd.getpwuid(file.stat().st_uid).pw_name for file in data.iterdir()} == {NOBODY}


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_root_opens_no_database_where_others_can_put_one(place: Path, mode: int) -> None:
    """Between looking and opening, it could become a link."""
    data = place / "data"
    data.mkdir()
    os.chown(data, 0, pwd.getpwnam(NOBODY).pw_gid)
    data.chmod(mode)
    for words in (("status",), ("once", "--store")):
        done = ctl(*words, "--config", configured(place, data / "metrics.db"))
        assert done.returncode == 1
        assert "others than root can write there" in done.stdout + done.stderr
    assert list(data.iterdir()) == []


def test_root_stays_root_where_all_is_roots(place: Path) -> None:
    """A link of root's own is root's choice."""
    (place / "real").mkdir()
    (place / "data").symlink_to("real")
    assert ctl("once", "--store", "--config", configured(place, place / "data/metrics.db")).returncode == 0
    assert (place / "real/metrics.db").stat().st_uid == 0


@pytest.mark.parametrize(
    "words",
    [
        *(("check",), ("check", "--offline"), ("status",), ("status", "--json"), ("history",), ("once",)),
        *(("once", "--store", "--send"), ("test-alert",), ("test-alert", "--direct"), ("set-secret",)),
    ],
    ids=" ".join,
)
def test_without_rights_each_verb_says_so_in_a_line(place: Path, words: tuple[str, ...]) -> None:
    """Exit status 77: the configuration is neither refused nor known to be without a Worker."""
    done = ctl(*words, "--config", configured(place, place / "metrics.db"), user=NOBODY)
    assert done.returncode == 77
    (line,) = done.stderr.splitlines()
    assert line.startswith("heartbeatctl: not allowed: run it with sudo (")
    assert "not configured" not in done.stdout
    assert '"configured": false' not in done.stdout
    assert "queued" not in done.stdout.replace('"queued": null', "")


def test_a_database_that_is_not_for_us(place: Path) -> None:
    """The configuration may be read, as by a member of the group heartbeat, but the folder not."""
    config = configured(place, place / "data/metrics.db")
    config.chmod(0o644)
    (place / "data").mkdir(mode=0o700)
    for verb in ("status", "history"):
        done = ctl(verb, "--config", config, user=NOBODY)
        assert done.returncode == 77
        assert len(done.stderr.splitlines()) == 1
        assert "not allowed: run it with sudo" in done.stderr


def test_an_env_file_that_is_not_for_us(place: Path) -> None:
    """It is not said to make no sense."""
    (place / ".env").touch(mode=0o600)
    assert ctl("import-env", place / ".env", user=NOBODY).returncode == 77


def test_a_key_file_that_is_not_for_us(place: Path) -> None:
    """The configuration is for all to read, and the file it names for the agent: nothing is known to be wrong with either."""
    config, key = configured(place, place / "metrics.db"), place / "key"
    config.write_text(f'{config.read_text()}[heartbeat]\nsecret_key_file = "{key}"\n')
    config.chmod(0o644)
    key.touch(mode=0o600)
    assert ctl("check", "--offline", "--config", config, user=NOBODY).returncode == 77
    key.unlink()
    key.symlink_to(key)  # nobody can read that
    assert ctl("check", "--offline", "--config", config, user=NOBODY).returncode == 78


def test_the_docker_sdk_is_for_root_alone(place: Path) -> None:
    """Whoever may read the configuration is told that its list was not compared."""
    config = configured(place, place / "metrics.db")
    config.write_text(config.read_text().replace('socket = ""', f'socket = "unix://{place}/none.sock"'))
    config.chmod(0o644)
    done = ctl("check", "--config", config, user=NOBODY)
    assert "not compared with what the Docker SDK lists: only root may ask the engine" in done.stdout
