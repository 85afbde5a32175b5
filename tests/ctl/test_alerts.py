"""What `heartbeatctl alerts` shows, and what it does not."""

from heartbeatd.core.delivery import NO_WEBHOOK
from heartbeatd.ctl.alerts import _is_elsewhere
from heartbeatd.store.results import StoredDelivery


def stored(event_id: str, channel: str, last_error: str | None = None) -> StoredDelivery:
    """A delivery that ended, one way or the other."""
    return StoredDelivery(event_id, "nas: …", channel, 1, 1, 0, None, 1, last_error)


def test_the_webhook_that_there_is_not() -> None:
    """Of an alert that goes to another channel nobody misses it; of one that goes nowhere it says so."""
    absent, phone = stored("one", "webhook", NO_WEBHOOK), stored("one", "phone")
    alone, failed = stored("two", "webhook", NO_WEBHOOK), stored("one", "webhook", "HTTP 404")
    assert _is_elsewhere(absent, (absent, phone, alone))
    assert not _is_elsewhere(alone, (absent, phone, alone))
    assert not _is_elsewhere(phone, (absent, phone))
    assert not _is_elsewhere(failed, (failed, phone))
