"""The whole flow against a Worker and a webhook that really listen: beats out, alerts out, exactly once, also over a stop."""

from datetime import UTC, datetime

import pytest

from tests.support.receiver import WEBHOOK, WORKER, Received, Receiver
from tests.system.conftest import configure, reporting, state, wait_active
from tests.system.host import BootedHost

KEY = "correct-horse-battery-staple"
QUERY = "?token=hidden-query"
COLUMNS = [
    *("id", "timestamp_lima", "cpu_percent", "ram_percent", "ram_used_mb", "disk_percent"),
    *("container_count", "internet_ok", "ping_ms", "worker_status", "cycle_duration_ms"),
]


@pytest.fixture
def agent(installed: BootedHost, receiver: Receiver) -> BootedHost:
    """A host whose agent beats every second and has not seen its Worker yet."""
    installed.run("systemctl stop heartbeatd; rm --force /var/lib/heartbeat/*")
    configure(installed, reporting(receiver, KEY, QUERY))
    installed.run("systemctl start heartbeatd")
    return installed


def beats(receiver: Receiver) -> list[Received]:
    """The heartbeats received."""
    return receiver.received(WORKER + QUERY)


def alerts(receiver: Receiver) -> list[Received]:
    """The alerts received, those that were answered with an error included."""
    return receiver.received(WEBHOOK)


def test_heartbeats_arrive_as_promised(agent: BootedHost, receiver: Receiver) -> None:
    """Each second one heartbeat arrives, with the key and the body that the contract describes, in sequence."""
    agent.wait_for("three heartbeats", lambda: len(beats(receiver)) >= 3)
    got = beats(receiver)[:3]
    assert {beat.authorization for beat in got} == {f"Bearer {KEY}"}
    assert all((beat.content_type or "").startswith("application/json") for beat in got)
    first = got[0].body
    assert set(first) == {"host", "timestamp", "sequence", "agent", "metrics", "services"}
    assert first["host"] == "host-under-test"
    assert first["services"] == {}
    assert set(first["agent"]) == {"version", "started_at"}
    assert set(first["metrics"]) <= set(COLUMNS)
    assert set(COLUMNS) - set(first["metrics"]) == {"worker_status", "cycle_duration_ms"}  # not known before the beat
    assert [beat.body["sequence"] - first["sequence"] for beat in got] == [0, 1, 2]
    moments = [datetime.fromisoformat(beat.body["timestamp"]) for beat in got]
    assert all(moment.tzinfo == UTC or moment.utcoffset() == UTC.utcoffset(None) for moment in moments)
    assert all(moment.microsecond < 500_000 for moment in moments)  # on the grid


def test_each_cycle_is_a_row(agent: BootedHost, receiver: Receiver) -> None:
    """The table has the eleven columns of the contract, and the rows' ids are those that were sent."""
    agent.wait_for("three heartbeats", lambda: len(beats(receiver)) >= 3)
    database = "sqlite3 -readonly /var/lib/heartbeat/metrics.db"
    assert agent.out(f"{database} \"SELECT name FROM pragma_table_info('metrics')\"").split()[:11] == COLUMNS
    sent = [beat.body["metrics"]["id"] for beat in beats(receiver)[:2]]
    rows = agent.out(f"{database} 'SELECT id, worker_status, timestamp_lima FROM metrics ORDER BY id'").splitlines()
    assert [row.split("|")[0] for row in rows[:2]] == sent
    assert all(row.split("|")[1] == "200" and row.endswith("-05:00") for row in rows[:2])


def test_times_are_shown_in_the_zone_that_is_configured(agent: BootedHost, receiver: Receiver) -> None:
    """By name, from Debian's tzdata, which came with the package; and the host's own as it is when the file is read again."""
    toml = reporting(receiver, KEY, QUERY)
    for name, shown in (("Europe/Madrid", "(Europe/Madrid)"), ("", "(Asia/Kolkata)")):
        agent.run("ln -sf /usr/share/zoneinfo/Asia/Kolkata /etc/localtime")
        configure(agent, toml.replace("[agent]", f'[agent]\ntimezone = "{name}"'))
        agent.run("systemctl reload heartbeatd")
        agent.wait_for(f"a status line with {shown}", lambda shown=shown: shown in state(agent, "StatusText"))  # type: ignore[misc]
    configure(agent, toml.replace("[agent]", '[agent]\ntimezone = "Lima"'))
    refused = agent.run("heartbeatctl check --offline", check=False)
    assert refused.returncode == 78
    assert 'did you mean "America/Lima"?' in refused.stdout + refused.stderr


def test_a_failing_worker_is_announced_once_and_so_is_its_recovery(agent: BootedHost, receiver: Receiver) -> None:
    """When the Worker turns to 500 one alert says so, and one more when it is back, with the length of the outage."""
    agent.wait_for("a baseline", lambda: len(beats(receiver)) >= 2)
    assert alerts(receiver) == []
    receiver.answer(WORKER + QUERY, 500)
    agent.wait_for("the alert", lambda: alerts(receiver))
    bad = len(beats(receiver))
    agent.wait_for("more bad cycles", lambda: len(beats(receiver)) >= bad + 3)
    receiver.answer(WORKER + QUERY, 200)
    agent.wait_for("the recovery", lambda: len(alerts(receiver)) >= 2)
    good = len(beats(receiver))
    agent.wait_for("more good cycles", lambda: len(beats(receiver)) >= good + 2)
    problem, recovery = (alert.body for alert in alerts(receiver))
    assert all(
        isinstance(body[text], str) and body[text] for body in (problem, recovery) for text in ("title", "message")
    )
    details = problem["details"]
    assert (details["event"], details["previous"], details["current"]) == ("problem", "ok", "error")
    assert (details["worker_status"], details["subject"], details["host"]) == (500, "worker", "host-under-test")
    assert details["heartbeat_url"] == receiver.url(WORKER)
    details = recovery["details"]
    assert (details["event"], details["previous"], details["current"]) == ("recovery", "error", "ok")
    assert 3 <= details["duration_seconds"] <= 60


def test_a_change_while_it_was_stopped_is_announced(agent: BootedHost, receiver: Receiver) -> None:
    """A Worker that began to refuse the key while the agent was stopped is announced after the start, once."""
    agent.wait_for("a baseline", lambda: len(beats(receiver)) >= 2)
    agent.run("systemctl stop heartbeatd")
    receiver.answer(WORKER + QUERY, 401)
    agent.run("systemctl start heartbeatd")
    agent.wait_for("the alert", lambda: alerts(receiver))
    agent.run("systemctl restart heartbeatd")
    seen = len(beats(receiver))
    agent.wait_for("more cycles", lambda: len(beats(receiver)) >= seen + 2)
    (alert,) = alerts(receiver)
    assert alert.body["details"]["current"] == "rejected"


def test_an_alert_outlives_a_webhook_that_is_not_there_and_a_kill(agent: BootedHost, receiver: Receiver) -> None:
    """An alert that n8n answers with 404 is kept over a SIGKILL and delivered later, under the same event id."""
    agent.wait_for("a baseline", lambda: len(beats(receiver)) >= 2)
    receiver.answer(WEBHOOK, 404, 404, 404, 200)
    receiver.answer(WORKER + QUERY, 503)
    agent.wait_for("a first try", lambda: alerts(receiver))
    agent.run("systemctl kill --signal=KILL heartbeatd")
    agent.wait_for("the delivery", lambda: [a for a in alerts(receiver) if a.answered == 200])
    wait_active(agent)
    tries = [alert.body["details"] for alert in alerts(receiver)]
    assert len({details["event_id"] for details in tries}) == 1
    assert tries[-1]["attempt"] == len(tries)
    assert tries[-1]["queued_seconds"] > 0


def test_secrets_are_nowhere_to_be_seen(agent: BootedHost, receiver: Receiver) -> None:
    """Neither the key nor the URL's query is in the journal, in STATUS=, in the database or in an alert."""
    receiver.answer(WORKER + QUERY, 200, 500, 500, 200)
    agent.wait_for("two alerts", lambda: len(alerts(receiver)) >= 2)
    agent.run("systemctl stop heartbeatd")
    everything = agent.journal("--all", "--output=export", "--unit=heartbeatd")
    everything += agent.out("sqlite3 /var/lib/heartbeat/metrics.db .dump; systemctl show heartbeatd")
    everything += " ".join(str(alert.body) for alert in alerts(receiver))
    assert "host-under-test" in everything
    assert KEY not in everything
    assert "hidden-query" not in everything
