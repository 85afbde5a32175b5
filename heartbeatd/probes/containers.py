"""How many containers run, from the Docker engine: one list request a cycle on a kept connection.

Not `containers.list()` of the SDK, which inspects every container one by one. The API version is negotiated, because an
engine may refuse an old one (29 takes nothing below 1.44, and the SDK of Debian 12 would ask for 1.41).
"""

import contextlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from heartbeatd.probes.base import Absent, Fault
from heartbeatd.waiting import Call, Lane, Waiter

if TYPE_CHECKING:
    import docker


class Containers:
    """Counts on a lane. The SDK is imported there too: it is slow to load, and the first cycle need not wait for it."""

    def __init__(self, lane: Lane, socket: str, timeout_s: float) -> None:
        self._lane, self._socket, self._timeout_s = lane, socket, timeout_s
        self._path = socket.removeprefix("unix://")
        self._api: docker.APIClient | None = None

    def start(self, deadline_ns: int, waiter: Waiter) -> Call[int]:
        """Begin to count. Raises Hung while the count before it has not come back."""
        return self._lane.start(self._count, deadline_ns, waiter)

    def warm_up(self, deadline_ns: int, waiter: Waiter) -> None:
        """Load the SDK before the first cycle is due, if there is an engine to ask."""
        if self._socket and Path(self._path).exists():
            waiter.wait(self._lane.start(_load_sdk, deadline_ns, waiter).settled, deadline_ns)

    def close(self) -> None:
        """Let go of the connection."""
        api, self._api = self._api, None
        if api is not None:
            api.close()

    def _count(self) -> int:
        if not self._socket:
            raise Absent("switched off")
        self._look_at(Path(self._path))
        import docker.errors
        import requests

        try:
            if self._api is None:
                self._api = self._negotiated()
            return len(self._api.containers(quiet=True))
        except (
            docker.errors.DockerException,
            requests.RequestException,
            OSError,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            reason = _reason(error)
        # Raised out here, so that it does not keep alive what failed: some sockets the SDK closes only by being forgotten.
        self.close()
        raise Fault(f"{self._path}: {reason}")

    def _negotiated(self) -> "docker.APIClient":
        """A client that speaks the engine's own API version, as `version="auto"` gives.

        That would ask from within the constructor: its connection stays open beside the one that counts, and, if the engine
        does not answer, belongs to nobody who could close it.
        """
        import docker.constants

        with contextlib.closing(self._client(docker.constants.MINIMUM_DOCKER_API_VERSION)) as asking:
            version = asking.version(api_version=False)["ApiVersion"]
        return self._client(version)

    def _client(self, version: str) -> "docker.APIClient":
        import docker

        return docker.APIClient(base_url=self._socket, version=version, timeout=self._timeout_s)

    def _look_at(self, path: Path) -> None:
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise Absent(f"there is no {path}: Docker is not installed or not running") from None
        except OSError as error:
            raise Fault(f"{path}: {error.strerror}") from None
        if not stat.S_ISSOCK(mode):
            raise Fault(f"{path} is not a socket")


def _load_sdk() -> None:
    import docker  # noqa: F401 - the point is that it is loaded


def _reason(error: BaseException) -> str:
    """The system's own words for it, from whichever wrapper they are in."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, PermissionError):
            return "permission denied (is the user in the group of the socket?)"
        if isinstance(link, ConnectionRefusedError):
            return "connection refused (is the Docker engine running?)"
        if isinstance(link, TimeoutError):
            return "no answer in time"
        inner = next((a for a in link.args if isinstance(a, BaseException)), None)
        link = inner or link.__cause__ or link.__context__
    return " ".join(str(error).split())[:200] or type(error).__name__
