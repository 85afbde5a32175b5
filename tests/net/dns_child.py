"""Run by test_dns inside a network and mount namespace of its own, whose only resolver is a UDP socket that never answers."""

import json
import socket
import threading
import time
from collections.abc import Callable

from heartbeatd.net.answer import NoAnswer
from heartbeatd.net.http import Client, Request
from heartbeatd.net.resolve import Resolver
from heartbeatd.net.target import Target
from heartbeatd.waiting import Waiter, seconds_from_now


def main() -> None:
    """Print what happened as one JSON object."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    resolver, waiter = Resolver(), Waiter()
    hung = _why(lambda: resolver.lookup("worker.example", 443, seconds_from_now(0.3), waiter))
    for _ in range(20):
        _why(lambda: resolver.lookup("worker.example", 443, seconds_from_now(0.01), waiter))
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("lookup")]
    client = Client(resolver, "test")
    request = Request("POST", Target.of("http://worker.example/"), {}, b"{}")
    beat = _why(lambda: client.send(request, 0.3, waiter))
    again = _why(lambda: client.send(request, 0.3, waiter))
    # The resolver answers now: with "no such name", at once.
    threading.Thread(target=_answer_no, args=(server,), daemon=True).start()
    unknown = _why(lambda: Resolver().lookup("other.example", 443, seconds_from_now(10), waiter))
    print(json.dumps({"hung": hung, "threads": threads, "beat": beat, "again": again, "unknown": unknown}))


def _why(act: Callable[[], object]) -> dict[str, object]:
    began_s = time.monotonic()
    try:
        act()
    except NoAnswer as error:
        return {"cause": error.cause, "detail": error.detail, "took_s": time.monotonic() - began_s}
    return {"cause": None, "detail": "an answer", "took_s": time.monotonic() - began_s}


def _answer_no(server: socket.socket) -> None:
    while True:
        query, who = server.recvfrom(512)
        # The same question back, as an answer with RCODE 3 (NXDOMAIN), RFC 1035 section 4.1.1.
        server.sendto(query[:2] + b"\x81\x83" + query[4:6] + b"\0\0\0\0\0\0" + query[12:].split(b"\0\0\x29")[0], who)


if __name__ == "__main__":
    main()
