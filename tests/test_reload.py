"""`ExecReload=`: it ends as the agent's reload did, and by no other answer than that to its own request."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agent import PACKAGE, AgentProcess, environment
from tests.support.receiver import SILENCE, WORKER, Receiver
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow
GOOD = '[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n[internet]\nurl = "http://127.0.0.1:9/"\n'
BAD = "[agent]\ninterval_seconds = 7\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The runtime directory, as systemd names it to agent and reload."""
    made = tmp_path / "run"
    made.mkdir()
    return made


def agent_in(tmp_path: Path, folder: Path, toml: str = GOOD) -> AgentProcess:
    """An agent with that runtime directory."""
    return AgentProcess(tmp_path, toml, RUNTIME_DIRECTORY=str(folder))


def asked(agent: AgentProcess, folder: Path) -> "subprocess.Popen[str]":
    """A reload, started as the unit does and not waited for."""
    return subprocess.Popen(
        [sys.executable, "-IS", PACKAGE / "reload.py", str(agent.process.pid)],
        env=environment(RUNTIME_DIRECTORY=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outcome(reload: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit status and what it said."""
    said, _ = reload.communicate(timeout=60)
    return reload.returncode, said


def test_it_ends_as_the_agent_decided(tmp_path: Path, folder: Path) -> None:
    """0 for a file that is taken, 1 for one that is refused, each time; the agent says why, once, and this repeats nothing."""
    with agent_in(tmp_path, folder) as agent:
        agent.ready()
        for toml, status in ((GOOD, 0), (BAD, 1), (BAD, 1), (GOOD, 0)):
            agent.write(toml)
            assert outcome(asked(agent, folder)) == (status, "")
        assert agent.log.count("not reloaded") == 2
        assert list(folder.glob("reload.*")) == []
        agent.stop()


def test_two_at_once_are_both_answered(tmp_path: Path, folder: Path) -> None:
    """Several that ask at the same time all end, and all alike."""
    with agent_in(tmp_path, folder, BAD.replace("7", "1")) as agent:
        agent.ready()
        agent.write(BAD)
        reloads = [asked(agent, folder) for _ in range(4)]
        assert [outcome(reload)[0] for reload in reloads] == [1] * 4
        agent.stop()


def test_it_waits_for_the_cycle_under_way(tmp_path: Path, folder: Path) -> None:
    """While a heartbeat hangs the file is not re-read; the answer comes after the cycle."""
    with Receiver() as receiver:
        receiver.answer(WORKER, SILENCE)
        slow = f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\ntimeout_seconds = 8\n'
        with agent_in(tmp_path, folder, GOOD + slow) as agent:
            agent.ready()
            wait_until(lambda: receiver.received(WORKER))
            agent.write(BAD)
            reload = asked(agent, folder)
            with pytest.raises(subprocess.TimeoutExpired):
                reload.wait(timeout=0.5)
            assert outcome(reload) == (1, "")
            agent.stop()


def test_an_agent_that_ends_has_not_reloaded(tmp_path: Path, folder: Path) -> None:
    """Killed before it could answer: 1, at once, and said."""
    with agent_in(tmp_path, folder) as agent:
        agent.ready()
        agent.signal(signal.SIGSTOP)
        reload = asked(agent, folder)
        wait_until(lambda: list(folder.glob("reload.*")))
        agent.signal(signal.SIGKILL)
        assert outcome(reload) == (1, "the agent ended before it had reloaded\n")
    assert list(folder.glob("reload.*")) == []


def test_what_a_killed_one_left_is_cleared_away(tmp_path: Path, folder: Path) -> None:
    """A socket that nobody reads any more neither holds up the agent nor stays; one that is nobody's is left alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "reload.1"))
    (folder / "other").touch()
    with agent_in(tmp_path, folder) as agent:
        agent.ready()
        assert outcome(asked(agent, folder)) == (0, "")
        wait_until(lambda: not list(folder.glob("reload.*")))
        assert (folder / "other").exists()
        agent.stop()


@pytest.mark.parametrize("words", [[], ["x"], ["0"], ["-1"]])
def test_it_is_for_systemd_alone(words: list[str], folder: Path) -> None:
    """Without a process to ask it says so, and signals nobody."""
    done = subprocess.run(
        [sys.executable, "-IS", PACKAGE / "reload.py", *words],
        env=environment(RUNTIME_DIRECTORY=str(folder)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
