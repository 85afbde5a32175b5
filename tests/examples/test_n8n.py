"""The example flow in a real n8n, which npm installs for these tests: what it answers, and that each alert becomes one mail.

That takes five minutes and 2 GB. A folder in which n8n is installed already can be named in HEARTBEATD_N8N.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from heartbeatd.notify.protocol import Answer
from tests.support.agent import CHECKOUT, AgentProcess, environment, run_python
from tests.support.notifier import PROBLEM, about, ask
from tests.support.receiver import WORKER, Receiver
from tests.support.wait import wait_until

pytestmark = [pytest.mark.release, pytest.mark.timeout(3600)]
FLOW = CHECKOUT / "debian/examples/n8n/heartbeat.json"
OLDEST_NODE = 20
# xlsx has no registry as its source; isolated-vm 5 is the last for Node 20.
PACKAGE = {
    "private": True,
    "dependencies": {"n8n": "1.123.81"},
    "overrides": {"xlsx": "0.18.5", "isolated-vm": "5.0.4"},
}
BUILT_HERE = ("sqlite3", "isolated-vm")  # npm 11 runs no package's own script at an installation
QUIET = {
    "N8N_LISTEN_ADDRESS": "127.0.0.1",
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_RUNNERS_ENABLED": "false",
}
TOKEN = "hidden-token"
UP = "Editor is now accessible"  # said once the active flows listen


@dataclass(frozen=True, slots=True)
class N8n:
    """An installation, with settings, flows and database in a folder of its own."""

    program: Path
    folder: Path
    port: int

    def url(self, path: str) -> str:
        """The Production URL of a Webhook node."""
        return f"http://127.0.0.1:{self.port}/webhook/{path}"

    @property
    def environment(self) -> dict[str, str]:
        """What it goes by."""
        return environment(N8N_USER_FOLDER=str(self.folder), N8N_PORT=str(self.port), **QUIET)

    def run(self, *words: str) -> None:
        """One of its commands, while it does not run itself."""
        done = subprocess.run([self.program, *words], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def add(self, kind: str, what: dict[str, Any]) -> None:
        """Import a workflow, or the credentials, in place of what has the same id."""
        file = self.folder / f"{kind}.json"
        file.write_text(json.dumps(what if kind == "workflow" else [what]))
        self.run(f"import:{kind}", f"--input={file}")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Up, as long as the `with` block runs."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [self.program, "start"], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until(lambda: UP in self.log, 180)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=120)

    def ended(self, flow: str) -> int:
        """How often this flow has run to its end."""
        query = "SELECT count(*) FROM execution_entity WHERE workflowId = ? AND status = 'success'"
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder}/.n8n/database.sqlite?mode=ro", uri=True)
        ) as reader:
            return int(reader.execute(query, (flow,)).fetchone()[0])

    @property
    def log(self) -> str:
        """What this start has said."""
        return (self.folder / "log").read_text()


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """n8n's command."""
    if there := os.environ.get("HEARTBEATD_N8N"):
        yield Path(there) / "node_modules/.bin/n8n"
        return
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.strip("v\n").partition(".")[0]) >= OLDEST_NODE, (
        f"n8n needs node {OLDEST_NODE}: this is {version}"
    )
    with tempfile.TemporaryDirectory(prefix="hb-n8n-", dir="/var/tmp") as folder:
        (Path(folder) / "package.json").write_text(json.dumps(PACKAGE))
        for words in (["install", "--no-audit", "--no-fund"], ["rebuild", *BUILT_HERE]):
            done = subprocess.run(["npm", *words], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        yield Path(folder) / "node_modules/.bin/n8n"


@pytest.fixture
def n8n(program: Path, tmp_path: Path) -> N8n:
    """With the example flow as it comes, which is not active, and a second, active one, whose webhook asks for a header."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        made = N8n(program, tmp_path, free.getsockname()[1])
    made.run("import:workflow", f"--input={FLOW}")
    made.add("credentials", _credential("httpHeaderAuth", name="Authorization", value=f"Bearer {TOKEN}"))
    flow = json.loads(FLOW.read_text())
    flow["id"], flow["name"] = "guarded", "guarded"
    webhook = flow["nodes"][0]
    webhook["parameters"] |= {"path": "guarded", "authentication": "headerAuth"}
    webhook["credentials"] = _chosen("httpHeaderAuth")
    made.add("workflow", flow)
    made.run("update:workflow", "--id=guarded", "--active=true")
    return made


@dataclass
class Mailbox:
    """A mail server, and what it was given."""

    port: int
    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        """Keep the message."""
        message = message_from_bytes(envelope.original_content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """One without a password."""
    from aiosmtpd.controller import Controller

    with socket.create_server(("127.0.0.1", 0)) as free:
        box = Mailbox(free.getsockname()[1])
    server = Controller(box, hostname="127.0.0.1", port=box.port)
    server.start()
    yield box
    server.stop()


def _credential(kind: str, **data: object) -> dict[str, Any]:
    return {"id": kind, "name": kind, "type": kind, "data": data}


def _chosen(kind: str) -> dict[str, Any]:
    return {kind: {"id": kind, "name": kind}}


def said_by_test_alert(folder: Path, url: str, header: str = "") -> tuple[int, str]:
    """Exit status and words of `heartbeatctl test-alert` to this webhook."""
    config = folder / "config.toml"
    headers = f'webhook_headers = {{ Authorization = "{header}" }}\n' if header else ""
    config.write_text(f'[alerts]\nwebhook_url = "{url}"\n{headers}[storage]\npath = "{folder}/metrics.db"\n')
    config.chmod(0o600)
    done = run_python("-m", "heartbeatd.ctl", "test-alert", "--config", config)
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stdout.removeprefix("webhook  ").strip()


def test_what_n8n_answers(n8n: N8n, tmp_path: Path) -> None:
    """404 while the flow is not active, 403 to a wrong header and to none, 200 to the right one."""
    url = n8n.url("guarded")
    with n8n.running():
        assert said_by_test_alert(tmp_path, n8n.url("heartbeat")) == (
            1,
            "not delivered: HTTP 404 (n8n answers so while the workflow is not active, or to a wrong path)",
        )
        assert said_by_test_alert(tmp_path, url) == (1, "not delivered: HTTP 403")
        assert said_by_test_alert(tmp_path, url, "Bearer another") == (1, "not delivered: HTTP 403")
        assert said_by_test_alert(tmp_path, url, f"Bearer {TOKEN}") == (0, "delivered (HTTP 200)")


def test_each_alert_becomes_one_mail(n8n: N8n, tmp_path: Path, receiver: Receiver, mailbox: Mailbox) -> None:
    """With an SMTP account chosen, and activated, as the examples' README has it; the agent's alerts are older than n8n is."""
    server = {"user": "", "password": "", "host": "127.0.0.1", "port": mailbox.port}
    n8n.add("credentials", _credential("smtp", **server, secure=False, disableStartTls=True, hostName=""))
    flow = json.loads(FLOW.read_text())
    flow["nodes"][-1]["credentials"] = _chosen("smtp")
    n8n.add("workflow", flow)
    n8n.run("update:workflow", f"--id={flow['id']}", "--active=true")
    receiver.answer(WORKER, 200, 503, 503, 200)
    toml = (
        f'[agent]\ninterval_seconds = 1\nhostname = "nas"\n[docker]\nsocket = ""\n[internet]\nurl = "{receiver.url("/")}"\n'
        f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "key"\ntimeout_seconds = 10\n'
        f'[alerts]\nwebhook_url = "{n8n.url("heartbeat")}"\nalert_after = 1\ntimeout_seconds = 10\n'
    )
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(4)
        agent.listen_no_more()
        with n8n.running():
            wait_until(lambda: len(mailbox.messages) == 2, 120)
            for _ in range(2):
                assert ask(agent.config, about("webhook", 10.0)) == Answer(status=200)
            wait_until(lambda: n8n.ended(flow["id"]) >= 4)
            agent.stop()
    problem, recovery, twice = mailbox.messages
    assert problem["Subject"] == "nas: the heartbeat Worker is error (HTTP 503)"
    assert recovery["Subject"].startswith("nas: the Worker records heartbeats again after ")
    assert "It answers HTTP 503" in problem.get_content()
    assert (twice["Subject"], twice.get_content().strip()) == (PROBLEM.title, PROBLEM.message)
