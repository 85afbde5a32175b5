"""How long an alert waits after a try that failed, and when it is given up; `outbox` says what each kind of failure means."""

from dataclasses import dataclass

from heartbeatd.notify.webhook import Failure

FIRST_PAUSE_S = 2.0
CAP_S = 300.0
JITTER = 0.2
ERRORS_IN_ORDER = 8  # that takes eight minutes
REFUSED_MOST = 5
LATE_SOON = 4
LATE_MOST = LATE_SOON + 24
LATE_PAUSE_S = 3600.0


def backoff_s(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row (from 1); `jitter` 0–1 says how much of the fifth is taken off."""
    return min(CAP_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30)) * (1 - JITTER * jitter)


@dataclass(slots=True)
class Tries:
    """How one alert has failed so far, and when it is tried again if it waits by itself (monotonic ns)."""

    errors: int = 0
    refused: int = 0
    late: int = 0
    not_before_ns: int = 0

    def after(self, failure: Failure) -> bool:
        """Count one more; True if that is news for the one who reads the log."""
        self.errors += failure is Failure.ERROR
        self.refused += failure is Failure.REFUSED
        self.late += failure is Failure.LATE
        news = {Failure.REFUSED: (self.refused, 1), Failure.ERROR: (self.errors, ERRORS_IN_ORDER)}
        number, told_at = news.get(failure, (0, 1))
        return number == told_at or (failure is Failure.LATE and self.late in (1, LATE_SOON))

    @property
    def over(self) -> bool:
        """True if it is to be set aside."""
        return self.refused >= REFUSED_MOST or self.late >= LATE_MOST

    def alone_s(self, failure: Failure, jitter: float) -> float | None:
        """Seconds it waits by itself after this failure; None if all wait with it."""
        if failure is Failure.REFUSED:
            return backoff_s(self.refused, jitter)
        if failure is Failure.LATE:
            return backoff_s(self.late, jitter) if self.late < LATE_SOON else LATE_PAUSE_S
        if failure is Failure.ERROR and self.errors >= ERRORS_IN_ORDER:
            return backoff_s(self.errors, jitter)
        return None
