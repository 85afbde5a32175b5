"""Whether the containers helper lists what the Docker SDK lists: the one way to count, held against the library everybody uses.

Both are asked in children of root's: the helper as the user it answers, the engine as the owner of its socket.
"""

import contextlib
import json
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from heartbeatd.cancel import TimedOut
from heartbeatd.containers import client
from heartbeatd.containers.engine import LARGEST_ANSWER_BYTES, LARGEST_NAME, MOST_CONTAINERS
from heartbeatd.core.timefmt import plural
from heartbeatd.ctl import privileges
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.child_process import run_in_child
from heartbeatd.errors import StoreError

LOADING_S = 10.0  # a Raspberry Pi needs two or three seconds to load the SDK
LARGEST_MEMORY_BYTES = 1 << 30  # of the child that loads it, whatever the engine says
TRIES = 3  # a container may start or end between the two answers
SHOWN = 5  # names in a finding
ONLY_ROOT = "only root may ask the engine"
NO_SDK = "python3-docker is not installed"
SILENT = "it does not come back"


class _NotListed(Exception):
    """The SDK could not be asked; the text says why."""


def check(situation: Situation, helper: Path = client.SOCKET) -> Iterator[Finding]:
    """Nothing where the helper lists nothing: why not is a finding of `containers`."""
    settings = situation.config.docker
    engine = Path(settings.socket.removeprefix("unix://"))
    if not settings.socket:
        return
    if os.geteuid() != 0:
        if not privileges.BEGAN_AS_ROOT:
            yield not_compared(ONLY_ROOT)
        return
    if not privileges.is_of_service(situation.path):
        return
    timeout_s = settings.timeout_seconds
    for left in reversed(range(TRIES)):
        told = _in_child(lambda: _told(helper, engine, timeout_s), timeout_s)
        if told is None:
            return
        try:
            listed = _in_child(lambda: _listed(engine, timeout_s), timeout_s + LOADING_S)
        except _NotListed as failed:
            yield not_compared(str(failed))
            return
        if listed is None:
            yield not_compared(SILENT)
            return
        if told == listed or not left:
            yield compared(engine, told, listed)
            return


def not_roots(engine: Path) -> str:
    return f"others than root could put another socket at {engine}"


def not_compared(why: str) -> Finding:
    return ok("docker", f"not compared with what the Docker SDK lists: {why}")


def compared(engine: Path, told: frozenset[str], listed: frozenset[str]) -> Finding:
    """`told` by the helper, `listed` by the SDK."""
    if told == listed:
        return ok("docker", f"the Docker SDK lists the same as the helper: {plural(len(told), 'running container')}")
    only = "; ".join(
        f"only the {name}: {_names(found)}"
        for name, found in (("helper", told - listed), ("SDK", listed - told))
        if found
    )
    return warning(
        "docker",
        f"the helper and the Docker SDK list other containers at {engine}: {only}",
        f"`docker --host unix://{engine} ps` shows which is right; `journalctl -u heartbeatd-containers` says more",
    )


def _names(found: frozenset[str]) -> str:
    shown = ", ".join(sorted(found)[:SHOWN])
    return f"{shown} and {len(found) - SHOWN} more" if len(found) > SHOWN else shown


def _in_child(work: Callable[[], frozenset[str] | None], limit_s: float) -> frozenset[str] | None:
    """What `work` returns; None if it does not come back."""
    try:
        return run_in_child("docker", work, limit_s + 1)
    except TimedOut:
        return None


def _told(helper: Path, engine: Path, timeout_s: float) -> frozenset[str] | None:
    """The names that the helper says; None if it says none of this engine."""
    privileges.become_user()
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(helper))
        said = json.loads(connection.makefile("rb").readline(2 * LARGEST_ANSWER_BYTES))
        if Path(said["engine"]).resolve() == engine.resolve():
            return frozenset(one["name"] for one in said["containers"])
    return None


def _listed(engine: Path, timeout_s: float) -> frozenset[str]:
    """The names that the SDK lists. Raises _NotListed."""
    try:
        privileges.become_owner(engine)
    except StoreError:
        raise _NotListed(not_roots(engine)) from None
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY_BYTES, LARGEST_MEMORY_BYTES))
    try:
        import docker
    except ImportError:
        raise _NotListed(NO_SDK) from None
    try:
        with contextlib.closing(
            docker.APIClient(base_url=f"unix://{engine}", version="auto", timeout=timeout_s)
        ) as sdk:
            return frozenset(_name(one) for one in sdk.containers()[: MOST_CONTAINERS + 1])
    except Exception as error:  # noqa: BLE001 - what the SDK raises, and whether pickle takes it, is the SDK's affair
        raise _NotListed(" ".join(str(error).split())[:200] or type(error).__name__) from None


def _name(container: dict[str, object]) -> str:
    """As the helper says it: the first of its names, else the beginning of its id."""
    names = container.get("Names")
    first = str(names[0]).lstrip("/")[:LARGEST_NAME] if isinstance(names, list) and names else ""
    return first or str(container.get("Id"))[:12]
