"""heartbeatd-containers.service: the one process with rights on the Docker socket, and the one question it answers.

The agent talks to the network, so it must not hold the Docker socket, which is as good as root. This process holds it, has no
network, and reads nothing from whoever connects: a connection is the question, and the answer is one line of JSON with the
names, states and health of the running containers, or the reason why there are none to be had. Only the user it is told
(SO_PEERCRED, unix(7)) gets one. Started by systemd when asked for the first time (sd_listen_fds(3)), gone when nobody has asked
for `IDLE_S`.

It runs as `python3 -IS docker_reader.py ENGINE USER`, and stays in memory between two cycles: so no import but what is needed,
none of this package, and neither requests nor the Docker SDK. HTTP/1.0 is asked for, so that the answer ends with the
connection; without a version in the path, the engine speaks the one it likes best.
"""

import json
import os
import pwd
import select
import socket
import struct
import sys
import time

IDLE_S = 60.0
DEADLINE_S = 1.5  # for the engine's whole answer: below the agent's own docker.timeout_seconds
LARGEST_ANSWER_BYTES = 8 << 20  # some 4,000 containers
LARGEST_NAME = 255
REQUEST = b"GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n"
FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)


class NotRead(Exception):
    """The engine could not be asked, or did not answer; the text says why."""


def main(arguments: list[str]) -> int:
    """Serve until nobody asks any more. Exit status 0, or 2 if it was not started as the unit does."""
    try:
        engine, user = arguments
        allowed = pwd.getpwnam(user).pw_uid
    except (ValueError, KeyError) as error:
        print(f"usage: docker_reader.py ENGINE-SOCKET USER, by systemd's socket activation ({error})", file=sys.stderr)
        return 2
    if os.environ.get("LISTEN_FDS") != "1" or os.environ.get("LISTEN_PID") != str(os.getpid()):
        print("docker_reader.py: systemd passed no socket: start heartbeatd-containers.socket instead", file=sys.stderr)
        return 2
    with socket.socket(fileno=FIRST_FD) as listening:
        listening.setblocking(False)
        waiting = select.poll()
        waiting.register(listening, select.POLLIN)
        while waiting.poll(int(IDLE_S * 1000)):
            try:
                connection, _ = listening.accept()
                with connection:
                    serve(connection, engine, allowed)
            except OSError:  # whoever asked has gone, and will ask again
                continue
    return 0


def serve(connection: socket.socket, engine: str, allowed: int) -> None:
    """Answer one connection, unless it is somebody else's, or whoever asked has gone. Raises OSError if they go meanwhile."""
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != allowed:
        print(f"user {uid} asked and was sent away", file=sys.stderr)
        return
    gone = select.poll()
    gone.register(connection, select.POLLRDHUP)
    if gone.poll(0):
        return
    answer = json.dumps(look(engine), separators=(",", ":")).encode() + b"\n"
    connection.settimeout(DEADLINE_S)
    connection.sendall(answer)


def look(engine: str) -> dict[str, object]:
    """`{"engine": PATH, "containers": [{"name", "state", "health"}]}`, or `{"engine": PATH, "fault": "why not"}`."""
    try:
        return {"engine": engine, "containers": containers(ask(engine))}
    except NotRead as error:
        return {"engine": engine, "fault": str(error)}


def ask(engine: str) -> bytes:
    """The body of the engine's answer. Raises NotRead."""
    try:
        data = exchange(engine, REQUEST, DEADLINE_S, LARGEST_ANSWER_BYTES)
    except PermissionError:
        raise NotRead("permission denied") from None
    except ConnectionRefusedError:
        raise NotRead("connection refused (is the Docker engine running?)") from None
    except TimeoutError:
        raise NotRead("no answer in time") from None
    except OSError as error:
        raise NotRead(error.strerror or "no answer") from None
    except ValueError:
        raise NotRead("the engine's answer is larger than 8 MiB") from None
    head, _, body = data.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].split()
    if len(status) < 2 or not status[0].startswith(b"HTTP/"):
        raise NotRead("the answer is not HTTP")
    if status[1] != b"200":
        raise NotRead(f"the engine answers HTTP {status[1].decode('ascii', 'replace')[:3]}")
    return body


def exchange(path: str, request: bytes, deadline_s: float, largest: int) -> bytes:
    """All that is said on the socket at `path`, after `request`, until the other side hangs up.

    Raises OSError, TimeoutError among it, for `deadline_s` in all; ValueError for more than `largest` bytes.
    """
    until_s = time.monotonic() + deadline_s
    data = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(deadline_s)
        connection.connect(path)
        connection.sendall(request)
        while chunk := connection.recv(1 << 16):
            data += chunk
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if len(data) > largest:
                raise ValueError
            connection.settimeout(left_s)
    return bytes(data)


def containers(body: bytes) -> list[dict[str, str | None]]:
    """Name, state and health of each container in the engine's list, and nothing else of it. Raises NotRead.

    `{"Names": ["/web"], "State": "running", "Status": "Up 5 minutes (healthy)"}` →
    `{"name": "web", "state": "running", "health": "healthy"}`.
    """
    try:
        return [
            {
                "name": str(one["Names"][0]).lstrip("/")[:LARGEST_NAME],
                "state": str(one["State"])[:32],
                "health": health(one),
            }
            for one in json.loads(body)
        ]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NotRead("the answer is not a list of containers") from None


def health(found: dict[str, object]) -> str | None:
    """The health check's finding, `healthy`, `unhealthy` or `starting`; None for a container without one."""
    _, parenthesis, text = str(found["Status"]).rpartition(" (")
    text = text.removesuffix(")").removeprefix("health: ")
    return text if parenthesis and text in ("healthy", "unhealthy", "starting") else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
