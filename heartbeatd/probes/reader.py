"""Asking heartbeatd-containers.service, which has the rights on the Docker socket that the agent has not."""

import json
from pathlib import Path

from heartbeatd.docker_reader import exchange
from heartbeatd.probes.base import Fault

SOCKET = Path("/run/heartbeatd-containers.sock")
LARGEST_ANSWER_BYTES = 4 << 20


def count(engine: Path, timeout_s: float, reader: Path = SOCKET) -> int:
    """How many containers run on the engine whose socket is `engine`, by what `reader` says. Raises Fault."""
    try:
        said = json.loads(exchange(str(reader), b"", timeout_s, LARGEST_ANSWER_BYTES))
        if Path(said["engine"]).resolve() != engine.resolve():
            raise Fault(f"heartbeatd-containers.service reads {said['engine']}, not {engine}: see heartbeatd(8)")
        if "fault" in said:
            raise Fault(f"{engine}: {said['fault']}")
        return len(said["containers"])
    except TimeoutError:
        raise Fault(f"{reader}: no answer in time") from None
    except OSError as error:
        raise Fault(f"{reader}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Fault(f"{reader}: no answer (see journalctl -u heartbeatd-containers)") from None
