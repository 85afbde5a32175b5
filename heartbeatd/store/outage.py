"""What is said of the database: while it cannot be written, when that begins and when it is over; and what it had to give up."""

import logging
from pathlib import Path

from heartbeatd.core.retention import QUEUE_MOST
from heartbeatd.core.timefmt import plural
from heartbeatd.errors import StoreError
from heartbeatd.journal import NOTICE, MessageId, journal_fields

log = logging.getLogger(__name__)


class Outage:
    """Of the database at `path`; `error` is what keeps it from being written, or nothing."""

    def __init__(self, path: Path) -> None:
        self._path, self.error = path, ""

    def log_error(self, error: StoreError, unsaved_rows: int) -> None:
        """The database could not be written."""
        text = str(error)
        if text != self.error:
            self.error = text
            log.error(
                "%s; heartbeats go on, rows wait in memory",
                text,
                extra=journal_fields(MessageId.STORE_FAILED, path=self._path, waiting=unsaved_rows),
            )

    def end(self, stored: int | None = None) -> None:
        """It has been written, and so many rows with it, if that is known."""
        if self.error:
            self.error = ""
            log.log(
                NOTICE,
                "%s can be written again; what waited is stored%s",
                self._path,
                "" if stored is None else f": {plural(stored, 'row')}",
                extra=journal_fields(MessageId.STORE_RECOVERED, path=self._path, rows=stored or 0),
            )


def log_given_up(number: int) -> None:
    """So many alerts will not be sent."""
    log.error(
        "a channel has taken nothing for so long that the oldest %d of more than %d alerts were given up",
        number,
        QUEUE_MOST,
        extra=journal_fields(MessageId.ALERTS_GIVEN_UP, number=number),
    )
