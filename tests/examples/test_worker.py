"""The example Worker under Debian's node, over HTTP and with a real SQLite file in D1's place, and the real agent before it."""

import contextlib
import hmac
import http.client
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heartbeatd.core.timefmt import rfc3339
from heartbeatd.core.worker import rule_for
from tests.project import wire
from tests.support.agent import AgentProcess, environment
from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).resolve().parents[2] / "debian/examples/worker"
ADAPTER = Path(__file__).with_name("worker.mjs")
KEY = "correct-horse"
SILENT_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Worker:
    """The Worker as it runs, and what stands around it."""

    port: int
    database: Path
    alarms: Receiver

    @property
    def url(self) -> str:
        """Where heartbeats go."""
        return f"http://127.0.0.1:{self.port}{WORKER}"

    def post(self, body: bytes, authorization: str | None = f"Bearer {KEY}", path: str = WORKER) -> int:
        """Send one request by hand; the status."""
        return self.ask("POST", path, body, {"Authorization": authorization} if authorization is not None else {})

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> int:
        """Any request; the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            return connection.getresponse().status

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Look into its database, or change it."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=5)) as database, database:
            return database.execute(statement).fetchall()

    def alerts(self) -> list[dict[str, Any]]:
        """The details of what was posted to ALERT_URL."""
        return [alarm.body["details"] for alarm in self.alarms.received(WEBHOOK)]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """The example, deployed as ../README says: the schema, the variables of wrangler.toml, the two secrets."""
    with Receiver() as alarms, _run(tmp_path, alarms, SECRET_KEY=KEY) as running:
        yield running


def test_it_watches_a_real_agent(worker: Worker, tmp_path: Path) -> None:
    """Beats are recorded; silence makes one alarm, and the first beat after it one recovery; with a wrong key it says 401."""
    with AgentProcess(tmp_path, beating(worker, KEY)) as agent:
        agent.ready().cycles(3)
        assert agent.rows("DISTINCT worker_status") == [(200,)]
        assert worker.sql("SELECT host, silent_since_ms FROM hosts") == [("under-test", None)]
        agent.stop()
        stopped_s = time.time()
    wait_until(lambda: worker.alerts())
    with AgentProcess(tmp_path, beating(worker, KEY)) as agent:
        agent.ready().cycles(3)
        problem, recovery = worker.alerts()
        assert (problem["event"], recovery["event"]) == ("problem", "recovery")
        assert {(told["host"], told["subject"]) for told in worker.alerts()} == {("under-test", "host")}
        assert recovery["since"] == problem["since"]
        assert SILENT_AFTER_S <= recovery["duration_seconds"] <= time.time() - stopped_s + SILENT_AFTER_S
        agent.write(beating(worker, "wrong"))
        agent.signal(signal.SIGHUP)
        wait_until(lambda: agent.rows("worker_status")[-1] == (401,))
        agent.stop()
    assert len(worker.alerts()) == 2
    assert set(agent.rows("worker_status")) == {(200,), (401,)}


def test_every_answer_it_gives(worker: Worker) -> None:
    """Each status is the one that heartbeat-protocol(7) has for the case; what is refused is not recorded."""
    beat = beat_of()
    for authorization in (None, "", "Bearer", "Bearer ", f"Bearer {KEY}x", f"bearer {KEY}", KEY, "Bearer undefined"):
        assert worker.post(beat, authorization) == 401
    for body in (b"", b"{", b"[]", b"null", b'{"host": ""}', b'{"host": 5}', b" " * 20_000, b'"' + b"x" * 20_000):
        assert worker.post(body) == 400
    for host in (
        "x" * 254,
        "nas\r\nBcc: all@example.org",
        "\x1b[31mnas",
        "<img src=x>",
        "nas web",
        "nás",
        "nas\u202e",
        "\0",
    ):
        assert worker.post(beat_of(host)) == 400
    for timestamp in (iso(-400), iso(400), iso(-6 * 365 * 86400), "", "soon", None, 5):
        assert worker.post(json.dumps({"host": "nas", "timestamp": timestamp, "sequence": 3}).encode()) == 400
    assert worker.post(beat, path="/") == 404
    assert worker.ask("GET", WORKER, None, {}) == 405
    assert worker.post(beat_of(sequence=0)) == 200
    assert worker.sql("SELECT * FROM hosts") == []
    assert worker.post(beat) == 200
    assert worker.sql("SELECT host FROM hosts") == [("nas",)]
    worker.sql("ALTER TABLE hosts DROP COLUMN silent_since_ms")  # what it knew cannot be read, a beat can be recorded
    assert worker.post(beat) == 220
    worker.sql("DROP TABLE hosts")
    assert worker.post(beat) == 503
    states = {200: "ok", 220: "degraded", 221: "degraded", 400: "rejected", 401: "rejected", 503: "error"}
    assert {status: str(rule.state) for status in states if (rule := rule_for(status))} == states


def test_an_alarm_that_does_not_arrive_is_raised_again(worker: Worker) -> None:
    """A failing ALERT_URL delays alarm and recovery and loses neither; a host that is back gets 221 until that is told."""
    worker.alarms.answer(WEBHOOK, 500, 500, 200)
    worker.post(beat_of())
    wait_until(lambda: len(worker.alerts()) == 3)
    assert {told["event"] for told in worker.alerts()} == {"problem"}
    assert len({told["event_id"] for told in worker.alerts()}) == 1
    worker.alarms.answer(WEBHOOK, 500)
    assert worker.post(beat_of()) == 221
    assert worker.post(beat_of()) == 221
    worker.alarms.answer(WEBHOOK, 200)
    assert worker.post(beat_of()) == 200
    assert worker.post(beat_of()) == 200
    recoveries = [told for told in worker.alerts() if told["event"] == "recovery"]
    assert len(recoveries) == 3
    assert len({told["event_id"] for told in recoveries}) == 1


def test_it_writes_a_beat_down_sparingly(worker: Worker) -> None:
    """Beats within a third of the time to the alarm cost no write."""
    worker.post(beat_of())
    before = worker.sql("SELECT seen_ms FROM hosts")
    for _ in range(5):
        assert worker.post(beat_of()) == 200
    assert worker.sql("SELECT seen_ms FROM hosts") == before
    time.sleep(SILENT_AFTER_S / 3)
    worker.post(beat_of())
    assert worker.sql("SELECT seen_ms FROM hosts") > before


def test_its_alarms_have_the_shape_of_the_agents(worker: Worker) -> None:
    """Title, message and details are fields that heartbeatd's own alerts have, so that one flow can take both."""
    worker.post(beat_of())
    wait_until(lambda: worker.alerts())
    (alarm,) = worker.alarms.received(WEBHOOK)
    assert alarm.content_type == "application/json"
    assert set(wire.fields(json.dumps(alarm.body).encode())) <= set(wire.fields(wire.problem()))


def test_without_a_key_it_takes_nothing(tmp_path: Path) -> None:
    """A Worker whose SECRET_KEY was forgotten says 503 to everybody."""
    with Receiver() as alarms, _run(tmp_path, alarms) as forgotten:
        assert forgotten.post(beat_of(), "Bearer undefined") == 503
        assert forgotten.post(beat_of(), "Bearer ") == 503


def test_each_host_with_a_key_of_its_own(tmp_path: Path) -> None:
    """A host's own key, as the README makes it, beats for that host alone; with PER_HOST_KEYS the shared one beats for none."""
    program = re.search(r"python3 -c '([^']*)'", (EXAMPLE.parent / "README").read_text())
    assert program is not None
    code = program.group(1).replace("\n            ", " ").replace("getpass.getpass", "input")
    words = [sys.executable, "-c", code, "nas"]
    own = subprocess.run(words, input=KEY, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]
    for per_host, shared in (("no", 200), ("yes", 401)):
        (folder := tmp_path / per_host).mkdir()
        with Receiver() as alarms, _run(folder, alarms, SECRET_KEY=KEY, PER_HOST_KEYS=per_host) as worker:
            assert worker.post(beat_of("nas"), f"Bearer {own}") == 200
            assert worker.post(beat_of("web"), f"Bearer {own}") == 401
            assert worker.post(beat_of("nas"), f"Bearer {KEY}") == shared
            assert worker.post(b"{}", f"Bearer {hmac.digest(KEY.encode(), b'', 'sha256').hex()}") == 401


def test_a_list_of_hosts(tmp_path: Path) -> None:
    """With HOSTS no other host is taken, whatever key it has."""
    with Receiver() as alarms, _run(tmp_path, alarms, SECRET_KEY=KEY, HOSTS="nas, web1\npi4") as worker:
        assert [worker.post(beat_of(host)) for host in ("nas", "web1", "pi4", "web", "nas,")] == [
            200,
            200,
            200,
            403,
            400,
        ]
        assert worker.sql("SELECT host FROM hosts") == [("nas",), ("pi4",), ("web1",)]


def test_invented_hosts_do_not_hold_up_an_alarm(worker: Worker) -> None:
    """Of hosts never heard before 200 are taken; and a run raises twenty alarms, the host silent for longest first."""
    fakes = ", ".join(f"('fake{number}', {1000 + number}, NULL)" for number in range(1, 200))
    worker.sql(f"INSERT INTO hosts VALUES {fakes}")
    assert worker.post(beat_of("real")) == 200
    assert worker.post(beat_of("one-too-many")) == 403
    assert worker.post(beat_of("real")) == 200
    wait_until(lambda: len(worker.alerts()) >= 40, timeout_s=60)
    assert [told["host"] for told in worker.alerts()][:40] == [f"fake{number}" for number in range(1, 41)]


def test_wrangler_toml_names_what_the_worker_uses() -> None:
    """The file is TOML, and names the module, the database, the variable and a cron trigger of once a minute."""
    wrangler = tomllib.loads((EXAMPLE / "wrangler.toml").read_text())
    source = (EXAMPLE / wrangler["main"]).read_text()
    names = [*wrangler["vars"], *(database["binding"] for database in wrangler["d1_databases"])]
    assert all(f"env.{name}" in source for name in names)
    assert wrangler["triggers"]["crons"] == ["* * * * *"]


def iso(seconds: float = 0) -> str:
    """The moment that lies `seconds` ahead, as a heartbeat has it."""
    return rfc3339(time.time_ns() + int(seconds * 1e9))


def beat_of(host: str = "nas", **more: object) -> bytes:
    """A heartbeat of `host`, sent now."""
    return json.dumps({**json.loads(wire.heartbeat()), "host": host, "timestamp": iso(), **more}).encode()


def beating(worker: Worker, key: str) -> str:
    """A configuration that beats at the Worker every second and alerts nobody itself."""
    return (
        f'[agent]\ninterval_seconds = 1\nhostname = "under-test"\n[docker]\nsocket = ""\n'
        f'[heartbeat]\nurl = "{worker.url}"\nsecret_key = "{key}"\n'
        f'[internet]\nurl = "{worker.alarms.url("/")}"\ntimeout_seconds = 0.3\n'
    )


@contextlib.contextmanager
def _run(folder: Path, alarms: Receiver, **secrets: str) -> Iterator[Worker]:
    database = folder / "d1.db"
    with contextlib.closing(sqlite3.connect(database)) as new:
        new.executescript((EXAMPLE / "schema.sql").read_text())
    defaults = {
        name: str(value) for name, value in tomllib.loads((EXAMPLE / "wrangler.toml").read_text())["vars"].items()
    }
    variables = {**defaults, "SILENT_AFTER_SECONDS": str(SILENT_AFTER_S), "ALERT_URL": alarms.url(WEBHOOK), **secrets}
    with subprocess.Popen(
        ["node", ADAPTER, EXAMPLE / "worker.js", database],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Worker(int(process.stdout.readline()), database, alarms)
        finally:
            process.terminate()
