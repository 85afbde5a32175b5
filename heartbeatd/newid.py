"""Ids of what is new: of a row, of a notification."""

import os

from heartbeatd.core.ids import RANDOM_BYTES, uuid7


def new_id(at_ns: int) -> str:
    """An id that nothing else has, of the moment `at_ns` (ns since the epoch)."""
    return uuid7(at_ns, os.urandom(RANDOM_BYTES))
