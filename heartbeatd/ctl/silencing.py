"""How heartbeatctl changes the table of silences: not as root, and in a child, so that root may still run a command after it."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from heartbeatd.cancel import TimedOut
from heartbeatd.clock import SystemClock, boot_id, booted_ns
from heartbeatd.core.silence import Now, Silence, in_force
from heartbeatd.ctl import database
from heartbeatd.ctl.child_process import run_in_child
from heartbeatd.ctl.privileges import user_name
from heartbeatd.errors import Problem, StoreError
from heartbeatd.store.database import Database
from heartbeatd.store.guard import DEADLINE_S
from heartbeatd.store.read_errors import reported
from heartbeatd.store.silences import MOST

LIMIT_S = DEADLINE_S + 5.0  # the reader's own deadline, and a lock, should come first: they know more


def now() -> Now:
    """By this machine's clocks."""
    clock = SystemClock()
    return Now(clock.now_ns(), boot_id(), booted_ns(clock))


def who() -> str:
    """Whoever asks, also behind sudo(8)."""
    return os.environ.get("SUDO_USER") or user_name()


def add(config_file: Path, path: Path, added: tuple[Silence, ...]) -> tuple[Silence, ...]:
    """Add these; those that are in force then. Raises NotAllowedError if we may not, else StoreError."""

    def change(opened: Database) -> tuple[Silence, ...]:
        there = opened.silences()
        lasting = in_force(there, now())
        if len(lasting) + len(added) > MOST:
            raise StoreError(Problem(str(path), f"there are {len(lasting)} silences", "heartbeatctl unsilence all"))
        ids = {silence.id for silence in lasting}
        opened.change_silences(added, [silence for silence in there if silence.id not in ids])
        return (*lasting, *added)

    return _changed(config_file, path, change)


def end(config_file: Path, path: Path, is_meant: Callable[[Silence], bool]) -> tuple[Silence, ...]:
    """End those that are meant; which these were. Raises as `add`."""

    def change(opened: Database) -> tuple[Silence, ...]:
        ended = [silence for silence in opened.silences() if is_meant(silence)]
        opened.change_silences((), ended)
        return in_force(ended, now())

    return _changed(config_file, path, change)


def _changed(config_file: Path, path: Path, change: Callable[[Database], tuple[Silence, ...]]) -> tuple[Silence, ...]:
    """The agent, which has the file open, too, goes by it from its next cycle on."""
    try:
        return run_in_child("silences", partial(_change, config_file, path, change), LIMIT_S)
    except TimedOut:
        raise StoreError(Problem(str(path), f"the file or its filesystem did not answer in {LIMIT_S:g} s")) from None


def _change(config_file: Path, path: Path, change: Callable[[Database], tuple[Silence, ...]]) -> tuple[Silence, ...]:
    database.require_safe_to_write(config_file, path)
    with reported(path), contextlib.closing(Database.open(path, SystemClock().now_ns())) as opened:
        return change(opened)
