"""The whole agent as a process: heartbeats out, rows in, alerts told, signals obeyed."""

import contextlib
import re
import signal
import socket
import sqlite3
import time
from datetime import datetime, timedelta
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess
from tests.support.receiver import SILENCE, WEBHOOK, WORKER, Receiver
from tests.support.served import Served
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow
KEY = "correct-horse"


def reporting(receiver: Receiver, *, more_alerts: str = "alert_after = 1\n", timeout_s: float = 10) -> str:
    """A configuration that reports to `receiver` every second, and gives it longer than a busy machine takes."""
    return (
        f'[agent]\ninterval_seconds = 1\nhostname = "under-test"\n[docker]\nsocket = ""\n'
        f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "{KEY}"\ntimeout_seconds = {timeout_s}\n'
        f'[internet]\nurl = "{receiver.url("/")}"\ntimeout_seconds = 10\n'
        f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n{more_alerts}'
    )


@pytest.mark.timing  # each cycle within a tenth of its second
def test_a_whole_life(receiver: Receiver, tmp_path: Path) -> None:
    """Ready, three cycles, stopped: what was sent is what was stored, on the grid, and the log reads well."""
    with AgentProcess(tmp_path, reporting(receiver)) as agent:
        agent.ready().cycles(3)
        agent.stop()
        last = {}
        while "STOPPING" not in last:
            last = agent.next_message()
        beats = receiver.received(WORKER)
        assert [beat.body["sequence"] for beat in beats] == list(range(1, len(beats) + 1))
        assert {beat.authorization for beat in beats} == {f"Bearer {KEY}"}
        rows = agent.rows("id, timestamp_lima, internet_ok, worker_status")
        assert [beat.body["metrics"]["id"] for beat in beats] == [row[0] for row in rows]
        assert all(row[2:] == (1, 200) and str(row[1])[20:23] < "100" for row in rows)
        assert receiver.received(WEBHOOK) == []
        assert "Traceback" not in agent.log
        assert KEY not in agent.log
        assert "heartbeatd 0" in agent.log.splitlines()[0]
        assert agent.log.splitlines()[-1].endswith("stopped")


@pytest.mark.timing  # 0.6 s for each answer
def test_every_answer_of_the_table_is_announced(receiver: Receiver, tmp_path: Path) -> None:
    """A baseline in silence, then each change that lasts once, from what to what, until the recovery with its length."""
    # The first silence is on a kept connection, and is tried once more on a new one in the same cycle.
    receiver.answer(WORKER, 200, 200, 220, 221, 401, 403, 302, 401, 401, 401, *[503] * 6, *[SILENCE] * 7, 200)
    with AgentProcess(tmp_path, reporting(receiver, timeout_s=0.6)) as agent:
        agent.ready()
        agent.listen_no_more()
        wait_until(lambda: [a for a in receiver.received(WEBHOOK) if a.body["details"]["event"] == "recovery"])
        agent.stop()
    told = [a.body["details"] for a in receiver.received(WEBHOOK)]
    assert [(d["event"], d["previous"], d["current"], d["worker_status"], d["cause"]) for d in told] == [
        ("problem", "ok", "degraded", 220, None),
        ("change", "degraded", "rejected", 401, None),
        ("change", "rejected", "error", 503, None),
        ("change", "error", "unreachable", None, "timeout"),
        ("recovery", "unreachable", "ok", 200, None),
    ]
    assert 18 <= told[-1]["duration_seconds"] <= 24
    titles = [a.body["title"] for a in receiver.received(WEBHOOK)]
    assert titles[0] == "under-test: the heartbeat Worker is degraded (HTTP 220)"
    assert titles[-1].startswith("under-test: heartbeats reach the Worker again after")


def test_a_check_that_always_fails_is_no_cause(receiver: Receiver, tmp_path: Path) -> None:
    """A host that may not reach the site of the internet check: when the Worker refuses connections, that is what is told."""
    with contextlib.ExitStack() as up:
        worker = up.enter_context(Receiver())
        toml = reporting(receiver).replace(f'"{receiver.url("/")}"', '"http://127.0.0.1:9/"')
        with AgentProcess(tmp_path, toml.replace(receiver.url(WORKER), worker.url(WORKER))) as agent:
            agent.ready().cycles(2)
            up.close()
            wait_until(lambda: receiver.received(WEBHOOK))
            agent.stop()
    (alert,) = receiver.received(WEBHOOK)
    assert alert.body["details"]["cause"] == "refused"
    assert (
        "Likely cause: connection refused. The internet check (http://127.0.0.1:9/: Connection refused) failed, but it also "
        "failed while the Worker answered, so it says nothing (see internet.url)."
    ) in alert.body["message"]


def test_patience(receiver: Receiver, tmp_path: Path) -> None:
    """As shipped (alert_after = 2) a single bad cycle is nobody's business, two are."""
    receiver.answer(WORKER, 200, 500, 200, 500, 500, 200)
    toml = reporting(receiver, more_alerts="")
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(7)
        wait_until(lambda: len(receiver.received(WEBHOOK)) == 2)
        agent.stop()
    assert [a.body["details"]["event"] for a in receiver.received(WEBHOOK)] == ["problem", "recovery"]


@pytest.mark.parametrize("script", [(), ("worker",), ("worker", "webhook")], ids=["idle", "beat hangs", "all hang"])
def test_sigterm_is_obeyed_long_before_the_timeouts(
    receiver: Receiver, tmp_path: Path, script: tuple[str, ...]
) -> None:
    """Idle, in the middle of a heartbeat, and with an alert hanging as well; the cycle under way is stored."""
    toml = reporting(receiver, timeout_s=30)
    if "webhook" in script:
        receiver.answer(WORKER, 200, 500, SILENCE)
        receiver.answer(WEBHOOK, SILENCE)
        toml = toml.replace("[alerts]", "[alerts]\ntimeout_seconds = 30")
    elif script:
        receiver.answer(WORKER, 200, SILENCE)
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(2 if "webhook" in script else 1)
        if script:
            wait_until(lambda: receiver.received(WORKER)[-1].answered == SILENCE)
        took_s = agent.stop()
        assert took_s < 20, agent.log
        assert len(agent.rows("id")) == len(receiver.received(WORKER))
        assert "Traceback" not in agent.log
        if script:
            assert agent.rows("worker_status")[-1] == (None,)
    # Being stopped is not the Worker's fault: the next start announces nothing new.
    receiver.answer(WORKER, 500 if "webhook" in script else 200)
    receiver.answer(WEBHOOK, 200)
    before = len(receiver.received(WEBHOOK))
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(2)
        if "webhook" in script:
            wait_until(lambda: len(receiver.received(WEBHOOK)) > before)
        agent.stop()
    assert len(receiver.received(WEBHOOK)) == before + ("webhook" in script)


@pytest.mark.timing
def test_the_watchdog_waits_for_a_generous_timeout(receiver: Receiver, tmp_path: Path) -> None:
    """A Worker that is given 4 s under a watchdog of 3 s: the watchdog is told before READY, and the outage is announced in its
    due cycle, before the watchdog would have bitten. A reload to a shorter timeout, or interval, takes it down again."""
    receiver.answer(WORKER, 200, SILENCE)
    toml = reporting(receiver, timeout_s=4, more_alerts="alert_after = 1\n")
    with AgentProcess(tmp_path, toml, WATCHDOG_USEC="3000000") as agent:
        watchdog_us = int(agent.next_message()["WATCHDOG_USEC"])
        assert watchdog_us == (1 + 10 + 4 + 10) * 1_000_000
        agent.ready()
        began_s = last_s = time.monotonic()
        for _ in range(2):
            agent.cycles(1)
            assert time.monotonic() - last_s < watchdog_us / 1e6
            last_s = time.monotonic()
        assert last_s - began_s > 3
        wait_until(lambda: receiver.received(WEBHOOK))
        assert receiver.received(WEBHOOK)[0].body["details"]["cause"] == "timeout"
        assert len(agent.rows("id")) == 2
        told = [_watchdog_after_reload(agent, toml.replace("interval_seconds = 1", "interval_seconds = 3600"))]
        told.append(_watchdog_after_reload(agent, toml.replace("timeout_seconds = 4", "timeout_seconds = 1")))
        assert told == ["10800000000", "22000000"]
        agent.stop()


def _watchdog_after_reload(agent: AgentProcess, toml: str) -> str:
    """What the watchdog is set to by a reload."""
    agent.write(toml)
    agent.signal(signal.SIGHUP)
    while "WATCHDOG_USEC" not in (told := agent.next_message()):
        pass
    return told["WATCHDOG_USEC"]


def test_ctrl_c(receiver: Receiver, tmp_path: Path) -> None:
    """In a terminal it ends as cleanly as under systemd."""
    with AgentProcess(tmp_path, reporting(receiver)) as agent:
        agent.ready().cycles(1)
        agent.signal(signal.SIGINT)
        assert agent.process.wait(timeout=60) == 0
        assert "Traceback" not in agent.log


def test_a_bad_configuration(tmp_path: Path) -> None:
    """Exit status 78; every error on a line of its own, no traceback; nothing is created."""
    toml = '[agent]\ninterval_seconds = 7\nhostnme = "x"\n[heartbeat]\nurl = "https://h/"\n'
    with AgentProcess(tmp_path, toml) as agent:
        assert "configuration refused" in agent.next_message()["STATUS"]
        assert agent.process.wait(timeout=60) == 78
        assert len(agent.log.splitlines()) == 3
        assert "did you mean agent.hostname?" in agent.log
        assert "Traceback" not in agent.log
        assert not agent.database.exists()


def test_reload(receiver: Receiver, tmp_path: Path) -> None:
    """SIGHUP swaps the configuration whole; a bad file changes nothing; READY comes each time, after RELOADING."""
    with AgentProcess(tmp_path, reporting(receiver)) as agent:
        agent.ready().cycles(1)
        for toml, host, words in (
            (reporting(receiver).replace("under-test", "renamed"), "renamed", "configuration reloaded"),
            ("[agent]\ninterval_seconds = 7\n", "renamed", "reload failed"),
            (reporting(receiver).replace("under-test", "again"), "again", "configuration reloaded"),
        ):
            agent.write(toml)
            agent.signal(signal.SIGHUP)
            told = agent.next_message()
            while "RELOADING" not in told:
                told = agent.next_message()
            assert 0 <= time.monotonic() - int(told["MONOTONIC_USEC"]) / 1e6 < 10
            ready = agent.next_message()
            assert ready["READY"] == "1"
            assert words in ready["STATUS"]
            agent.cycles(2)
            assert receiver.received(WORKER)[-1].body["host"] == host
        agent.stop()
        sequence = [beat.body["sequence"] for beat in receiver.received(WORKER)]
        assert sequence == list(range(1, len(sequence) + 1))
        assert len(agent.rows("id")) == len(sequence)


def test_a_reload_to_another_database(receiver: Receiver, tmp_path: Path) -> None:
    """What is queued is told all the same, once; both files know that their run ended; and the next start finds no gap."""
    receiver.answer(WORKER, 200, 500)
    receiver.answer(WEBHOOK, 404)
    toml = reporting(receiver, more_alerts="alert_after = 1\n")
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(3)
        wait_until(lambda: receiver.received(WEBHOOK))
        first, agent.database = agent.database, agent.database.with_name("other.db")
        agent.write(toml)
        agent.signal(signal.SIGHUP)
        while "RELOADING" not in agent.next_message():
            pass
        receiver.answer(WEBHOOK, 200)
        agent.cycles(2)
        wait_until(lambda: receiver.received(WEBHOOK)[-1].answered == 200)
        agent.stop()
    tries = [alert.body["details"] for alert in receiver.received(WEBHOOK)]
    assert {(d["event"], d["event_id"]) for d in tries} == {("problem", tries[0]["event_id"])}
    assert [d["attempt"] for d in tries] == list(range(1, len(tries) + 1))
    for database in (first, agent.database):
        with contextlib.closing(sqlite3.connect(database)) as reader:
            assert reader.execute("SELECT count(*) FROM run WHERE ended_ns IS NOT NULL").fetchone() == (1,)
            query = "SELECT announced, (SELECT count(*) FROM deliveries WHERE delivered_ns IS NULL AND set_aside_ns IS NULL)"
            assert reader.execute(f"{query} FROM alert_state").fetchall() == [("error", 0)]


def test_a_storm_of_signals(receiver: Receiver, tmp_path: Path) -> None:
    """Hundreds of SIGHUPs, and then a SIGTERM among them: it reloads, goes on, and ends as it should."""
    with AgentProcess(tmp_path, reporting(receiver)) as agent:
        agent.ready()
        for _ in range(400):
            agent.signal(signal.SIGHUP)
            time.sleep(0.002)
        agent.cycles(2)
        for _ in range(50):
            agent.signal(signal.SIGHUP)
        agent.stop()
        assert "Traceback" not in agent.log


def test_a_reload_while_it_is_still_loading(tmp_path: Path) -> None:
    """SIGHUP kills by default; it is ignored from the moment the arguments are read, long before READY."""
    with AgentProcess(tmp_path, '[docker]\nsocket = ""\n') as agent:
        wait_until(lambda: _handles(agent, signal.SIGHUP))
        agent.signal(signal.SIGHUP)
        agent.ready()
        agent.stop()
        assert "reloaded" not in agent.log


def _handles(agent: AgentProcess, number: signal.Signals) -> bool:
    """True once the process ignores or catches the signal (proc(5))."""
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigIgn:", "SigCgt:"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_a_kill_loses_nothing_that_was_told(receiver: Receiver, tmp_path: Path) -> None:
    """SIGKILL, again and again: every heartbeat that was followed by another has its row, and what was announced is known."""
    receiver.answer(WORKER, 200, 500)
    ends = []
    for _ in range(3):
        with AgentProcess(tmp_path, reporting(receiver)) as agent:
            ends.append(len(receiver.received(WORKER)))  # of the run before: this one takes longer to its first
            agent.ready().cycles(2)
            agent.signal(signal.SIGKILL)
            agent.process.wait()
    stored = {row[0] for row in agent.rows("id")}
    sent = [beat.body["metrics"]["id"] for beat in receiver.received(WORKER)]
    last_of_runs = {sent[end - 1] for end in (*ends[1:], len(sent))}
    assert set(sent) - stored <= last_of_runs  # the cycle each kill met, if it met one
    wait_until(lambda: receiver.received(WEBHOOK))
    assert {a.body["details"]["event"] for a in receiver.received(WEBHOOK)} == {"problem"}
    assert len({a.body["details"]["event_id"] for a in receiver.received(WEBHOOK)}) == 1


def test_a_quiet_journal(receiver: Receiver, tmp_path: Path) -> None:
    """With log_cycles = "changes" a line is written only when the Worker's answer is another, and every row is kept."""
    receiver.answer(WORKER, 200, 200, 200, 500, 500, 200)
    toml = reporting(receiver).replace("[agent]", '[agent]\nlog_cycles = "changes"')
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(7)
        agent.stop()
        lines = [line.partition(" worker ")[2].split()[0] for line in agent.log.splitlines() if " worker " in line]
        assert lines == ["200", "500", "200"]
        assert len(agent.rows("id")) >= 7


def test_people_read_times_in_the_zone_that_is_configured(receiver: Receiver, tmp_path: Path) -> None:
    """Alert and status line name the zone; after a reload it is the new one. timestamp_lima stays Lima's."""
    receiver.answer(WORKER, 200, 500, 500, 500, 500, 200)
    toml = reporting(receiver, more_alerts="alert_after = 1")
    with AgentProcess(tmp_path, toml.replace("[agent]", '[agent]\ntimezone = "Asia/Kolkata"')) as agent:
        agent.ready()
        assert re.search(r"next at \d\d:\d\d:\d\d \(Asia/Kolkata\)", agent.next_message()["STATUS"])
        wait_until(lambda: receiver.received(WEBHOOK))
        alert = receiver.received(WEBHOOK)[0].body
        at = datetime.fromisoformat(alert["details"]["since"]) + timedelta(hours=5, minutes=30)
        assert f"{at:%Y-%m-%d %H:%M:%S} (Asia/Kolkata)" in alert["message"]
        assert alert["details"]["timestamp_lima"].endswith("-05:00")
        agent.write(toml.replace("[agent]", '[agent]\ntimezone = "UTC"'))
        agent.signal(signal.SIGHUP)
        wait_until(lambda: "(UTC)" in agent.next_message().get("STATUS", ""))
        agent.stop()


@pytest.mark.timing
def test_retry_after_is_honoured(receiver: Receiver, tmp_path: Path) -> None:
    """Cycles go on and are stored, without a heartbeat until the time is over; the status line says so, the state stays."""
    receiver.answer(WORKER, 200, 429, 429, 200, headers={429: {"Retry-After": "3"}})
    with AgentProcess(tmp_path, reporting(receiver, more_alerts="alert_after = 1")) as agent:
        agent.ready()
        wait_until(
            lambda: "asked to wait (Retry-After), no heartbeat before " in agent.next_message().get("STATUS", "")
        )
        wait_until(lambda: len(receiver.received(WORKER)) >= 5)
        agent.stop()
        first, refused, after = receiver.received(WORKER)[1:4]
        assert (first.answered, refused.answered) == (429, 429)
        assert refused.at_s - first.at_s < 2  # not before it is announced
        assert 3 <= after.at_s - refused.at_s < 5
        assert after.body["sequence"] == refused.body["sequence"] + 1
        statuses = [status for (status,) in agent.rows("worker_status")]
        assert statuses[statuses.index(429) + 1 :][:3] == [429, None, None]
    told = [a.body for a in receiver.received(WEBHOOK)]
    assert [a["details"]["event"] for a in told] == ["problem", "recovery"]
    assert "too many requests" in told[0]["message"]
    assert "key" not in told[0]["message"]


def test_why_the_internet_check_fails(receiver: Receiver, tmp_path: Path) -> None:
    """STATUS= says what was asked and why it failed; the journal once, when it begins, and when it is over."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    toml = reporting(receiver).replace(
        f'{receiver.url("/")}"', f'http://user:hidden-word@127.0.0.1:{port}/?hidden-query"'
    )
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready()
        for _ in range(3):
            assert f"internet down (http://127.0.0.1:{port}/: Connection refused)" in agent.next_message()["STATUS"]
        with Served(HTTPServer(("127.0.0.1", port), SimpleHTTPRequestHandler)):
            wait_until(lambda: re.search(r"internet \d+ ms;", agent.next_message().get("STATUS", "")))
        agent.stop()
        assert agent.log.count(f"the internet check fails: http://127.0.0.1:{port}/: Connection refused") == 1
        assert agent.log.count("the internet check passes again") == 1
        assert "hidden" not in agent.log


def test_without_anything_configured(tmp_path: Path) -> None:
    """It measures and stores, sends nothing, and says so once."""
    toml = '[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n[internet]\nurl = "http://127.0.0.1:9/"\n'
    with AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(3)
        agent.stop()
        assert agent.log.count("no heartbeats are sent") == 1
        rows = agent.rows(
            "cpu_percent, ram_percent, disk_percent, internet_ok, ping_ms, worker_status, container_count"
        )
        assert len(rows) >= 3
        for cpu, ram, disk, *rest in rows:
            assert all(isinstance(value, float) and 0 <= value <= 100 for value in (cpu, ram, disk))
            assert rest == [0, None, None, None]
