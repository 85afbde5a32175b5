"""Who asks the peers that only answer: as Prometheus scrapes and as a Zabbix server polls, every ten seconds."""

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.bench.unit_usage import INTERVAL_S

TIMEOUT_S = 5


class Pollers:
    """Asks each of `polls` (name → question) on a thread from entering the `with` block to leaving it."""

    def __init__(self, polls: Mapping[str, Callable[[], None]]) -> None:
        self._polls = polls
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.faults: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(INTERVAL_S):
            for name, poll in self._polls.items():
                try:
                    poll()
                except (OSError, http.client.HTTPException) as error:
                    self.faults[name] = f"{type(error).__name__}: {error}"


def scrape(port: int) -> Callable[[], None]:
    """A question for a node exporter: one kept connection, and compressed answers, as Prometheus wants them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def ask() -> None:
        try:
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            if not answer.read() or answer.status != 200:
                raise OSError(f"HTTP {answer.status}")
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    return ask


def zabbix(port: int, keys: tuple[str, ...]) -> Callable[[], None]:
    """A question for a Zabbix agent: each item on a connection of its own (passive checks, "ZBXD" framing)."""

    def ask() -> None:
        for key in keys:
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
                connection.sendall(b"ZBXD\1" + struct.pack("<Q", len(key)) + key.encode())
                with connection.makefile("rb") as said:
                    answer = said.read()[13:]
            if not answer or answer.startswith(b"ZBX_"):
                raise OSError(f"{key}: {answer.decode(errors='replace')}")

    return ask


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody uses, below those the kernel gives out (and 32767, the last that Zabbix takes)."""
    found: list[int] = []
    for port in range(21000, 32000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == number:
            return found
    raise RuntimeError("no port of loopback is free")
