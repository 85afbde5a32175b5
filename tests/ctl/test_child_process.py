"""Work in a process apart: what it comes to, and that nobody waits for one that hangs."""

import os
import threading
from pathlib import Path

import pytest

from heartbeatd.cancel import TimedOut
from heartbeatd.ctl.child_process import run_in_child
from heartbeatd.errors import Problem, StoreError
from tests.support.agent import run_python
from tests.support.disk import sh

WRITES = """
import sys
from pathlib import Path
from heartbeatd.ctl.child_process import run_in_child
from heartbeatd.cancel import TimedOut
print("before")
try:
    run_in_child("disk", Path(sys.argv[1]).touch, 0.3)
except TimedOut as error:
    print(error)
"""


def test_what_it_comes_to_is_handed_over() -> None:
    """More than a pipe holds; and an error as it was raised, with its problems."""
    assert run_in_child("bytes", lambda: b"x" * 1_000_000, 10) == b"x" * 1_000_000
    problem = Problem("a file", "is wrong", "right it")

    def fail() -> None:
        raise StoreError(problem)

    with pytest.raises(StoreError) as raised:
        run_in_child("error", fail, 10)
    assert raised.value.problems == (problem,)


@pytest.mark.parametrize("work", [lambda: threading.Event().wait(), lambda: os._exit(0)], ids=["hangs", "dies"])
def test_without_a_word_it_hung(work: object) -> None:
    """At the deadline, or when it is gone; nothing of it is left in this process."""
    assert callable(work)
    threads = set(threading.enumerate())  # pytest and its plugins may have some
    with pytest.raises(TimedOut):
        run_in_child("work", work, 0.2)
    assert set(threading.enumerate()) == threads


@pytest.mark.namespaces
def test_nobody_waits_for_a_frozen_filesystem(disk: Path) -> None:
    """The process ends while its child cannot, and so does whoever reads its output to the end."""
    sh(f"fsfreeze -f {disk}")
    done = run_python("-c", WRITES, disk / "file")
    assert (done.stdout, done.stderr, done.returncode) == ("before\ndisk timed out\n", "", 0)
    assert not (disk / "file").exists()
