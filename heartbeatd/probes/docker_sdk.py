"""Asking the engine oneself, with the Docker SDK: for who has rights on its socket, and gave them to the agent.

One list request a cycle on a kept connection, not `containers.list()`, which inspects every container one by one. The API
version is negotiated, because an engine may refuse an old one (29 takes nothing below 1.44, and the SDK of Debian 12 would ask
for 1.41). The SDK is slow to load and takes 15 MiB, so it is not loaded before it is used.
"""

import contextlib
from typing import TYPE_CHECKING

from heartbeatd.probes.base import ProbeError

if TYPE_CHECKING:
    import docker


class Sdk:
    """A client of the engine at `path`."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._api: docker.APIClient | None = None

    def load(self) -> None:
        """Load the SDK."""
        import docker  # noqa: F401 - the point is that it is loaded

    def close(self) -> None:
        """Let go of the connection."""
        api, self._api = self._api, None
        if api is not None:
            api.close()

    def count(self) -> int:
        """How many containers run. Raises Fault."""
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
        raise ProbeError(f"{self._path}: {reason}")

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

        return docker.APIClient(base_url=f"unix://{self._path}", version=version, timeout=self._timeout_s)


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
