"""Asking heartbeatd-containers.service, which has the rights on the Docker socket that the agent has not."""

import contextlib
import json
import socket
from pathlib import Path

from heartbeatd.net.wire import Wire
from heartbeatd.probes.base import Fault
from heartbeatd.waiting import Waiter, seconds_until

SOCKET = Path("/run/heartbeatd-containers.sock")
LARGEST_ANSWER_BYTES = 4 << 20


class Question:
    """How many containers run on the engine whose socket is `engine`, by what `reader` says.

    A connection is the question, so the reader works on it from the moment this is made. Raises Fault if it cannot be asked.
    """

    def __init__(self, engine: Path, deadline_ns: int, waiter: Waiter, reader: Path = SOCKET) -> None:
        self._engine, self._waiter, self._reader = engine, waiter, reader
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(max(0.001, seconds_until(deadline_ns)))
            connection.connect(str(reader))
        except OSError as error:
            connection.close()
            raise self._unanswered(error) from None
        self._wire = Wire(connection, deadline_ns, LARGEST_ANSWER_BYTES)

    def outcome(self) -> int:
        """The answer, waited for until the deadline. Raises Fault."""
        try:
            with contextlib.closing(self._wire), self._waiter.ending(self._wire.cut):
                said = json.loads(self._wire.makefile("rb").readline(LARGEST_ANSWER_BYTES))
            engine: str = said["engine"]
            if engine != str(self._engine) and Path(engine).resolve() != self._engine.resolve():
                raise Fault(f"heartbeatd-containers.service reads {engine}, not {self._engine}: see heartbeatd(8)")
            if "fault" in said:
                raise Fault(f"{self._engine}: {said['fault']}")
            return len(said["containers"])
        except OSError as error:
            raise self._unanswered(error) from None
        except (ValueError, LookupError, TypeError, RecursionError):
            raise Fault(f"{self._reader}: no answer (see journalctl -u heartbeatd-containers)") from None

    def _unanswered(self, error: OSError) -> Fault:
        if isinstance(error, FileNotFoundError):
            return Fault(f"{self._engine}: no rights on it, and heartbeatd-containers.socket is not there to be asked")
        return Fault(f"{self._reader}: {'no answer in time' if isinstance(error, TimeoutError) else error.strerror}")
