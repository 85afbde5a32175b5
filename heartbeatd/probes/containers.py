"""How many containers run: one cheap question a cycle, to whoever may ask the Docker engine.

Rights on the Docker socket are as good as root, so the agent has none, and asks `heartbeatd-containers.service` (see
`containers`). An agent that has the rights all the same, as one that root runs, does itself what the helper does: its code runs
on a thread, at the other end of a pair of sockets. So what is said, and until when, is the same for both.
"""

import os
import re
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from heartbeatd.cancel import CancelToken, SerialWorker, TimedOut
from heartbeatd.containers import client
from heartbeatd.containers.inquiry import Asked, Inquiry, by_child, by_helper
from heartbeatd.core.container import NOTHING, Container, Reason, Watched
from heartbeatd.core.sample import NoData, Off, ProbeError
from heartbeatd.probes.base import Finish, Value

_PATTERN = re.compile(r"[*?\[]")  # names no container


class Containers:
    """Counts at the engine's `socket` (`unix:///path`, or "" for none): by the helper at `helper`, or itself, on `thread`.

    Of those that are not well, or are `watched` and do not run, it is asked why.
    """

    def __init__(
        self,
        thread: SerialWorker,
        socket: str,
        helper: Path = client.SOCKET,
        *,
        watched: Watched = NOTHING,
        inquiry: Inquiry | None = None,
    ) -> None:
        self._thread, self._helper = thread, helper
        self._engine = Path(socket.removeprefix("unix://")) if socket else None
        self._watched, self._inquiry = watched, inquiry
        self.listed: tuple[Container, ...] | None = None  # in this cycle

    def read(self, deadline_ns: int, cancel: CancelToken) -> Finish:
        """Begin to count. Raises NoData, Off or ProbeError, or TimedOut while our own count before has not come back."""
        self.listed = None
        if self._engine is None:
            raise Off("switched off")
        seen = _see(self._engine)
        if seen and has_rights(self._engine):  # looked at anew each time
            asked: _OwnCount | client.ContainerQuery = _OwnCount(self._thread, self._engine, deadline_ns, cancel)
            why = by_child(str(self._engine))
        else:
            asked = client.ask(self._engine, deadline_ns, cancel, self._helper, seen=seen)
            why = by_helper()

        def finish() -> dict[str, Value]:
            count, self.listed = asked.result(), asked.containers
            reasons = self._reasons(self.listed, cancel, why)
            return {"container_count": count, "containers": self.listed, "reasons": reasons}

        return finish

    def _reasons(
        self, listed: tuple[Container, ...] | None, cancel: CancelToken, ask: Callable[[], Asked]
    ) -> Mapping[str, Reason]:
        if self._inquiry is None or listed is None:
            return {}
        unwell = [
            one for one in listed if not one.fine and (self._watched.any_unhealthy or self._watched.has(one.name))
        ]
        bad = [one.name for one in unwell if one.bad]
        bad += [name for name in self._watched.missing(listed) if not _PATTERN.search(name)]
        doubtful = [one.name for one in unwell if not one.bad]
        return self._inquiry.look(bad, doubtful, cancel.deadline(0), ask)


class _OwnCount:
    """The helper's code on a thread of ours, which ends when it has answered, or whoever asked has hung up."""

    def __init__(self, thread: SerialWorker, engine: Path, deadline_ns: int, cancel: CancelToken) -> None:
        from heartbeatd.containers.engine import tell  # an agent without rights does not need it

        self._deadline_ns, self._cancel = deadline_ns, cancel
        ours, theirs = socket.socketpair()

        def work() -> None:
            with theirs:
                tell(theirs, str(engine))

        try:
            self._call = thread.start(work, deadline_ns, cancel)
        except TimedOut:
            ours.close()
            theirs.close()
            raise
        self._query = client.ContainerQuery(ours, engine, engine, deadline_ns, cancel)

    @property
    def containers(self) -> tuple[Container, ...] | None:
        """See ContainerQuery."""
        return self._query.containers

    def result(self) -> int:
        """See ContainerQuery."""
        try:
            return self._query.result()
        finally:
            self._cancel.wait(self._call.done, self._deadline_ns)  # or the thread would be busy for the next count


def has_rights(engine: Path) -> bool:
    """True if this process may ask the engine itself."""
    return os.access(engine, os.R_OK | os.W_OK)


def _see(path: Path) -> bool:
    """True if the engine's socket is there; False if that cannot be seen from here, and the helper has to look.

    Podman's is in a folder that is root's alone, that of a rootless engine in its user's, which the sandbox hides from the agent.
    Raises NoData if there is no engine, ProbeError if what is there is no socket.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise NoData(f"there is no {path}: Docker is not installed or not running") from None
    except PermissionError:
        return False
    except OSError as error:
        raise ProbeError(f"{path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise ProbeError(f"{path} is not a socket")
    return True
