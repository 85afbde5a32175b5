"""Whether the internet is reachable: one HEAD request to a well-known site."""

from collections import deque
from dataclasses import dataclass

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.core.sample import ProbeError
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.probes.base import Finish

LATELY = 3


@dataclass(frozen=True, slots=True)
class Ping:
    """The outcome of the check; `ms` is the time to the answer, None without a good one, and `detail` says why not."""

    ok: bool
    ms: float | None
    detail: str = ""


class Internet:
    """Asks `url`, over one kept connection."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._request = Request("HEAD", Target.of(url), repeatable=True)
        self._failed: deque[bool] = deque(maxlen=LATELY)

    @property
    def failed_lately(self) -> bool:
        """Whether it failed in one of the last `LATELY` cycles, so that what was tried between them may have failed with it."""
        return any(self._failed)

    def read(self, deadline_ns: int, cancel: CancelToken) -> Finish:
        """Check, in this thread."""
        ping = self.check(cancel.seconds_until(deadline_ns), cancel)
        self._failed.append(not ping.ok)
        values: dict[str, float | str] = {"internet_ok": ping.ok, "internet_detail": ping.detail}
        if ping.ms is not None:
            values["ping_ms"] = ping.ms
        return lambda: values

    def check(self, timeout_s: float, cancel: CancelToken) -> Ping:
        """Reachable is 2xx or 3xx. That nothing answers is a finding, no failure. Raises ProbeError if it was broken off."""
        try:
            answer = self._client.send(self._request, timeout_s, cancel)
        except RequestError as error:
            return Ping(False, None, str(error))
        except Cancelled:
            raise ProbeError("broken off: the agent is stopping") from None
        if 200 <= answer.status < 400:
            return Ping(True, answer.took_ms)
        return Ping(False, None, f"HTTP {answer.status}")
