"""Rows and alerts as the tests of the database want them: all that is in them follows from a number."""

import sqlite3
from contextlib import closing
from pathlib import Path

from heartbeatd.core.delivery import Delivery
from heartbeatd.core.queued import QueuedNotification
from heartbeatd.core.retention import NS_PER_DAY, RetentionCutoff
from heartbeatd.core.sample import Row
from heartbeatd.core.timefmt import from_iso

NOW_NS = 1_790_000_000_000_000_000


def row(number: int, **values: object) -> Row:
    """A row whose id and moment follow from `number`."""
    blank: dict[str, object] = dict.fromkeys(Row.__slots__)
    stamp = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000-05:00"
    return Row(**{**blank, "id": f"row-{number:06}", "timestamp_lima": stamp, "cycle_duration_ms": 1.0, **values})  # type: ignore[arg-type]


def alert(number: int) -> Delivery:
    """An alert on its way to the webhook, whose event id follows from `number`."""
    event_id = f"event-{number:03}"
    body = f'{{"title":"t","message":"m","details":{{"event_id":"{event_id}","event":"problem"}}}}'
    return Delivery(QueuedNotification(event_id, NOW_NS + number, body), "webhook")


def keep_from(number: int) -> RetentionCutoff:
    """All before that row is too old."""
    return RetentionCutoff(from_iso(row(number).timestamp_lima) + NS_PER_DAY, days=1)


def ids(path: Path) -> list[str]:
    """The ids of all rows, in order of insertion, as a reader sees them."""
    with closing(sqlite3.connect(path)) as reader:
        return [found for (found,) in reader.execute("SELECT id FROM metrics ORDER BY rowid")]
