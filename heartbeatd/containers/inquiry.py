"""Asking why containers are not well: without waiting, from one cycle to the next.

What is found bad is asked about at once, and again as it lasts, before it is announced: until then the engine may have found
out more. One question at a time, of `MOST_NAMES` containers at the most.
"""

import json
import os
import signal
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from heartbeatd.containers import child
from heartbeatd.core.container import Reason
from heartbeatd.core.plain import plain

SOCKET = "/run/heartbeatd-reasons.sock"
ASKED_AT_S = (0.0, 40.0, 90.0)  # since it was found bad
DOUBTFUL_S = 90.0  # a container that is just starting is fine, unless that goes on
PATIENCE_S = 20.0  # longer than any child lives
MOST_NAMES = 10
MOST_KNOWN = 100  # containers that are bad at the same time and are asked about
LARGEST_BYTES = 64 << 10  # of an answer
LONGEST_LOG = 1000  # characters, of the last lines


class Asked(Protocol):
    """A question under way, and who is to answer it."""

    connection: socket.socket

    def close(self) -> None:
        """Nobody waits for it any longer."""


class _OfHelper:
    """The helper's child answers, at the socket at `path`. Raises OSError."""

    def __init__(self, path: str) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.setblocking(False)
        try:
            self.connection.connect(path)
        except OSError:
            self.connection.close()
            raise

    def close(self) -> None:
        self.connection.close()


class _OfChild:
    """A child of our own answers, for we have the rights on the engine's socket ourselves. Raises OSError."""

    def __init__(self, engine: str) -> None:
        self.connection, its = socket.socketpair()
        self.connection.setblocking(False)
        with its:
            try:
                self._pid = child.start(its, engine)
            except OSError:
                self.connection.close()
                raise

    def close(self) -> None:
        self.connection.close()
        if not child.has_ended(self._pid):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def by_helper(path: str = SOCKET) -> Callable[[], Asked]:
    return lambda: _OfHelper(path)


def by_child(engine: str) -> Callable[[], Asked]:
    return lambda: _OfChild(engine)


class Inquiry:
    """What is known of containers that are bad. `log_lines`: how many of the last lines of their output are asked for."""

    def __init__(self, log_lines: int) -> None:
        self._log_lines = log_lines
        self._bad_ns: dict[str, int] = {}  # since when
        self._asked_times: dict[str, int] = {}
        self._reasons: dict[str, Reason] = {}
        self._asked: Asked | None = None
        self._asked_ns = 0
        self._heard = b""

    def look(
        self, bad: Collection[str], doubtful: Collection[str], now_ns: int, ask: Callable[[], Asked]
    ) -> Mapping[str, Reason]:
        """What is known by now of those that are `bad`, or may be; and ask about those that it is time for.

        `now_ns` is monotonic.
        """
        if self._asked is None and not bad and not doubtful and not self._bad_ns:
            return {}
        self._hear(now_ns)
        self._forget_others({*bad, *doubtful})
        for name in (*bad, *doubtful):
            if len(self._bad_ns) < MOST_KNOWN:
                self._bad_ns.setdefault(name, now_ns)
        due = [name for name in self._bad_ns if self._is_due(name, now_ns, least_s=0 if name in bad else DOUBTFUL_S)]
        if due and self._asked is None:
            self._ask(due[:MOST_NAMES], now_ns, ask)
        return dict(self._reasons)

    def close(self) -> None:
        """Nobody waits for an answer any longer."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def _is_due(self, name: str, now_ns: int, least_s: float) -> bool:
        times = self._asked_times.get(name, 0)
        return times < len(ASKED_AT_S) and (now_ns - self._bad_ns[name]) / 1e9 >= max(ASKED_AT_S[times], least_s)

    def _ask(self, names: Iterable[str], now_ns: int, ask: Callable[[], Asked]) -> None:
        question = json.dumps({"names": list(names), "log_lines": self._log_lines}).encode() + b"\n"
        for name in names:
            self._asked_times[name] = self._asked_times.get(name, 0) + 1
        try:
            self._asked, self._asked_ns, self._heard = ask(), now_ns, b""
            self._asked.connection.send(question)  # a new socket's buffer takes it whole
        except OSError:  # told without a reason, then
            self.close()

    def _hear(self, now_ns: int) -> None:
        """Take what has come; all of it, once the other side has hung up."""
        if self._asked is None:
            return
        try:
            while chunk := self._asked.connection.recv(LARGEST_BYTES):
                self._heard += chunk
                if len(self._heard) > LARGEST_BYTES:
                    break
        except BlockingIOError:
            if (now_ns - self._asked_ns) / 1e9 < PATIENCE_S:
                return
        except OSError:
            pass
        self.close()
        self._reasons |= reasons_in(self._heard)

    def _forget_others(self, bad: Collection[str]) -> None:
        for name in [name for name in (*self._bad_ns, *self._reasons) if name not in bad]:
            for known in (self._bad_ns, self._asked_times, self._reasons):
                known.pop(name, None)


def reasons_in(said: bytes) -> dict[str, Reason]:
    """Those of an answer, by name; a line that makes no sense is left out, as is one that was cut off."""
    found = {}
    for line in said.split(b"\n")[:-1]:
        try:
            one = json.loads(line)
            found[str(one["name"])] = _reason(one)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return found


def _reason(one: Mapping[str, object]) -> Reason:
    """Raises TypeError for what is no reason."""
    if one.get("missing") is True:
        return Reason(missing=True)
    code, ends, log = one["exit_code"], one["ends"], one["log"]
    if not isinstance(code, int | None) or not isinstance(ends, int) or not isinstance(log, list):
        raise TypeError
    return Reason(
        code,
        one["oom_killed"] is True,
        plain(str(one["error"])),
        ends,
        plain(str(one["health"])),
        _last([plain(str(line)) for line in log]),
    )


def _last(lines: list[str]) -> tuple[str, ...]:
    """The last lines, `LONGEST_LOG` characters of them."""
    kept: list[str] = []
    for line in reversed(lines):
        if sum(map(len, kept)) + len(line) > LONGEST_LOG:
            break
        kept.insert(0, line)
    return tuple(kept)
