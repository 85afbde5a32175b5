"""What was seen and told, from one look to the next, in the runtime directory of heartbeatd-failed.service."""

import os
import sys
from pathlib import Path

from heartbeatd.failure_alert.configuration import read

NOTES = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
SEEN, TOLD = "seen", "told"
FORGET_S = 300.0  # between two looks while it is down lie two minutes


def was_told() -> bool:
    """True if somebody has been told, and the agent has not run since."""
    return bool(NOTES) and Path(NOTES, TOLD).exists()


def failing_for(restarts: int, now_s: float) -> float:
    """For how many seconds it has been seen to be down at each look, and started again in between.

    `restarts` is how often systemd has started it again, `now_s` now on the monotonic clock.
    """
    first_s, last_s, before = now_s, now_s, restarts
    words = read(f"{NOTES}/{SEEN}").split() if NOTES else []
    if len(words) == 3:
        first_s, last_s, before = float(words[0]), float(words[1]), int(words[2])
    if now_s - last_s > FORGET_S or restarts < before:  # it was up in between, or was started by somebody
        first_s, before = now_s, restarts
    note(SEEN, f"{first_s} {now_s} {before}")
    return now_s - first_s if restarts > before else 0.0


def note(name: str, text: str) -> None:
    """Keep it for the next look."""
    if NOTES:
        try:
            Path(NOTES, name).write_text(text)
        except OSError as error:
            print(f"{NOTES}/{name}: {error.strerror}", file=sys.stderr)
