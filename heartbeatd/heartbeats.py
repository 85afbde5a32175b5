"""Heartbeats: one a cycle, unless none is configured, the agent is stopping, or the Worker asked to wait (`Retry-After`)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.payload import AgentInfo, heartbeat_body
from heartbeatd.core.retry_after import Hold, held_after
from heartbeatd.core.sample import Sample
from heartbeatd.core.subject import OK
from heartbeatd.core.timefmt import time_of_day


class HeartbeatSender(Protocol):
    """One request to the Worker."""

    def send(self, body: bytes, cancel: CancelToken) -> HeartbeatResult | None:
        """None if it was broken off."""


class Heartbeats:
    """`sender` is None where no Worker is configured."""

    def __init__(
        self,
        sender: HeartbeatSender | None,
        agent: AgentInfo,
        sequence: Iterator[int],
        clock: Clock,
        cancel: CancelToken,
    ) -> None:
        self._sender, self._agent, self._sequence = sender, agent, sequence
        self._clock, self._cancel = clock, cancel
        self._hold: Hold | None = None

    @property
    def configured(self) -> bool:
        return self._sender is not None

    def send(self, sample: Sample, row_id: str, worker: AlertState | None) -> HeartbeatResult | None:
        """The heartbeat's result; None if none is sent, or it was broken off. `worker` is what was announced of the Worker."""
        if self._sender is None or self._cancel.cancelled or self._is_held():
            return None
        body = heartbeat_body(self._agent, sample, row_id, next(self._sequence))
        result = self._sender.send(body, self._cancel)
        if result is not None:
            # Asked as often as ever until its trouble counts as such: to wait must not delay the alert about it.
            counts = worker is not None and worker.current != OK
            self._hold = self._held_after(result) if counts else None
        return result

    def skipped(self) -> str:
        """Why no heartbeat was sent in this cycle."""
        if self._sender is None:
            return "not configured"
        if self._hold is not None:
            until_ns = self._clock.now_ns() + self._hold.until_ns - self._clock.boottime_ns()
            return f"asked to wait (Retry-After), no heartbeat before {time_of_day(until_ns, self._agent.locale.zone)}"
        return "not asked"

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by so much."""
        self._agent = replace(self._agent, started_ns=self._agent.started_ns + by_ns)

    def _held_after(self, result: HeartbeatResult) -> Hold | None:
        return held_after(self._hold, result, self._clock.now_ns(), self._clock.boottime_ns())

    def _is_held(self) -> bool:
        return self._hold is not None and self._clock.boottime_ns() < self._hold.until_ns
