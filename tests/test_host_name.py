"""The name a host goes by, in a namespace of its own (uts_namespaces(7)): renamed while the agent runs, or no text at all."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, run_python
from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow


def reporting(receiver: Receiver) -> str:
    """A configuration with no name for the host."""
    return (
        f'[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\n'
        f'[internet]\nurl = "{receiver.url("/")}"\n[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n'
    )


def host(folder: Path, name: bytes) -> tuple[str, ...]:
    """What runs a command on a host whose kernel calls it `name`, and whose /etc/hostname is the file `hostname` in `folder`."""
    (folder / "hostname").write_text("as-installed\n")
    call = f"import ctypes,os,sys; ctypes.CDLL(None).sethostname({name!r}, {len(name)}); os.execvp(sys.argv[1], sys.argv[1:])"
    bind = f'mount --bind {folder}/hostname /etc/hostname; exec "$@"'
    rights = () if os.geteuid() == 0 else ("--map-root-user",)
    return ("unshare", "--uts", "--mount", *rights, "sh", "-ec", bind, "sh", sys.executable, "-c", call)


def test_a_name_that_is_no_text(receiver: Receiver, tmp_path: Path) -> None:
    """Bytes that are not UTF-8: it starts, beats, alerts and stops, under a name in plain ASCII."""
    receiver.answer(WORKER, 200, 503)
    with AgentProcess(tmp_path, reporting(receiver), prefix=host(tmp_path, b"\xff\xfeweb")) as agent:
        agent.ready().cycles(2)
        wait_until(lambda: receiver.received(WEBHOOK))
        agent.stop()
        assert {beat.body["host"] for beat in receiver.received(WORKER)} == {"--web"}
        (alert,) = receiver.received(WEBHOOK)
        assert alert.body["details"]["host"] == "--web"
        assert "started on --web:" in agent.log
        assert "Traceback" not in agent.log


@pytest.mark.namespaces
@pytest.mark.parametrize(
    "verb", [("once", "--send", "--json"), ("test-alert", "--direct"), ("check", "--offline"), ("status",)]
)
def test_heartbeatctl_under_a_name_that_is_no_text(receiver: Receiver, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """No verb minds."""
    config = tmp_path / "config.toml"
    config.write_text(f'{reporting(receiver)}[storage]\npath = "{tmp_path}/metrics.db"\n')
    prefix = host(tmp_path, b"\xffweb")
    done = run_python("-m", "heartbeatd.ctl", verb[0], "--config", config, *verb[1:], prefix=prefix)
    assert "Traceback" not in done.stderr
    if verb[0] in ("once", "test-alert"):
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_host_is_renamed(receiver: Receiver, tmp_path: Path) -> None:
    """The kernel's name stays what it was, as in the service's sandbox; /etc/hostname is another: followed at the next reload."""
    with AgentProcess(tmp_path, reporting(receiver), prefix=host(tmp_path, b"debian")) as agent:
        agent.ready().cycles(1)
        (tmp_path / "hostname").write_text("kitchen\n")
        agent.cycles(1)
        assert {beat.body["host"] for beat in receiver.received(WORKER)} == {"debian"}
        for _ in range(2):
            agent.signal(signal.SIGHUP)
            while "READY" not in agent.next_message():
                pass
            agent.cycles(2)
        assert receiver.received(WORKER)[-1].body["host"] == "kitchen"
        agent.stop()
    assert agent.log.count("goes by the name kitchen from now on; before, it was debian") == 1
    assert agent.log.count("this host is called debian (set it") == 1
