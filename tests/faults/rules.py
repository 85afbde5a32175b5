"""Faults of what is watched beside the Worker: containers by the hundred, services that misbehave, rules that come and go."""

import contextlib
import json
import signal
import socket
import time
from pathlib import Path

from tests.faults.clocks import Wall
from tests.faults.stage import Outcome, Resolver, Stage, forget_changes, resolve_by, sleep_s
from tests.support import certificates
from tests.support.agent import AgentProcess
from tests.support.engine import engine_that
from tests.support.scripted import Scripted, answers, endless, silent
from tests.support.wait import wait_until

FULL = '[[rule]]\nmetric = "ram_percent"\nabove = 0.1\nfor = "{}"\n'
STEADY = '[[rule]]\nmetric = "ram_percent"\nenabled = false\n'


class ListedContainers:
    """An engine, as far as its list goes: `listed` may be changed at any moment."""

    def __init__(self) -> None:
        self.listed = list[dict[str, object]]()

    def answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(self.listed).encode())


def _counting(stage: Stage, engine: Path, more: str = "") -> str:
    return stage.toml(more=more).replace('socket = ""', f'socket = "unix://{engine}"')


def _containers(number: int, status: str) -> list[dict[str, object]]:
    return [{"Id": f"{n:064x}", "Names": [f"/c{n}"], "State": "running", "Status": status} for n in range(number)]


def _told(stage: Stage) -> list[tuple[str, str, str]]:
    """Event, subject and state of each change that was told, those of one message in their order."""
    found = []
    for alert in stage.delivered():
        details = alert.body["details"]
        found += [(d["event"], d["subject"], d["current"]) for d in details.get("subjects", [details])]
    return found


def _await(stage: Stage, number: int) -> None:
    """Wait for so many messages; if they never come, what came tells."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(stage.delivered()) >= number, 30)


def containers_made_anew(stage: Stage) -> Outcome:
    """Two hundred at once, all of which must run: nobody is told, and no cycle is late."""
    engine = ListedContainers()
    outcome = Outcome(f"200 watched containers made anew, {stage.seconds} s")
    engine.listed = _containers(200, "Up 2 hours (healthy)")
    more = '[containers]\nwatch = ["c*", "c7"]\n'
    with engine_that(stage.folder, engine.answer) as path, stage.agent(_counting(stage, path, more)) as agent:
        sleep_s(2)
        for _ in range(max(1, stage.seconds // 10)):
            engine.listed = []
            sleep_s(4)
            engine.listed = _containers(200, "Up 2 seconds (health: starting)")
            sleep_s(6)
        outcome.expect(agent.rows("container_count")[-1] == (200,), "not counted")
        agent.stop()
    outcome.expect(_told(stage) == [], f"told: {_told(stage)[:5]}")
    return stage.conclude(outcome, agent, alerts=0)


def a_thousand_subjects(stage: Stage) -> Outcome:
    """All bad in one cycle, and well again in another: a message each, and no cycle late."""
    engine = ListedContainers()
    outcome = Outcome("1,000 containers unhealthy at once")
    engine.listed = _containers(1000, "Up 2 hours (healthy)")
    with engine_that(stage.folder, engine.answer) as path, stage.agent(_counting(stage, path)) as agent:
        sleep_s(2)
        engine.listed = _containers(1000, "Up 2 hours (unhealthy)")
        _await(stage, 1)
        engine.listed = _containers(1000, "Up 2 hours (healthy)")
        _await(stage, 2)
        sleep_s(stage.seconds)
        agent.stop()
    titles = [alert.body["title"] for alert in stage.delivered()]
    outcome.expect(all(": 1000 changes: " in title for title in titles), f"titles: {titles}")
    outcome.expect([event for event, _, _ in _told(stage)] == ["problem"] * 100 + ["recovery"] * 100, "other events")
    return stage.conclude(outcome, agent, alerts=2)


def services_misbehave(stage: Stage) -> Outcome:
    """Each is told once with what it does; no cycle waits for any of them."""
    resolve_by(stage.folder)
    Resolver(a="")
    tls = certificates.make(stage.folder).server("expired", expired=True)
    outcome = Outcome(f"drips, redirects, no such name, expired, silent, {stage.seconds} s")
    drips = endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.05)
    with (
        Scripted(drips) as drip,
        Scripted(answers(302, "Location: https://elsewhere.test/\r\n")) as redirect,
        Scripted(answers(), tls=tls) as expired,
        Scripted(silent) as mute,
    ):
        services = {
            "drip": drip.url,
            "redirect": redirect.url,
            "nowhere": "http://nowhere.test/",
            "expired": expired.url,
            "mute": f"tcp://127.0.0.1:{mute.port}",
            "slow": mute.url,
        }
        sections = "".join(
            f'[[service]]\nname = "{name}"\ncheck = "{check}"\nevery = "1s"\ntimeout = "1s"\nfor = "3s"\n'
            for name, check in services.items()
        )
        with stage.agent(stage.toml(more=sections)) as agent:
            expected = {
                "drip": "timeout",
                "redirect": "error",
                "nowhere": "down",
                "expired": "error",
                "slow": "timeout",
            }
            with contextlib.suppress(AssertionError):
                wait_until(
                    lambda: {subject for _, subject, _ in _told(stage)} >= {f"service:{name}" for name in expected}, 40
                )
            sleep_s(stage.seconds)
            agent.stop()
    told = sorted(_told(stage))
    outcome.expect(
        told == sorted(("problem", f"service:{name}", state) for name, state in expected.items()), f"told: {told}"
    )
    beat = stage.beats()[-1].body["services"]
    outcome.expect({name: beat[name]["status"] for name in expected} == expected, f"in the heartbeat: {beat}")
    outcome.expect(beat["mute"] == {"status": "healthy"}, "a port that takes connections is healthy")
    return stage.conclude(outcome, agent)


def clock_is_stepped_while_for_counts(stage: Stage) -> Outcome:
    """An hour forward, a day back: what has to last for some seconds is told after these seconds, once."""
    outcome = Outcome("clock +1 h and -1 day while for = 6s counts")
    wall = Wall(stage)
    with stage.agent(stage.toml(more=FULL.format("6s")), **wall.environment) as agent:
        began_s = time.monotonic()
        sleep_s(1)
        wall.set("+3600")
        sleep_s(1.5)
        wall.set("-86400")
        sleep_s(1.5)
        outcome.expect(_told(stage) == [], "told before its time")
        _await(stage, 1)
        took_s = time.monotonic() - began_s
        outcome.expect(5 < took_s < 12, f"told after {took_s:.1f} s")
        sleep_s(stage.seconds)
        agent.stop()
    outcome.expect(_told(stage) == [("problem", "ram", "warning")], f"told: {_told(stage)}")
    # Rows of stepped clocks have no order to hold them to.
    outcome.alerts = str(len(stage.delivered()))
    outcome.expect("Traceback" not in agent.log, agent.log[-3000:])
    return outcome


def rule_removed_while_bad(stage: Stage) -> Outcome:
    """By a reload, and by a restart: closed, and said once; back again, it is a new problem."""
    outcome = Outcome("a rule removed and set again while its subject is bad")
    with_rule, without = stage.toml(more=FULL.format("0s")), stage.toml(more=STEADY)
    with stage.agent(with_rule) as agent:
        _await(stage, 1)
        _reload(agent, without)
        _await(stage, 2)
        _reload(agent, with_rule)
        _await(stage, 3)
        agent.stop()
    with stage.agent(without) as agent:
        _await(stage, 4)
        sleep_s(stage.seconds)
        agent.stop()
    told = [event for event, _, _ in _told(stage)]
    outcome.expect(told == ["problem", "recovery"] * 2, f"told: {told}")
    return stage.conclude(outcome, agent, alerts=4, may_miss=3)


def killed_while_a_rule_tells(stage: Stage) -> Outcome:
    """At random moments around the reading that is announced: told once, under one event id, and so is its end."""
    outcome = Outcome(f"kill -9 around an announcement, {stage.seconds} times")
    with_rule, without = stage.toml(more=FULL.format("0s")), stage.toml(more=STEADY)
    for number in range(stage.seconds):
        with AgentProcess(stage.folder, without if number % 2 else with_rule) as agent:
            agent.ready().cycles(1)
            agent.listen_no_more()
            sleep_s(0.05 * (number % 17))
            agent.process.kill()
            agent.process.wait()
        forget_changes(agent.database)
    with stage.agent(without) as agent:
        sleep_s(4)
        agent.stop()
    ids: dict[str, tuple[str, str]] = {}
    for alert in stage.delivered():
        details = alert.body["details"]
        if details["event"] != "gap":
            before = ids.setdefault(details["event_id"], (details["event"], details["subject"]))
            outcome.expect(before == (details["event"], details["subject"]), "one id for two events")
    told = [event for event, _ in ids.values()]
    outcome.expect(told == ["problem", "recovery"] * (len(told) // 2), f"not in turn: {told}")
    outcome.expect(len(told) >= 2, f"told: {told}")
    outcome.alerts = str(len(told))
    outcome.expect("Traceback" not in agent.log, agent.log[-3000:])
    return outcome


def _reload(agent: AgentProcess, toml: str) -> None:
    agent.write(toml)
    agent.signal(signal.SIGHUP)
