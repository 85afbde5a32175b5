"""What heartbeatctl silences while the agent has the database open, and what becomes of it with the file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import SystemClock
from heartbeatd.core.silence import Silence
from heartbeatd.store.background import BackgroundStore
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from tests.support.rows import NOW_NS, alert, row

OPTIONS = StoreOptions(10)
DISK = Silence("disk:*", NOW_NS + 1, "a new disk", NOW_NS, "ana", "1", "b" * 32, NOW_NS - 5)
ALL = Silence("*", NOW_NS + 2, id="2")


@pytest.fixture
def agent(path: Path, cancel: CancelToken) -> Iterator[BackgroundStore]:
    """The agent's store, open."""
    made = opened(path, cancel)
    yield made
    made.close()


def opened(path: Path, cancel: CancelToken) -> BackgroundStore:
    """As an agent has it."""
    made = BackgroundStore(BufferedStore(path, SystemClock(), OPTIONS, boot_id="a" * 32), OPTIONS, cancel)
    made.open()
    return made


def by_hand(path: Path, added: tuple[Silence, ...] = (), ended: tuple[Silence, ...] = ()) -> None:
    """What heartbeatctl does."""
    with closing(Database.open(path, NOW_NS)) as database:
        database.change_silences(added, ended)


def stored(path: Path) -> tuple[Silence, ...]:
    """What heartbeatctl shows."""
    with closing(Reader.open(path)) as reader:
        return reader.silences()


def test_what_is_written_is_read(path: Path) -> None:
    """All of it, by the agent and by heartbeatctl; and what is ended is gone."""
    by_hand(path, (DISK, ALL))
    assert stored(path) == (DISK, ALL)
    by_hand(path, ended=(DISK,))
    with closing(Database.open(path, NOW_NS)) as database:
        assert database.silences() == stored(path) == (ALL,)


def test_the_next_cycle_knows(agent: BackgroundStore, path: Path) -> None:
    """Before it has recorded anything; and it is known after a restart."""
    assert agent.silences() == ()
    by_hand(path, (DISK,))
    agent.look()
    assert agent.silences() == (DISK,)
    by_hand(path, (ALL,), ended=(DISK,))
    agent.look()
    assert agent.silences() == (ALL,)
    agent.close()
    again = opened(path, CancelToken())
    assert again.silences() == (ALL,)
    again.close()


def test_it_is_noticed_between_two_looks(agent: BackgroundStore, path: Path) -> None:
    """What was written while a cycle was under way: its own write finds it."""
    agent.record(row(1), (), (alert(1),))
    by_hand(path, (DISK,))
    agent.record(row(2), (), ())
    assert agent.silences() == (DISK,)
    assert [event_id for event_id, _ in agent.undelivered] == [alert(1).event_id]


def test_a_look_that_failed_is_made_up_for(path: Path) -> None:
    """Somebody's lock was in the way when the change was seen."""
    buffered = BufferedStore(path, SystemClock(), StoreOptions(1))
    buffered.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as hand:
        hand.execute("ALTER TABLE silences RENAME TO elsewhere")
        buffered.look()
        hand.execute("ALTER TABLE elsewhere RENAME TO silences")
    by_hand(path, (DISK,))
    buffered.look()
    assert buffered.silences == (DISK,)
    buffered.close()


def test_a_new_file_in_the_place_of_a_damaged_one_has_them(agent: BackgroundStore, path: Path) -> None:
    """They go on, and are shown."""
    by_hand(path, (DISK,))
    agent.record(row(1), (), ())
    path.write_bytes(b"no database" * 1000)
    agent.record(row(2), (), (alert(2),))
    assert path.with_name(path.name).exists() and list(path.parent.glob("*.corrupt-*"))
    assert agent.silences() == stored(path) == (DISK,)


def test_they_go_along_to_another_path(agent: BackgroundStore, path: Path, cancel: CancelToken) -> None:
    """And leave the old one, which may be gone back to years later."""
    by_hand(path, (DISK,))
    agent.look()
    agent.silences()
    other = opened(path.with_name("other.db"), cancel)
    agent.move_to(other)
    assert other.silences() == stored(other.path) == (DISK,)
    assert stored(path) == ()
    other.close()


@pytest.mark.parametrize(
    "damage",
    ["pattern = x'00ff'", "until_ns = 'never'", "created_ns = 1.5"],
)
def test_a_damaged_row_is_none(path: Path, damage: str) -> None:
    """And takes nothing from the others."""
    by_hand(path, (DISK, ALL))
    with closing(sqlite3.connect(path)) as hand, hand:
        hand.execute(f"UPDATE silences SET {damage} WHERE id = '1'")
    assert stored(path) == (ALL,)
