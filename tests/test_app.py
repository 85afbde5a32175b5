"""The agent put together, and what a reload leaves in force: all of the new configuration, or all of the old one."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.app import App, build
from heartbeatd.config.load import parse
from heartbeatd.config.model import Config
from heartbeatd.core.gap import Start
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.silence import Silence
from heartbeatd.core.subject import Subject
from heartbeatd.errors import HeartbeatdError
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.runtime import Runtime, open_store
from heartbeatd.store.database import Database
from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.support.rows import ids


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """Of this process."""
    made = Runtime()
    yield made
    made.close()


class Running:
    """An agent as `run` has it: after a reload, the new one."""

    def __init__(self, config: Config, file: Path, runtime: Runtime) -> None:
        self._file, self._runtime = file, runtime
        self.app: App = build(config, file, runtime, open_store(config, runtime), Start(runtime.boot_id))
        self.app.start()
        self._slots = 0

    def cycle(self) -> None:
        """One tick."""
        self._slots += 1
        self.app.run(Tick(self._slots * 10 * NS_PER_S))

    def deliver(self) -> None:
        """What the loop does between two cycles, until nothing is left to be delivered."""
        while self.app.outbox is not None and self.app.outbox.waiting:
            self._runtime.cancel.wait(lambda: self.app.news, self.app.step(), self.app.watched)

    def reload(self, config: Config) -> None:
        """As a file with that configuration would have it."""
        self.app = self.app.reload(config, self._file)


def configured(receiver: Receiver, path: Path, hostname: str = "one", **heartbeat: object) -> Config:
    """A configuration that reports to the receiver; `path` is its database."""
    return parse(
        {
            "agent": {"hostname": hostname},
            "heartbeat": {"url": receiver.url(WORKER), "secret_key": "k", **heartbeat},
            "alerts": {"webhook_url": receiver.url(WEBHOOK), "alert_after": 1},
            "docker": {"socket": ""},
            "internet": {"url": "http://127.0.0.1:9/"},
            "storage": {"path": str(path)},
        }
    )


@pytest.fixture
def running(receiver: Receiver, runtime: Runtime, tmp_path: Path) -> Iterator[Running]:
    """An agent that has had a cycle."""
    file = tmp_path / "config.toml"  # which the notifier reads, too
    file.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    made = Running(configured(receiver, tmp_path / "one.db"), file, runtime)
    made.cycle()
    yield made
    made.app.close()


def test_a_reload_swaps_all_of_it(
    running: Running, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Name, database and webhook; what was announced goes along, so that what changes next is told once."""
    caplog.set_level(logging.INFO)
    running.reload(configured(receiver, tmp_path / "two.db", "two"))
    assert "goes by the name two from now on; before, it was one" in caplog.text
    receiver.answer(WORKER, 503)
    running.cycle()
    assert [len(ids(tmp_path / name)) for name in ("one.db", "two.db")] == [1, 1]
    running.deliver()
    (alert,) = receiver.received(WEBHOOK)
    assert (alert.body["details"]["host"], alert.body["details"]["previous"]) == ("two", "ok")


def test_an_alert_that_waits_goes_along_to_another_database(
    running: Running, receiver: Receiver, tmp_path: Path
) -> None:
    """Queued before a reload to another path, delivered after it, once."""
    receiver.answer(WORKER, 503)
    running.cycle()
    running.reload(configured(receiver, tmp_path / "two.db"))
    running.deliver()
    (alert,) = receiver.received(WEBHOOK)
    assert alert.body["details"]["event"] == "problem"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_reload_that_cannot_be_built_leaves_the_old_one(
    running: Running, receiver: Receiver, tmp_path: Path, *, elsewhere: bool
) -> None:
    """Authorities that cannot be read, with the same database or another one, which was open by then: the old one goes on."""
    other = tmp_path / ("two.db" if elsewhere else "one.db")
    bad = configured(receiver, other, "two", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(HeartbeatdError, match=r"heartbeat\.ca_file"):
        running.reload(bad)
    assert_goes_on(running, receiver, tmp_path / "one.db")
    if elsewhere:
        running.reload(configured(receiver, other, "two"))  # nobody holds its lock any more
        running.cycle()
        assert len(ids(other)) == 1


@pytest.mark.parametrize("path", ["no/folder.db", "taken.db"])
def test_a_database_that_cannot_be_used_leaves_the_old_one(
    running: Running, receiver: Receiver, tmp_path: Path, runtime: Runtime, path: str
) -> None:
    """A folder that is not there; a database that another agent has."""
    taken = open_store(configured(receiver, tmp_path / "taken.db"), runtime)
    with pytest.raises(HeartbeatdError):
        running.reload(configured(receiver, tmp_path / path, "two"))
    assert_goes_on(running, receiver, tmp_path / "one.db")
    taken.close()


def test_what_fails_in_letting_go_of_the_old_one_keeps_nothing_of_it(
    running: Running, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that does not close, in a way nobody foresaw: all of the new configuration is in force all the same."""

    class Unclosable(Client):
        def close(self) -> None:
            super().close()
            raise RuntimeError("nobody foresaw this")

    running.app = replace(running.app, pinger=Unclosable(Resolver(), "heartbeatd/test"))
    running.reload(configured(receiver, tmp_path / "two.db", "two"))
    assert "could not close the connections of the old configuration; it goes on" in caplog.text
    running.cycle()
    assert [len(ids(tmp_path / name)) for name in ("one.db", "two.db")] == [1, 1]
    assert receiver.received(WORKER)[-1].body["host"] == "two"


def test_a_move_that_breaks_off_loses_nothing(
    running: Running, receiver: Receiver, tmp_path: Path, runtime: Runtime
) -> None:
    """Another database that opens and then takes nothing: the agent goes on by the new configuration and tells what was queued,
    the old database keeps it and is let go of, and what waits in memory is stored once the new one takes it.
    """
    one, two = (configured(receiver, tmp_path / name, name[:3]) for name in ("one.db", "two.db"))
    open_store(two, runtime).close()
    with closing(sqlite3.connect(tmp_path / "two.db")) as by_hand:
        by_hand.execute("CREATE TRIGGER full BEFORE INSERT ON notifications BEGIN SELECT RAISE(ABORT, 'full'); END")
    receiver.answer(WORKER, 503)
    running.cycle()
    running.reload(two)
    running.cycle()
    running.deliver()
    (alert,) = receiver.received(WEBHOOK)
    assert (alert.body["details"]["event"], receiver.received(WORKER)[-1].body["host"]) == ("problem", "two")
    assert [len(ids(tmp_path / name)) for name in ("one.db", "two.db")] == [2, 0]
    with closing(sqlite3.connect(tmp_path / "two.db")) as by_hand:
        by_hand.execute("DROP TRIGGER full")
    running.cycle()
    assert len(ids(tmp_path / "two.db")) == 2
    assert running.app.store.states[Subject("worker")].announced == "error"
    left = open_store(one, runtime)
    assert [event_id for event_id, _ in left.undelivered] == [alert.body["details"]["event_id"]]
    left.close()


def test_what_is_silenced_is_told_once_it_is_not(running: Running, receiver: Receiver, tmp_path: Path) -> None:
    """The Worker, by another process between two cycles: its next answer is not told, heartbeats go on, the status line says it.
    What is still true at the end is told then, with the time it began; what came and went is not.
    """
    made = Silence("w*", time.time_ns() + 3600 * NS_PER_S, "a new Worker", time.time_ns(), "ana", "1")
    silence(tmp_path / "one.db", added=(made,))
    for status in (503, 200, 401):
        receiver.answer(WORKER, status)
        running.cycle()
    running.deliver()
    assert (len(receiver.received(WORKER)), receiver.received(WEBHOOK)) == (4, [])
    silence(tmp_path / "one.db", ended=(made,))
    running.cycle()
    running.deliver()
    (alert,) = receiver.received(WEBHOOK)
    details = alert.body["details"]
    assert (details["previous"], details["current"]) == ("ok", "rejected")
    assert details["since"] < details["at"]


def silence(path: Path, added: tuple[Silence, ...] = (), ended: tuple[Silence, ...] = ()) -> None:
    """As heartbeatctl does."""
    with closing(Database.open(path, time.time_ns())) as database:
        database.change_silences(added, ended)


def assert_goes_on(running: Running, receiver: Receiver, path: Path) -> None:
    """The next cycle is stored and sent as before, and an alert is delivered."""
    receiver.answer(WORKER, 503)
    running.cycle()
    assert len(ids(path)) == 2
    running.deliver()
    (alert,) = receiver.received(WEBHOOK)
    assert (alert.body["details"]["host"], alert.body["details"]["event"]) == ("one", "problem")
