"""What was seen and told, from one look to the next, in the runtime directory of heartbeatd-failed.service.

`seen`: for how long the agent has been failing. `alert`: what is told, and how far each delivery of it is. `heard`: a channel has
taken it, so the agent will say that it is back. `told`: nothing is left to tell. The agent removes them after its first cycle.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from heartbeatd.core.delivery import Delivery, follow
from heartbeatd.core.payload import json_text
from heartbeatd.core.queued import QueuedNotification
from heartbeatd.files import read_regular

SEEN, ALERT, HEARD, TOLD = "seen", "alert", "heard", "told"
LARGEST_BYTES = 1 << 20
FORGET_S = 300.0  # between two looks while it is down lie two minutes


class Notes:
    """In `folder`; without one in memory. For the outbox it is where deliveries are kept (`notify.outbox.DeliveryStore`).

    `undelivered` is what is left of the alert, by event id and channel; `begun` says whether there is an alert.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = Path(folder) if folder else None
        self.undelivered: dict[tuple[str, str], Delivery] = {}
        self.begun = False
        try:
            follow(self.undelivered, map(_delivery, json.loads(self._read(ALERT))["deliveries"]))
            self.begun = True
        except (ValueError, TypeError, KeyError, RecursionError):
            self.undelivered.clear()  # none, or none that can be read

    @classmethod
    def of_unit(cls) -> "Notes":
        """Those in the folder that systemd has made for this unit."""
        return cls(os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0])

    @property
    def told(self) -> bool:
        """True if nothing is left to tell, and the agent has not run since."""
        return self._folder is not None and (self._folder / TOLD).exists()

    def begin(self, deliveries: Iterable[Delivery]) -> None:
        """This is the alert."""
        self.begun = True
        follow(self.undelivered, deliveries)
        self._keep_alert()

    def note_delivery(self, delivery: Delivery) -> None:
        """This is how far it is now."""
        if delivery.delivered_ns is not None:
            self.note(HEARD)
        follow(self.undelivered, (delivery,))
        self._keep_alert()

    def failing_for(self, restarts: int, now_s: float) -> float:
        """For how many seconds it has been seen to be down at each look, and started again in between.

        `restarts` is how often systemd has started it again, `now_s` now on the monotonic clock.
        """
        first_s, last_s, before = now_s, now_s, restarts
        words = self._read(SEEN).split()
        if len(words) == 3:
            first_s, last_s, before = float(words[0]), float(words[1]), int(words[2])
        if now_s - last_s > FORGET_S or restarts < before:  # it was up in between, or was started by somebody
            first_s, before = now_s, restarts
        self.note(SEEN, f"{first_s} {now_s} {before}")
        return now_s - first_s if restarts > before else 0.0

    def note(self, name: str, text: str = "") -> None:
        """Keep it for the next look."""
        if self._folder is not None:
            new = self._folder / f".{name}"
            try:
                new.write_text(text)
                new.replace(self._folder / name)
            except OSError as error:
                print(f"{self._folder / name}: {error.strerror}", file=sys.stderr)

    def forget(self) -> None:
        """The agent runs."""
        if self._folder is not None:
            for name in (SEEN, ALERT, HEARD, TOLD):
                (self._folder / name).unlink(missing_ok=True)

    def _keep_alert(self) -> None:
        self.note(ALERT, json_text({"deliveries": [asdict(one) for one in self.undelivered.values()]}))

    def _read(self, name: str) -> str:
        try:
            return "" if self._folder is None else read_regular(self._folder / name, LARGEST_BYTES).decode()
        except (OSError, UnicodeError):
            return ""


def _delivery(kept: dict[str, object]) -> Delivery:
    """Raises what a wrong kind of value raises."""
    notification = kept.pop("notification")
    if not isinstance(notification, dict):
        raise TypeError
    return Delivery(QueuedNotification(**notification), **kept)  # type: ignore[arg-type]  # as we have written it
