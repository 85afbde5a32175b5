"""What every fault is injected on: an agent that beats once a second, its Worker and webhook, and what came of it.

All of it runs inside a network and mount namespace of its own, made by `__main__`: resolvers, routes and mounts are the
fault's to break, and nothing of it is seen outside.
"""

import contextlib
import math
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.support.agent import AgentProcess
from tests.support.receiver import WEBHOOK, WORKER, Received, Receiver
from tests.support.wait import wait_until


@dataclass(slots=True)
class Outcome:
    """One line of the table. `problems` lists what should have held and did not; empty is good."""

    injected: str
    on_time: str = ""
    rows: str = ""
    alerts: str = ""
    recovered_s: float | None = None
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: object, otherwise: str) -> None:
        """Note a problem unless it holds."""
        if not holds:
            self.problems.append(otherwise)


class Stage:
    """The agent under test and its surroundings; `seconds` is how long a fault lasts."""

    def __init__(self, folder: Path, seconds: int, receiver: Receiver) -> None:
        self.folder, self.seconds, self.receiver = folder, seconds, receiver
        self.data = folder / "data"  # where the agent keeps its database
        self.data.mkdir()

    def toml(
        self,
        *,
        worker: str = "",
        internet: str = "",
        webhook: str = "",
        timeout_s: float = 0.4,
        more: str = "",
        alerts: str = "alert_after = 1\n",
    ) -> str:
        """A configuration of one cycle a second; `more` goes into [heartbeat], and `alerts` into [alerts]."""
        return (
            f'[agent]\ninterval_seconds = 1\nhostname = "under-test"\n[docker]\nsocket = ""\n'
            f'[internet]\nurl = "{internet or self.receiver.url("/")}"\ntimeout_seconds = 0.3\n'
            f'[alerts]\nwebhook_url = "{webhook or self.receiver.url(WEBHOOK)}"\ntimeout_seconds = 0.5\n{alerts}'
            f'[heartbeat]\nurl = "{worker or self.receiver.url(WORKER)}"\nsecret_key = "the-key"\n'
            f"timeout_seconds = {timeout_s}\n{more}"
        )

    @contextlib.contextmanager
    def agent(
        self, toml: str = "", *, prefix: Sequence[str] = (), sync: str = "normal", **environment: str
    ) -> Iterator[AgentProcess]:
        """The agent, after its first cycle."""
        with AgentProcess(self.folder, toml or self.toml(), prefix=prefix, sync=sync, **environment) as running:
            running.ready().cycles(1)
            running.listen_no_more()
            yield running

    def beats(self) -> list[Received]:
        """The heartbeats that arrived."""
        return self.receiver.received(WORKER)

    def delivered(self) -> list[Received]:
        """The alerts that were taken."""
        return [alert for alert in self.receiver.received(WEBHOOK) if 200 <= alert.answered < 300]

    def events(self) -> list[tuple[str, str, str | None]]:
        """Event, state and cause of each alert that was taken, in order, each event id once."""
        seen = {alert.body["details"]["event_id"]: alert.body["details"] for alert in reversed(self.delivered())}
        return [(d["event"], d["current"], d["cause"]) for d in reversed(seen.values())]

    def wait_for_events(self, number: int, timeout_s: float = 30) -> None:
        """Wait until so many alerts were taken; if they never come, what was taken tells."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.events()) >= number, timeout_s)

    def conclude(
        self, outcome: Outcome, agent: AgentProcess, *, alerts: int | None = None, may_miss: int = 0
    ) -> Outcome:
        """Fill in the line, with the laws that hold under every fault: no slot lost, none run twice, no alert told twice."""
        slots = [slot_s for slot_s, _ in self.moments(agent)]
        due = slots[-1] - slots[0] + 1 if slots else 0
        late = sum(off_s > 0.5 for _, off_s in self.moments(agent))
        outcome.on_time = f"{len(set(slots)) - late}/{due}"
        outcome.rows = f"{len(slots)}/{due}"
        outcome.expect(due - len(set(slots)) <= may_miss, f"{due - len(set(slots))} slots have no row")
        outcome.expect(len(slots) == len(set(slots)), "a slot was run twice")
        outcome.expect(late == 0, f"{late} cycles began more than half a second late")
        taken = [alert.body["details"]["event_id"] for alert in self.delivered()]
        outcome.alerts = f"{len(set(taken))}" + (f"/{alerts}" if alerts is not None else "")
        outcome.expect(len(taken) == len(set(taken)), "an alert was delivered twice")
        outcome.expect(alerts is None or len(taken) == alerts, f"alerts: {self.events()}")
        outcome.expect("Traceback" not in agent.log, "a traceback in the log")
        outcome.expect("the-key" not in agent.log, "the key is in the log")
        if outcome.problems:
            outcome.problems.append(agent.log[-3000:])
        return outcome

    def moments(self, agent: AgentProcess) -> list[tuple[int, float]]:
        """Slot (s since the epoch) and lateness (s) of each row, in order of insertion."""
        stamps = [datetime.fromisoformat(str(at)).timestamp() for (at,) in agent.rows("timestamp_lima")]
        return [(math.floor(at_s), at_s % 1) for at_s in stamps]


def forget_changes(database: Path) -> None:
    """What changes often is told ten minutes later: an agent that remembers no change tells the next six at once."""
    if database.exists():
        with closing(sqlite3.connect(database)) as writer, writer, contextlib.suppress(sqlite3.OperationalError):
            writer.execute("UPDATE alert_state SET changes_ns = NULL")


class Resolver:
    """A DNS server on port 53 that gives every name the address `a`, or says that there is none; and can fall silent."""

    NAME = "worker.test"

    def __init__(self, at: str = "127.0.0.1", *, a: str = "127.0.0.1", silent: bool = False) -> None:
        self.silent, self.a = silent, a
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind((at, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, who = self._server.recvfrom(512)
            if self.silent:
                continue
            # The question back as its own answer (RFC 1035, section 4): A as given, for AAAA there is nothing.
            end = query.index(b"\0", 12) + 5
            question, is_a = query[12:end], query[end - 4 : end - 2] == b"\0\1" and self.a != ""
            code = b"\x80" if self.a else b"\x83"  # RCODE 3: there is no such name
            head = query[:2] + b"\x81" + code + b"\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(self.a) if is_a else b""
            self._server.sendto(head + question + record, who)


def resolve_by(folder: Path, *nameservers: str) -> None:
    """Have this namespace ask `nameservers` (127.0.0.1), as slowly as glibc does by default."""
    listed = "".join(f"nameserver {server}\n" for server in nameservers or ("127.0.0.1",))
    for name, text in (("resolv.conf", listed), ("nsswitch.conf", "hosts: files dns\n")):
        (folder / name).write_text(text)
        run("mount", "--bind", f"{folder}/{name}", f"/etc/{name}")


def run(*words: str) -> None:
    """Run a command that has to work."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def counts(pid: int) -> tuple[int, int]:
    """Threads and open descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def sleep_s(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)
