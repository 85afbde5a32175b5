"""Asking heartbeatd-containers.service, which has the rights on the Docker socket that the agent has not."""

import contextlib
import json
import socket
from pathlib import Path

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.net.deadline_socket import DeadlineSocket, Unusable
from heartbeatd.probes.base import NoData, ProbeError

SOCKET = Path("/run/heartbeatd-containers.sock")
LARGEST_HEAD_BYTES = 4096
LAST_WORD_S = 0.2  # of the time, a fifth at the most: for the reader to say that the engine does not answer


class ContainerQuery:
    """How many containers run on the engine whose socket is `engine`, by what `reader` says.

    A connection is the question, so the reader works on it from the moment this is made. Raises ProbeError if it cannot be asked.
    `seen` says whether the engine's socket is there as far as the agent can see.
    """

    def __init__(
        self, engine: Path, deadline_ns: int, cancel: CancelToken, reader: Path = SOCKET, *, seen: bool = True
    ) -> None:
        self._engine, self._deadline_ns, self._cancel = engine, deadline_ns, cancel
        self._reader, self._seen = reader, seen
        left_s = max(0.0, cancel.seconds_until(deadline_ns))
        self._last_word_ns = deadline_ns - int(min(LAST_WORD_S, left_s / 5) * 1e9)
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.setblocking(False)  # connect(2) then refuses at once where it would wait
            self._connection.connect(str(reader))
        except OSError as error:
            self._connection.close()
            raise self._unanswered(error) from None
        self._wire = DeadlineSocket(self._connection, cancel, deadline_ns, LARGEST_HEAD_BYTES)

    def result(self) -> int:
        """The answer, waited for until the deadline; what has come by then counts whenever it is looked at.

        Raises ProbeError, or NoData if there is no engine.
        """
        try:
            with contextlib.closing(self._wire):
                head = self._head()
        except Cancelled:
            raise ProbeError("broken off: the agent is stopping") from None
        except OSError as error:
            raise self._unanswered(error) from None
        except Unusable:
            head = b""
        return self._count(head)

    def _head(self) -> bytes:
        """What is said before the list of containers, as JSON: how many there are, or why that is not known.

        The list is left unread, so that no answer, however long, takes any memory here.
        """
        if not self._wire.heard_by(self._last_word_ns):
            self._connection.shutdown(socket.SHUT_WR)  # as the helper does: what is there to say is said now
            self._wire.heard_by(self._deadline_ns)
        if self._cancel.seconds_until(self._deadline_ns) <= 0:
            self._wire.allow_no_waiting(LARGEST_HEAD_BYTES)
        said = self._wire.makefile("rb").readline(LARGEST_HEAD_BYTES)
        head, listed, _ = said.partition(b',"containers":')
        return head + b"}" if listed else said

    def _count(self, head: bytes) -> int:
        try:
            said = json.loads(head)
            engine, fault, count = str(said["engine"]), said.get("fault"), said.get("count")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise ProbeError(f"{self._reader}: no answer (see journalctl -u heartbeatd-containers)") from None
        if engine != str(self._engine) and Path(engine).resolve() != self._engine.resolve():
            raise ProbeError(f"heartbeatd-containers.service reads {engine}, not {self._engine}: see heartbeatd(8)")
        if said.get("missing") is True and not self._seen:
            raise NoData(f"there is no {self._engine}: Docker is not installed or not running")
        if fault is not None:
            raise ProbeError(f"{self._engine}: {str(fault)[:200]}")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ProbeError(f"{self._reader}: no answer (see journalctl -u heartbeatd-containers)")
        return count

    def _unanswered(self, error: OSError) -> ProbeError:
        if isinstance(error, FileNotFoundError):
            return ProbeError(
                f"{self._engine}: no rights on it, and heartbeatd-containers.socket is not there to be asked"
            )
        return ProbeError(
            f"{self._reader}: {'no answer in time' if isinstance(error, TimeoutError | BlockingIOError) else error.strerror}"
        )
