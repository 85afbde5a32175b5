"""Asking the containers helper: a connection is the question; how many containers run is at the head of the answer, before them.

It is `heartbeatd-containers.service`, which has the rights on the Docker socket that the agent has not.
"""

import contextlib
import json
import socket
from pathlib import Path

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.containers.listed import LARGEST_BYTES, containers_in
from heartbeatd.core.container import Container
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.net.deadline_socket import DeadlineSocket, Unusable

SOCKET = Path("/run/heartbeatd-containers.sock")
LARGEST_HEAD_BYTES = 4096
LAST_WORD_S = 0.2  # of the time, a fifth at the most: for the helper to say that the engine does not answer


class ContainerQuery:
    """How many containers run on the engine whose socket is `engine`, by what the helper at the end of `connection` says.

    The helper works on it while others are looked at. `helper` is what it is called where it does not answer; `seen` says whether
    the engine's socket is there as far as we can see.
    """

    def __init__(
        self,
        connection: socket.socket,
        helper: Path,
        engine: Path,
        deadline_ns: int,
        cancel: CancelToken,
        *,
        seen: bool = True,
    ) -> None:
        self._connection, self._helper, self._engine = connection, helper, engine
        self._deadline_ns, self._cancel, self._seen = deadline_ns, cancel, seen
        left_s = max(0.0, cancel.seconds_until(deadline_ns))
        self._last_word_ns = deadline_ns - int(min(LAST_WORD_S, left_s / 5) * 1e9)
        self.containers: tuple[Container, ...] | None = None  # after `result`; None if the list could not be read
        self._answer = DeadlineSocket(connection, cancel, deadline_ns, LARGEST_HEAD_BYTES)

    def result(self) -> int:
        """The answer, waited for until the deadline; what has come by then counts whenever it is looked at.

        Raises ProbeError, or NoData where neither the helper nor we can see an engine.
        """
        try:
            with contextlib.closing(self._answer):
                head = self._head()
        except Cancelled:
            raise ProbeError("broken off: the agent is stopping") from None
        except OSError as error:
            raise _unanswered(self._helper, error) from None
        except Unusable:
            head = b""
        return self._count(head)

    def _head(self) -> bytes:
        """What is said before the list of containers, as JSON: how many there are, or why that is not known.

        The list is read behind it, as far as `LARGEST_BYTES`, so that no answer, however long, takes more memory here.
        """
        if not self._answer.heard_by(self._last_word_ns):
            self._connection.shutdown(socket.SHUT_WR)  # as the helper does: what is there to say is said now
            self._answer.heard_by(self._deadline_ns)
        self._allow(LARGEST_HEAD_BYTES)
        said = self._answer.makefile("rb").readline(LARGEST_HEAD_BYTES)
        head, listed, rest = said.partition(b',"containers":')
        if not listed:
            return said
        self.containers = self._list(rest)
        return head + b"}"

    def _list(self, begun: bytes) -> tuple[Container, ...] | None:
        """The containers, whose list has `begun` so; None if the rest of it does not come, or is too long."""
        if not begun.endswith(b"\n"):
            self._allow(LARGEST_BYTES)
            try:
                begun += self._answer.makefile("rb").readline(LARGEST_BYTES)
            except (OSError, Unusable):
                return None
        return containers_in(begun.removesuffix(b"}\n")) if begun.endswith(b"}\n") else None

    def _allow(self, most_bytes: int) -> None:
        """From here on read at most so many bytes, and after the deadline only what is there already."""
        if self._cancel.seconds_until(self._deadline_ns) > 0:
            self._answer.allow(self._cancel, self._deadline_ns, most_bytes)
        else:
            self._answer.allow_no_waiting(most_bytes)

    def _count(self, head: bytes) -> int:
        try:
            said = json.loads(head)
            engine, fault, count = str(said["engine"]), said.get("fault"), said.get("count")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise ProbeError(f"{self._helper}: no answer (see journalctl -u heartbeatd-containers)") from None
        if engine != str(self._engine) and Path(engine).resolve() != self._engine.resolve():
            raise ProbeError(f"heartbeatd-containers.service reads {engine}, not {self._engine}: see heartbeatd(8)")
        if said.get("missing") is True and not self._seen:
            raise NoData(f"there is no {self._engine}: Docker is not installed or not running")
        if fault is not None:
            raise ProbeError(f"{self._engine}: {str(fault)[:200]}")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ProbeError(f"{self._helper}: no answer (see journalctl -u heartbeatd-containers)")
        return count


def ask(
    engine: Path, deadline_ns: int, cancel: CancelToken, helper: Path = SOCKET, *, seen: bool = True
) -> ContainerQuery:
    """Ask the helper that listens at `helper`. Raises ProbeError if it cannot be asked."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)  # connect(2) then refuses at once where it would wait
        connection.connect(str(helper))
    except FileNotFoundError:
        connection.close()
        raise ProbeError(
            f"{engine}: no rights on it, and heartbeatd-containers.socket is not there to be asked"
        ) from None
    except OSError as error:
        connection.close()
        raise _unanswered(helper, error) from None
    return ContainerQuery(connection, helper, engine, deadline_ns, cancel, seen=seen)


def _unanswered(helper: Path, error: OSError) -> ProbeError:
    return ProbeError(
        f"{helper}: {'no answer in time' if isinstance(error, TimeoutError | BlockingIOError) else error.strerror}"
    )
