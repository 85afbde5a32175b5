"""The text of an announcement, by the kind of its subject."""

from collections.abc import Callable, Mapping

from heartbeatd.core.alerting import Announcement
from heartbeatd.core.text import Text
from heartbeatd.core.text.worker import worker_text
from heartbeatd.core.timefmt import Zone

AnnouncementText = Callable[[str, Announcement, str, Zone], Text]
TEXTS: Mapping[str, AnnouncementText] = {"worker": worker_text}


def announcement_text(host: str, announcement: Announcement, heartbeat_url: str, zone: Zone) -> Text:
    """Raises KeyError for a kind of subject that has no text."""
    return TEXTS[announcement.observed.subject.kind](host, announcement, heartbeat_url, zone)
