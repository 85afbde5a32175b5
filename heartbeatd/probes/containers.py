"""How many containers run: one cheap question a cycle, to whoever may ask the Docker engine.

Rights on the Docker socket are as good as root, so the agent has none, and asks `heartbeatd-containers.service` (see
`containers`). Whoever gave it the rights all the same, or runs it as root, has it ask the engine itself.
"""

import os
import stat
from pathlib import Path

from heartbeatd.cancel import CancelToken, SerialWorker
from heartbeatd.containers import client
from heartbeatd.probes.base import NoData, Off, PendingReading, ProbeError
from heartbeatd.probes.docker_sdk import Sdk


class Containers:
    """Counts at the engine's `socket` (`unix:///path`, or "" for none): by the reader at `ask`, or on a lane by the SDK."""

    def __init__(self, lane: SerialWorker, socket: str, timeout_s: float, ask: Path = client.SOCKET) -> None:
        self._lane, self._ask = lane, ask
        self._path = Path(socket.removeprefix("unix://")) if socket else None
        self._sdk = Sdk(str(self._path), timeout_s)

    def start(self, deadline_ns: int, waiter: CancelToken) -> PendingReading[int]:
        """Begin to count. Raises Absent, Off or Fault, or Hung while the SDK's count before it has not come back."""
        if self._path is None:
            raise Off("switched off")
        seen = _see(self._path)
        if seen and _is_ours(self._path):
            return self._lane.start(self._sdk.count, deadline_ns, waiter)
        return client.ContainerQuery(self._path, deadline_ns, waiter, self._ask, seen=seen)

    def warm_up(self, deadline_ns: int, waiter: CancelToken) -> None:
        """Load the SDK before the first cycle is due, if it will be used."""
        if self._path is not None and _is_ours(self._path):
            waiter.wait(self._lane.start(self._sdk.load, deadline_ns, waiter).done, deadline_ns)

    def close(self) -> None:
        """Let go of the connection."""
        self._sdk.close()


def _is_ours(path: Path) -> bool:
    """True if we have rights on the engine's socket. Looked at anew each time."""
    return os.access(path, os.R_OK | os.W_OK)


def _see(path: Path) -> bool:
    """True if the engine's socket is there; False if that cannot be seen from here, and the reader has to look.

    Podman's is in a folder that is root's alone, that of a rootless engine in its user's, which the sandbox hides from the agent.
    Raises Absent if there is no engine, Fault if what is there is no socket.
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
