"""Faults of the alarm path: agent and notifier killed at any moment, two channels that go down and up, a clock that is set.

What is stored is held against what the channels' servers took: every alert arrived at each, under one event id, in order.
"""

import itertools
import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heartbeatd.core.delivery import ERRORS_IN_ORDER
from tests.faults.clocks import Wall
from tests.faults.stage import Outcome, Stage, forget_changes, sleep_s
from tests.support.agent import AgentProcess
from tests.support.receiver import WEBHOOK, WORKER, Received
from tests.support.wait import wait_until

PHONE = "/phone"  # what an Apprise channel posts to
DOWN = (404, 429, 503)  # a server that takes nothing at present: these keep the order
# No status twice in one life of the agent, so that no two alerts have the same text.
GOOD = (200, 201, 202, 203, 206, *range(207, 220))
BAD = (*range(500, 600), *range(430, 500))
MOST_ERRORS = ERRORS_IN_ORDER - 3  # of one delivery, by kills: with a few more it would leave the order
SETTLES_S = 900  # pauses between tries grow to five minutes
WAITING = "SELECT count(*) FROM deliveries WHERE delivered_ns IS NULL"


@dataclass(frozen=True, slots=True)
class Told:
    """An alert as it is stored: what the webhook knows it by, and what a person reads."""

    event_id: str
    title: str
    message: str
    details: dict[str, Any]


class Weather:
    """Has the Worker change its mind, each channel go down and up, and the clock be set, each at moments of its own."""

    def __init__(self, stage: Stage, chance: random.Random, furthest_s: int) -> None:
        self.wall = Wall(stage)
        self._stage, self._chance, self._furthest_s = stage, chance, furthest_s
        self._good, self._bad = itertools.cycle(GOOD), itertools.cycle(BAD)
        self.changes = {"Worker": 0, "webhook": 0, "phone": 0, "clock": 0}
        self._down = {WEBHOOK: False, PHONE: False}
        self._over = threading.Event()

    @contextmanager
    def blowing(self) -> Iterator[None]:
        """As long as the `with` block runs; after it all is well."""
        thread = threading.Thread(target=self._blow)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            for path in (WORKER, WEBHOOK, PHONE):
                self._stage.receiver.answer(path, 200)

    def _blow(self) -> None:
        ok = True
        while not self._over.wait(self._chance.uniform(0.1, 0.9)):
            likely = (6, *(4 if down else 2 for down in self._down.values()), 1)
            what = self._chance.choices(tuple(self.changes), likely)[0]
            self.changes[what] += 1
            match what:
                case "Worker":
                    ok = not ok
                    self._stage.receiver.answer(WORKER, next(self._good if ok else self._bad))
                case "clock":
                    self.wall.set(f"{self._chance.randint(-self._furthest_s, self._furthest_s):+d}")
                case _:
                    path = WEBHOOK if what == "webhook" else PHONE
                    self._down[path] = not self._down[path]
                    self._stage.receiver.answer(path, self._chance.choice(DOWN) if self._down[path] else 200)


def alarm_path_killed(stage: Stage) -> Outcome:
    """kill -9 of the agent, of tries under way, and of both: no alert lost, none under two ids, each channel's order kept."""
    seed = int(os.environ.get("HEARTBEATD_FAULT_SEED") or random.randrange(1_000_000))
    chance = random.Random(seed)
    weather = Weather(stage, random.Random(seed), 20 if stage.seconds > 100 else 5)
    kills = {"agent": 0, "tries": 0, "both": 0}
    starts = itertools.count(1)
    with weather.blowing():
        while sum(kills.values()) < stage.seconds:
            with _agent(stage, weather.wall, next(starts)) as agent:
                _kill_something(agent, chance, kills)
    with _agent(stage, weather.wall, next(starts)) as agent:
        with suppress(AssertionError):  # what is missing then is said below
            wait_until(lambda: _settled(agent.database), SETTLES_S)
        agent.stop()
    outcome = Outcome(" ".join(f"{what} {number}" for what, number in (*kills.items(), ("seed", seed))))
    _hold_against_each_other(stage, outcome, agent)
    changes = ", ".join(f"{what} {number}" for what, number in weather.changes.items())
    if outcome.problems:
        outcome.problems.append(f"HEARTBEATD_FAULT_SEED={seed}; changes: {changes}\n{agent.log[-3000:]}")
    return outcome


@contextmanager
def _agent(stage: Stage, wall: Wall, number: int) -> Iterator[AgentProcess]:
    """One life of the agent, which calls its host by its number."""
    toml = (
        f'[agent]\ninterval_seconds = 1\nhostname = "life-{number}"\n[docker]\nsocket = ""\n'
        f'[internet]\nurl = "{stage.receiver.url("/")}"\ntimeout_seconds = 10\n'
        f'[heartbeat]\nurl = "{stage.receiver.url(WORKER)}"\nsecret_key = "the-key"\ntimeout_seconds = 10\n'
        # A server that takes an alert and answers late would have that alert leave the order.
        f'[alerts]\nwebhook_url = "{stage.receiver.url(WEBHOOK)}"\ntimeout_seconds = 30\nalert_after = 1\n'
        f'[[channel]]\nname = "phone"\nurl = "{stage.receiver.url(PHONE).replace("http:", "json:")}"\ntimeout_seconds = 30\n'
    )
    agent = AgentProcess(stage.folder, toml, **wall.environment)
    forget_changes(agent.database)
    with agent:
        agent.listen_no_more()
        yield agent


def _kill_something(agent: AgentProcess, chance: random.Random, kills: dict[str, int]) -> None:
    """Kill tries until it is the agent's turn, or the agent's and theirs."""
    while (whom := chance.choice(tuple(kills))) == "tries":
        under_way = _awaited_tries(agent, chance)
        kills[whom] += bool(under_way) and _kill(chance.choice(under_way))
    if whom == "agent":
        sleep_s(chance.uniform(0, 2.5))
        agent.process.kill()
    else:
        agents_turn = chance.random() < 0.5
        under_way = _awaited_tries(agent, chance)
        if agents_turn:
            agent.process.kill()
        for pid in under_way:
            _kill(pid)
        agent.process.kill()
    kills[whom] += 1


def _awaited_tries(agent: AgentProcess, chance: random.Random) -> list[int]:
    """Tries that may be killed, at some moment of their short lives; none if none begins for a while."""
    with suppress(AssertionError):
        wait_until(lambda: _tries(agent.folder), 3)
    sleep_s(chance.uniform(0, 0.6))
    errors = _read(agent.database, "SELECT max(errors) FROM deliveries WHERE delivered_ns IS NULL")
    return _tries(agent.folder) if (errors or 0) < MOST_ERRORS else []


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _tries(folder: Path) -> list[int]:
    """The notifier's processes, whoever's children they are by now."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdecimal() else []
            if b"heartbeatd.notify" in words and os.fsencode(folder / "config.toml") in words:
                found.append(int(process.name))
    return found


def _settled(database: Path) -> bool:
    """True once the last change is told, and nothing waits."""
    announced = _read(database, "SELECT announced FROM alert_state WHERE subject = 'worker'")
    return bool(announced == "ok" and _read(database, WAITING) == 0)


def _read(database: Path, query: str) -> Any:
    """The one value that there is, or None; also where there is no such table yet."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        return (reader.execute(query).fetchone() or (None,))[0]
    return None


def _hold_against_each_other(stage: Stage, outcome: Outcome, agent: AgentProcess) -> None:
    with closing(sqlite3.connect(agent.database)) as reader:
        outcome.expect(reader.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the file is damaged")
        waiting = reader.execute(f"{WAITING} OR attempts < 1 OR set_aside_ns IS NOT NULL").fetchone()
        outcome.expect(waiting == (0,), f"{waiting[0]} deliveries have not arrived")
        deliveries = reader.execute("SELECT count(*) FROM deliveries").fetchone()
        bodies = reader.execute("SELECT event_id, body FROM notifications ORDER BY number").fetchall()
    stored = [_told(event_id, json.loads(body)) for event_id, body in bodies]
    outcome.expect(deliveries == (2 * len(stored),), f"{deliveries[0]} deliveries of {len(stored)} alerts")
    outcome.expect(len({one.title + one.message for one in stored}) == len(stored), "two alerts have one text")
    chain = [(one.details["previous"], one.details["current"]) for one in stored if one.details["subject"] == "worker"]
    breaks = [(a, b) for a, b in itertools.pairwise(chain) if a[1] != b[0]]
    outcome.expect(not breaks, f"a change is missing, or told under two ids: {breaks}")
    outcome.expect(chain and chain[-1][1] == "ok", f"the last word was {chain[-1:]}")
    copies = 0
    for path, named in ((WEBHOOK, _by_id), (PHONE, _by_text)):
        taken = [one for one in stage.receiver.received(path) if one.answered == 200]
        arrived = [named(one, stored) for one in taken]
        firsts = list(dict.fromkeys(arrived))
        copies += len(arrived) - len(firsts)
        due = [one.event_id for one in stored]
        outcome.expect(set(firsts) == set(due), f"{path}: {len(firsts)} of {len(due)} alerts arrived: {firsts} {due}")
        outcome.expect(firsts == due, f"{path}: they arrived in another order: {firsts}, not {due}")
    outcome.alerts = f"{len(stored)}+{copies}"
    outcome.expect("Traceback" not in agent.log, "a traceback in the log")


def _told(event_id: str, body: dict[str, Any]) -> Told:
    return Told(event_id, body["title"], body["message"], body["details"])


def _by_id(taken: Received, stored: list[Told]) -> str | None:
    """The id of an alert that the webhook took, which has to be as it is stored, but for when it was tried."""
    event_id = taken.body["details"]["event_id"]
    same = [one for one in stored if one.event_id == event_id and _is(taken, one)]
    return same[0].event_id if same else None


def _by_text(taken: Received, stored: list[Told]) -> str | None:
    return next((one.event_id for one in stored if _is(taken, one)), None)


def _is(taken: Received, one: Told) -> bool:
    """A message may have been added to: that it waited, that the clock was set."""
    return bool(taken.body["title"] == one.title and taken.body["message"].startswith(one.message))
