"""How heartbeatctl reads a database: not as root, and within bounds of memory and time, whatever is in the file."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from heartbeatd.cancel import TimedOut
from heartbeatd.ctl import privileges
from heartbeatd.ctl.child_process import run_in_child
from heartbeatd.errors import Problem, StoreError, StoreNotAllowedError
from heartbeatd.store import reader
from heartbeatd.store.guard import DEADLINE_S
from heartbeatd.store.read_only import limit_memory
from heartbeatd.store.reader import Reader

MEMORY_BYTES = 64 << 20
GRACE_S = 2.0  # the reader's own deadline should come first: it knows more about what is the matter
T = TypeVar("T")


def read(config_file: Path, path: Path, look: Callable[[Reader], T]) -> T:
    """What `look` returns of the database at `path`. From here on we are no longer root, see `privileges.drop_privileges`.

    Raises NotAllowedError if we were not root and may not read it, else StoreError.
    """
    limit_memory(MEMORY_BYTES)

    def work() -> T:
        with contextlib.closing(Reader.open(path)) as opened:
            return look(opened)

    return _as_the_agent(config_file, path, work)


def require_safe_to_write(config_file: Path, path: Path) -> None:
    """Raises as `read` if what is there is nothing that the agent would have made; nothing at all may be there.

    What is then written is held to the bound of memory, too: a CHECK or a DEFAULT in the schema is computed at each row.
    """
    limit_memory(MEMORY_BYTES)
    _as_the_agent(config_file, path, lambda: reader.require_safe_to_write(path))


def _as_the_agent(config_file: Path, path: Path, work: Callable[[], T]) -> T:
    was_root = privileges.BEGAN_AS_ROOT
    privileges.drop_privileges(config_file, path)
    limit_s = DEADLINE_S + GRACE_S
    try:
        return run_in_child("database", work, limit_s)
    except TimedOut:
        what = f"the file or its filesystem did not answer within {limit_s:g} s"
        raise StoreError(Problem(str(path), what)) from None
    except StoreNotAllowedError as error:
        if was_root:  # so more rights are not what is missing
            (problem,) = error.problems
            raise StoreError(replace(problem, hint="the user that the agent runs as has to own it")) from None
        raise
