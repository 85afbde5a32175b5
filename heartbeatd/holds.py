"""Who is told of nothing for now: what people silenced, and all but the Worker while the system is still starting."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace

from heartbeatd.cancel import CancelToken, Future, SerialWorker
from heartbeatd.clock import booted_ns
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Held, Now, Silence, fits, in_force
from heartbeatd.core.subject import Subject
from heartbeatd.core.text.cycle import silence_notes
from heartbeatd.core.worker import WORKER

STARTING_NS = 300 * NS_PER_S  # the longest that a system is taken to be starting
ASK_S = 5.0
_STARTING = ("initializing", "starting", "")  # or it cannot be asked


class Holds:
    """`silences` gives those that are known; `state` says how far the system is, see `system_state`. This boot is `boot_id`."""

    def __init__(
        self,
        silences: Callable[[], Sequence[Silence]],
        thread: SerialWorker,
        cancel: CancelToken,
        boot_id: str,
        state: Callable[[], str] | None = None,
    ) -> None:
        self._silences, self._thread, self._cancel, self._boot_id = silences, thread, cancel, boot_id
        self._held = Held(())
        self._state = state or system_state
        self._asked: Future[str] | None = None
        self._booting = cancel.clock.boottime_ns() < STARTING_NS

    def held(self) -> Held:
        """What is held back in this cycle."""
        silences = in_force(self._silences(), self._now())
        if self._booting:
            self._booting = self._is_starting()
        self._held = Held(silences, booting=self._booting, spared=frozenset((WORKER,)))
        return self._held

    def notes(self) -> tuple[str, ...]:
        """What there is to say of that in the status line."""
        return silence_notes(self._held, self._cancel.clock.now_ns())

    def covers(self, subject: Subject, at_ns: int) -> bool:
        """Whether the subject is silenced now, or was at that moment."""
        known, now = self._silences(), self._now()
        then = (one for one in in_force(known, replace(now, at_ns=at_ns)) if one.created_ns <= at_ns)
        return any(fits(one, subject) for one in (*then, *in_force(known, now)))

    def _now(self) -> Now:
        clock = self._cancel.clock
        return Now(clock.now_ns(), self._boot_id, booted_ns(clock))

    def _is_starting(self) -> bool:
        """As far as it is known: nobody waits for the answer, which counts in the next cycle."""
        if self._cancel.clock.boottime_ns() >= STARTING_NS:
            return False
        if self._asked is None:
            self._asked = self._thread.queue(self._state, self._cancel.deadline(ASK_S), self._cancel)
        if not self._asked.done():
            return True
        answer, self._asked = self._asked.result(), None
        return answer in _STARTING


def system_state() -> str:
    """What systemd says of the system: `starting`, `running`, `degraded` …; "" if it says nothing."""
    try:
        asked = subprocess.run(
            ["systemctl", "is-system-running"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.decode(errors="replace").strip()
