"""Who is told of nothing for now: what people silenced, and all but the Worker while the system is still starting."""

import subprocess
from collections.abc import Callable, Sequence

from heartbeatd.cancel import CancelToken, Future, SerialWorker
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Held, Silence
from heartbeatd.core.worker import WORKER

STARTING_NS = 300 * NS_PER_S  # the longest that a system is taken to be starting
ASK_S = 5.0
_STARTING = ("initializing", "starting")


class Holds:
    """`silences` gives those that are known; `state` says how far the system is, see `system_state`."""

    def __init__(
        self,
        silences: Callable[[], Sequence[Silence]],
        thread: SerialWorker,
        cancel: CancelToken,
        state: Callable[[], str] | None = None,
    ) -> None:
        self._silences, self._thread, self._cancel = silences, thread, cancel
        self._state = state or system_state
        self._asked: Future[str] | None = None
        self._booting = cancel.clock.boottime_ns() < STARTING_NS

    def held(self) -> Held:
        """What is held back in this cycle."""
        silences = self._silences()
        if self._booting:
            self._booting = self._is_starting()
        return Held(silences, self._cancel.clock.now_ns(), booting=self._booting, spared=frozenset((WORKER,)))

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
