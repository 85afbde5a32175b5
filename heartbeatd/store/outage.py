"""While the database cannot be written: said once when it begins, with what to do, and once when it is over."""

import logging
from pathlib import Path

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

    def end(self, stored: int) -> None:
        """It has been written, and so many rows with it."""
        if self.error:
            self.error = ""
            log.log(
                NOTICE,
                "%s can be written again; what waited is stored: %s",
                self._path,
                plural(stored, "row"),
                extra=journal_fields(MessageId.STORE_RECOVERED, path=self._path, rows=stored),
            )
