"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], timeout_s: float = 60) -> None:
    """Return as soon as `true()` is. Raises AssertionError if it is not within `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s"
        time.sleep(0.01)
