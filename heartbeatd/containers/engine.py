"""How many containers run, and their names, states and health: one request to the engine, and no library.

This is the one way to count, for the helper and for an agent that has rights on the engine's socket itself. HTTP/1.0 is asked
for, so that the answer ends with the connection; without a version in the path, the engine speaks the one it likes best.
"""

import codecs
import json
import os
import pwd
import re
import select
import socket
import time
from collections.abc import Iterator

LONGEST_S = 60.0  # for the engine's whole answer: the highest docker.timeout_seconds there can be
TAKEN_S = 1.5  # for whoever asked to take the answer
LARGEST_ANSWER_BYTES = 8 << 20  # some 4,000 containers
MOST_CONTAINERS = 10_000
LARGEST_ITEM_BYTES = 256 << 10
CHUNK_BYTES = 64 << 10
LARGEST_NAME = 255
REQUEST = b"GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n"
HOMES = ("/home/", "/root/", "/run/user/")  # what ProtectHome= hides


class EngineError(Exception):
    """The engine could not be asked, or did not answer; the text says why."""


class NotThere(EngineError):
    """There is no engine's socket."""


def tell(asker: socket.socket, engine: str) -> None:
    """Say to `asker`, in a line of JSON, what runs. Raises OSError if it has gone."""
    line = json.dumps(answer(engine, asker), separators=(",", ":")).encode() + b"\n"
    asker.settimeout(TAKEN_S)
    asker.sendall(line)


def answer(engine: str, asker: socket.socket | None = None) -> dict[str, object]:
    """What is said: `{"engine": PATH, "count": 1, "containers": [{"name", "state", "health"}]}`.

    Or `{"engine": PATH, "fault": "why not", "missing": true if there is no engine}`.
    """
    try:
        found = containers(ask(engine, asker))
    except EngineError as error:
        return {"engine": engine, "fault": str(error), "missing": isinstance(error, NotThere)}
    return {"engine": engine, "count": len(found), "containers": found}


def ask(engine: str, asker: socket.socket | None = None) -> bytes:
    """The body of the engine's answer, while `asker` waits for it. Raises EngineError."""
    try:
        data = exchange(engine, REQUEST, LARGEST_ANSWER_BYTES, asker)
    except FileNotFoundError as error:
        raise NotThere(error.strerror) from None
    except PermissionError:
        raise EngineError(_denied(engine)) from None
    except ConnectionRefusedError:
        raise EngineError("connection refused (is the Docker engine running?)") from None
    except BlockingIOError:
        raise EngineError("it takes no more connections (does the Docker engine hang?)") from None
    except TimeoutError:
        raise EngineError("no answer in time") from None
    except OSError as error:
        raise EngineError(error.strerror or "no answer") from None
    except ValueError:
        raise EngineError("the engine's answer is larger than 8 MiB") from None
    head, _, body = data.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0][:100].split()
    if len(status) < 2 or not status[0].startswith(b"HTTP/"):
        raise EngineError("the answer is not HTTP")
    if status[1] != b"200":
        raise EngineError(f"the engine answers HTTP {_text(status[1].decode('ascii', 'replace'), 3)}")
    return body


def exchange(path: str, request: bytes, largest: int, asker: socket.socket | None = None) -> bytes:
    """All that is said on the socket at `path`, after `request`, until the other side hangs up.

    Raises OSError; TimeoutError among it, once `asker` has hung up, and after `LONGEST_S` at the latest. ValueError for more than
    `largest` bytes.
    """
    until_s = time.monotonic() + LONGEST_S
    data = bytearray()
    ready = select.poll()
    if asker is not None:
        ready.register(asker, select.POLLRDHUP)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        connection.connect(path)
        connection.sendall(request)
        ready.register(connection, select.POLLIN)
        while True:
            events = ready.poll(max(0.0, until_s - time.monotonic()) * 1000)
            if not events or any(number != connection.fileno() for number, _ in events):
                raise TimeoutError
            chunk = connection.recv(CHUNK_BYTES)
            if not chunk:
                return bytes(data)
            data += chunk
            if len(data) > largest:
                raise ValueError


def containers(body: bytes) -> list[dict[str, str | bool | None]]:
    """Name, state and health of each container in the engine's list, and nothing else of it. Raises EngineError.

    `{"Names": ["/web"], "State": "running", "Status": "Up 5 minutes (healthy)"}` →
    `{"name": "web", "state": "running", "health": "healthy"}`, with `"recent": true` in the first minute after its start. A
    container without a name goes by the beginning of its id.
    """
    found: list[dict[str, str | bool | None]] = []
    try:
        for one in items(body):
            if not isinstance(one, dict) or not ("Id" in one or "State" in one):
                raise TypeError
            if len(found) == MOST_CONTAINERS:
                raise EngineError(f"the answer lists more than {MOST_CONTAINERS} containers")
            names = one.get("Names")
            first = names[0] if isinstance(names, list) and names else ""
            name = _text(first, 1 + LARGEST_NAME).lstrip("/")[:LARGEST_NAME] or _text(one.get("Id"), 12)
            told: dict[str, str | bool | None] = {
                "name": name,
                "state": _text(one.get("State"), 32),
                "health": health(one),
            }
            found.append(told | {"recent": True} if _RECENT.match(_text(one.get("Status"), 200)) else told)
    except (ValueError, TypeError, RecursionError):
        raise EngineError("the answer is not a list of containers") from None
    return found


def items(body: bytes) -> Iterator[object]:
    """What is in a list in JSON, one after the other. Raises ValueError for anything else.

    Decoded as a whole, a list of a hostile shape takes thirty times the memory of its text; so no more of it is decoded at once
    than `LARGEST_ITEM_BYTES`, and a bit.
    """
    decode, scan = codecs.getincrementaldecoder("utf-8")().decode, json.JSONDecoder().raw_decode
    chunks = (body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES))
    text, at, mark = "", 0, "["  # what is decoded, how far it is done with, and what comes before the next item
    while True:
        try:
            at = _past_blanks(text, at)
            start = _past_blanks(text, at + 1)
            if (text[at], mark) == ("]", ",") or (text[at] == mark == "[" and text[start] == "]"):
                return
            if text[at] != mark:
                raise ValueError
            item, end = scan(text, start)
        except (ValueError, IndexError):  # it goes on in the next chunk, if it goes on at all
            chunk = next(chunks, b"")
            if not chunk or len(text) - at > LARGEST_ITEM_BYTES:
                raise ValueError from None
            text, at = text[at:] + decode(chunk), 0
        else:
            yield item
            at, mark = end, ","


def _past_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


_BLANKS = re.compile(r"[ \t\n\r]*")
_RECENT = re.compile(r"Up (Less than a second|\d+ seconds?)\b")


def _text(value: object, longest: int) -> str:
    """`value` if it is a text, in ASCII and cut to size: names, states and ids of an engine are."""
    return value[:longest].encode("ascii", "replace").decode() if isinstance(value, str) else ""


def _denied(engine: str) -> str:
    """Why `engine` may not be connected to: a link may lead to what the sandbox hides, whatever rights the user has."""
    real = os.path.realpath(engine)
    if real != engine and real.startswith(HOMES) and not os.access(real, os.F_OK):
        return f"it is a link to {real}, which the user {_user()} cannot see"
    return f"permission denied: the user {_user()} has no rights on it"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def health(found: dict[str, object]) -> str | None:
    """The health check's finding, `healthy`, `unhealthy` or `starting`; None for a container without one."""
    _, parenthesis, text = _text(found.get("Status"), 200).rpartition(" (")
    text = text.removesuffix(")").removeprefix("health: ")
    return text if parenthesis and text in ("healthy", "unhealthy", "starting") else None
