"""The services: what their looks have found since the cycle before. Nothing is waited for here.

Most are looked at by the pool, each at its own times; a container is looked up in the list that the cycle has got.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core.container import Container
from heartbeatd.core.sample import ProbeError
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.service import Service, ServiceCheck, ServiceKind, is_explained, of_container
from heartbeatd.pool import MOST_THREADS, Pool, Task
from heartbeatd.probes.base import Finish
from heartbeatd.probes.service_checker import Checker

_SOON_S = 0.05


@dataclass(frozen=True, slots=True)
class Beside:
    """What other probes have found: whether the internet check failed lately, and the containers that run, if that is known."""

    internet_failed: Callable[[], bool]
    containers: Callable[[], tuple[Container, ...] | None]


class Services:
    """Comes after the probes that `beside` tells of."""

    def __init__(
        self, services: Sequence[Service], pool: Pool[ServiceCheck], checker: Checker, clock: Clock, beside: Beside
    ) -> None:
        self._services, self._pool, self._clock, self._beside = services, pool, clock, beside
        self._tasks = [
            Task(service, service.every_s, checker.at(service))
            for service in services
            if service.kind is not ServiceKind.CONTAINER
        ]
        self._due_ns = {one.name: 0 for one in services if one.kind is ServiceKind.CONTAINER}
        self._latest: dict[str, ServiceCheck] | None = None  # None until the pool has been told of these

    def read(self, deadline_ns: int, cancel: CancelToken) -> Finish:
        """Raises ProbeError if there is no thread to look with."""
        if not self._pool.use(self._tasks):
            raise ProbeError("no thread can be started to look at services")
        if self._latest is None:
            self._latest = {check.name: check for check in self._pool.latest()}
        return self._finish

    def all_now(self, cancel: CancelToken) -> tuple[ServiceCheck, ...]:
        """One look at each, and its end waited for. Those that could not be looked at are left out."""
        self._pool.use(self._tasks, at_once=True)
        rounds = -(-len(self._tasks) // MOST_THREADS)
        until_ns = cancel.deadline(rounds * max((service.timeout_s for service in self._services), default=0) + 1)
        while (
            len(self._pool.latest()) < len(self._tasks) and cancel.seconds_until(until_ns) > 0 and not cancel.cancelled
        ):
            cancel.wait(lambda: False, min(until_ns, cancel.deadline(_SOON_S)))
        return self._finish()["services"]

    def _finish(self) -> dict[str, tuple[ServiceCheck, ...]]:
        failed = self._beside.internet_failed()
        fresh = [_marked(check, failed) for check in (*self._pool.take(), *self._containers())]
        latest = self._latest = {**(self._latest or {}), **{check.name: check for check in fresh}}
        known = (latest.get(service.name) for service in self._services)
        return {"services": tuple(check for check in known if check is not None), "service_checks": tuple(fresh)}

    def _containers(self) -> list[ServiceCheck]:
        due = [s for s in self._services if s.name in self._due_ns and self._is_due(s)]
        if not due:
            return []
        listed = self._beside.containers()
        return [ServiceCheck(s.name, self._clock.now_ns(), of_container(s.at, listed)) for s in due]

    def _is_due(self, service: Service) -> bool:
        """True once in its time: nothing is asked, but somebody keeps what is found."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns[service.name]:
            return False
        self._due_ns[service.name] = (
            now_ns + service.every_s * NS_PER_S - NS_PER_S // 2
        )  # a cycle is not quite as long as another
        return True


def _marked(check: ServiceCheck, internet_failed: bool) -> ServiceCheck:
    explained = is_explained(check.outcome, outside=check.outside, internet_failed=internet_failed)
    return replace(check, explained=explained) if explained else check
