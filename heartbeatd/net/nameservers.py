"""Which name servers of resolv.conf(5) are silent: asked one by one, as glibc asks them, but all at the same time.

glibc waits 5 s for the first server before it asks the second, so a dead first server shows as slow look-ups, and not as failed
ones, to all but those who have less time than that. Which server it is, only asking each of them can tell.
"""

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from heartbeatd.cancel import CancelToken
from heartbeatd.files import read_regular

RESOLV_CONF = Path("/etc/resolv.conf")
MOST_SERVERS = 3  # MAXNS: glibc takes no notice of more
LARGEST_FILE_BYTES = 64 * 1024
ASKED_AGAIN_S = 1.0  # a lost packet is no dead server
_PORT = 53


def silent(name: str, timeout_s: float, cancel: CancelToken, resolv_conf: Path = RESOLV_CONF) -> tuple[str, ...]:
    """The servers, as `resolv_conf` names them, that did not answer a question about `name` within `timeout_s`.

    Any answer to the question will do, "no such name" and "refused" too. A server that cannot be reached, or whose host says that
    nobody listens there, is silent. Takes `timeout_s` if one is silent, and about a round trip if none is. Raises Cancelled.
    An unreadable `resolv_conf` is taken for an empty one, for which glibc asks 127.0.0.1.

    A local stub resolver (127.0.0.53 is systemd-resolved's) answers for the servers behind it: if it is silent, they may be.
    """
    deadline_ns = cancel.deadline(timeout_s)
    servers, question = listed(resolv_conf), _question(name)
    with contextlib.ExitStack() as stack:
        waiting = {sock: server for server in servers if (sock := _socket(server, stack)) is not None}
        reached = set(waiting.values())
        while waiting and cancel.seconds_until(deadline_ns) > 0:
            for sock in waiting:
                with contextlib.suppress(OSError):  # nobody listens there: said by the answer to an earlier packet
                    sock.send(question)
            _collect(waiting, question, min(deadline_ns, cancel.deadline(ASKED_AGAIN_S)), cancel)
        answered = reached - set(waiting.values())
    return tuple(server for server in servers if server not in answered)


def listed(resolv_conf: Path = RESOLV_CONF) -> tuple[str, ...]:
    """The addresses of the servers that glibc would ask, in its order; 127.0.0.1 if the file names none."""
    try:
        text = read_regular(resolv_conf, LARGEST_FILE_BYTES).decode("ascii", "replace")
    except OSError:
        text = ""
    lines = [line.split() for line in text.splitlines()]
    servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver" and _numeric(words[1])]
    return tuple(dict.fromkeys(servers[:MOST_SERVERS])) or ("127.0.0.1",)


def _numeric(text: str) -> bool:
    try:
        return bool(socket.getaddrinfo(text, _PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return False


def _socket(server: str, stack: contextlib.ExitStack) -> socket.socket | None:
    """A UDP socket that only hears `server`; None if there is no way there."""
    family, kind, _, _, address = socket.getaddrinfo(
        server, _PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    try:
        sock = stack.enter_context(socket.socket(family, kind))
        sock.setblocking(False)
        sock.connect(address)
    except OSError:
        return None
    return sock


def _collect(waiting: dict[socket.socket, str], question: bytes, until_ns: int, cancel: CancelToken) -> None:
    """Take out of `waiting` who answers `question`."""
    while waiting and cancel.seconds_until(until_ns) > 0:
        ready = cancel.select([sock.fileno() for sock in waiting], (), until_ns)
        for sock in [sock for sock in waiting if sock.fileno() in ready]:
            with contextlib.suppress(OSError):
                said = sock.recv(512)
                if (
                    said[:2] == question[:2] and said[2:3] >= b"\x80"
                ):  # the same id, and the bit that says it is an answer
                    del waiting[sock]


def _question(name: str) -> bytes:
    """A question for the IPv4 addresses of `name` (RFC 1035, section 4.1), or of the root if it is no name. Its id is its own."""
    try:
        labels: Sequence[bytes] = name.rstrip(".").encode("idna").split(b".")
    except UnicodeError:
        labels = ()
    encoded = b"".join(bytes((len(label),)) + label for label in labels if label)
    return os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + encoded + b"\0\0\1\0\1"
