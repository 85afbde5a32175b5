"""Work in a child process, waited for until a deadline: a thread that waits for a frozen filesystem would keep us from ending.

Nobody can end such a child, either, until the filesystem answers; it is left behind, and holds nothing that others wait for.
"""

import contextlib
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from heartbeatd.cancel import TimedOut

T = TypeVar("T")
_PART_BYTES = 1 << 16


def run_in_child(name: str, work: Callable[[], T], limit_s: float) -> T:
    """What `work` returns, or raises; either has to be something that pickle takes. Raises `TimedOut` after `limit_s`."""
    sys.stdout.flush()  # or the child would have it, too
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(work, writes)
    os.close(writes)
    try:
        returned, value = pickle.loads(_all_of(name, reads, time.monotonic() + limit_s))
        os.waitpid(child, 0)
    except BaseException:
        _end(child)
        raise
    finally:
        os.close(reads)
    if returned:
        done: T = value
        return done
    raise value


def _end(child: int) -> None:
    """Kill it, and wait for its end for a moment: most can be ended."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        for _ in range(20):
            if os.waitpid(child, os.WNOHANG) != (0, 0):
                return
            time.sleep(0.01)


def _be_the_child(work: Callable[[], T], writes: int) -> None:
    """Never returns. Neither our output nor our terminal is held by it: whoever reads them waits for their end."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        try:
            outcome: tuple[bool, object] = (True, work())
        except BaseException as error:  # noqa: BLE001 - not handled here, only carried to the process that waits
            outcome = (False, error)
        with os.fdopen(writes, "wb") as out:
            pickle.dump(outcome, out)
    finally:
        os._exit(0)


def _all_of(name: str, reads: int, deadline_s: float) -> bytes:
    """What the child says until its end. Raises `TimedOut` if it has not ended by then, or without a word."""
    parts: list[bytes] = []
    while select.select([reads], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
        part = os.read(reads, _PART_BYTES)
        if part:
            parts.append(part)
        elif parts:
            return b"".join(parts)
        else:
            break
    raise TimedOut(name)
