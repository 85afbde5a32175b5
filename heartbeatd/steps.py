"""Steps of which a failed one never hides the next."""

import logging
from collections.abc import Callable
from typing import TypeVar

from heartbeatd.journal import NOTICE, MessageId, journal_fields

log = logging.getLogger(__name__)
T = TypeVar("T")


class Steps:
    """Takes one step after the other, and remembers how each failed last time."""

    def __init__(self) -> None:
        self._failures: dict[str, str] = {}

    def take(self, name: str, work: Callable[[], T]) -> T | None:
        """What `work` returns; None if it fails in a way nobody foresaw. That is logged, once while it is the same.

        `name` completes "a cycle could not …".
        """
        try:
            found = work()
        except Exception as error:
            if self._failures.get(name) != repr(error):
                self._failures[name] = repr(error)
                log.exception("a cycle could not %s; it goes on", name, extra=journal_fields(MessageId.CYCLE_FAILED))
            return None
        if self._failures.pop(name, None) is not None:
            log.log(NOTICE, "cycles can %s again", name)
        return found
