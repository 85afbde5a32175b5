"""Asking heartbeatd-containers.service, which has the rights on the Docker socket that the agent has not."""

import json
import socket
import time
from pathlib import Path

from heartbeatd.probes.base import Fault

SOCKET = Path("/run/heartbeatd-containers.sock")
LARGEST_ANSWER_BYTES = 4 << 20


def count(engine: Path, timeout_s: float, reader: Path = SOCKET) -> int:
    """How many containers run on the engine whose socket is `engine`, by what `reader` says. Raises Fault."""
    try:
        said = json.loads(_answer(reader, timeout_s))
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


def _answer(reader: Path, timeout_s: float) -> bytes:
    """All that the reader says before it hangs up. Raises OSError; ValueError if it does not come to an end."""
    deadline_s = time.monotonic() + timeout_s
    data = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(reader))
        while chunk := connection.recv(1 << 16):
            data += chunk
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if len(data) > LARGEST_ANSWER_BYTES:
                raise ValueError
            connection.settimeout(left_s)
    return bytes(data)
