"""A second agent on the same database is refused, whoever it is and however the first one ended."""

import fcntl
import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.clock import SystemClock
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.store.lock import InUseError
from tests.support.agent import AgentProcess, checkout_for_all, run_python
from tests.support.rows import row
from tests.support.wait import wait_until

TOML = '[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n[internet]\nurl = "http://127.0.0.1:9/"\n'


def agents(path: Path) -> BufferedStore:
    """An agent's store, not open yet."""
    return BufferedStore(path, SystemClock(), StoreOptions(10), boot_id="boot")


def test_a_second_agent_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    """Exit status 1, so that systemd tries again; the first goes on; when it is gone, by a kill too, the next one starts."""
    with AgentProcess(tmp_path, TOML) as first:
        first.ready().cycles(1)
        second = run_python("-m", "heartbeatd", "--config", first.config)
        assert second.returncode == 1
        assert f"another heartbeatd has this database (pid {first.process.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        first.cycles(1)
        first.signal(signal.SIGKILL)
        first.process.wait()
    with AgentProcess(tmp_path, TOML) as next_one:
        next_one.ready().cycles(1)
        next_one.stop()


def test_the_lock_is_held_through_a_reload_and_goes_along_to_another_path(tmp_path: Path) -> None:
    """A reload to a path that somebody else has is refused; after one to a free path the old one is free."""
    with AgentProcess(tmp_path, TOML) as agent:
        agent.ready().cycles(1)
        first, agent.database = agent.database, agent.database.with_name("other.db")
        with closing(agents(agent.database)) as other:
            other.open()
            agent.write(TOML)
            agent.signal(signal.SIGHUP)
            wait_until(lambda: "not reloaded" in agent.log)
            assert f"another heartbeatd has this database (pid {os.getpid()})" in agent.log
            with closing(agents(first)) as mine, pytest.raises(InUseError):
                mine.open()
        agent.signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in agent.log)
        with closing(agents(agent.database)) as mine, pytest.raises(InUseError):
            mine.open()
        with closing(agents(first)) as mine:
            mine.open()
        agent.stop()


def test_people_are_no_agents(path: Path) -> None:
    """`heartbeatctl once --store` writes its row beside the running agent, and leaves its run alone."""
    with closing(agents(path)) as agent:
        agent.open()
        with closing(BufferedStore(path, SystemClock(), StoreOptions(10))) as person:
            person.open()
            person.record(row(1), (), ())
            assert person.error == ""


def test_a_link_to_the_database_is_the_database(path: Path) -> None:
    """Whatever name it goes by."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with closing(agents(path)) as first, closing(agents(link)) as second:
        first.open()
        with pytest.raises(InUseError, match="by another name"):
            second.open()


@pytest.mark.namespaces
@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_lock_file_of_somebody_elses_stops_nobody(path: Path, mode: int) -> None:
    """Read-only, it is a lock all the same; not to be read, there is none; a pid in it that is not the holder's is not named."""
    code = (
        "import os, sys; from pathlib import Path; from tests.store.test_lock import agents\n"
        "buffered = agents(Path(sys.argv[1])); buffered.open(); print(repr(buffered.error), flush=True); sys.stdin.read()"
    )
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    lock = folder / "metrics.db.lock"
    lock.write_text("1\n")
    lock.chmod(mode)
    os.chown(folder, 61234, 61234)
    as_user = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "/usr/bin/python3", "-c", code]
    with subprocess.Popen(
        [*as_user, folder / "metrics.db"],
        cwd=checkout_for_all(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "''\n"
        with lock.open("rb") as opened:
            if mode:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with closing(agents(folder / "metrics.db")) as second, pytest.raises(InUseError, match=str(child.pid)):
                    second.open()
        child.communicate("")
    subprocess.run(["rm", "-r", folder], check=True)
