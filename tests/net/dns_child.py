"""Run by test_dns in a network and mount namespace of its own: name servers that are silent, late, wrong and right.

resolv.conf(5) is the test's, one line `nameserver` for each; each case is a function here, and prints what it saw as JSON.
"""

import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from heartbeatd.cancel import CancelToken
from heartbeatd.net import nameservers
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.resolve import Resolver
from heartbeatd.net.target import Target
from tests.faults.stage import Resolver as NameServer
from tests.support import scripted
from tests.support.scripted import Scripted, answers, then

SHORT_S = 0.6  # less than the second that glibc waits for a server here
Seen = dict[str, object]


def look_up(resolver: Resolver, name: str = "worker.example", timeout_s: float = SHORT_S) -> Seen:
    """What came of it, and how long it took."""
    began_s = time.monotonic()
    try:
        cancel = CancelToken()
        found = resolver.lookup(name, 443, cancel.deadline(timeout_s), cancel)
    except RequestError as error:
        return {"cause": error.cause, "detail": error.detail, "took_s": time.monotonic() - began_s}
    return {"cause": None, "addresses": [a.sockaddr[0] for a in found], "took_s": time.monotonic() - began_s}


def beat(resolver: Resolver, url: str, timeout_s: float = SHORT_S) -> Seen:
    """What came of one request on a new connection."""
    client = Client(resolver, "test")
    began_s = time.monotonic()
    try:
        answer = client.send(Request("POST", Target.of(url), {}, b"{}"), timeout_s, CancelToken())
    except RequestError as error:
        return {"cause": error.cause, "detail": error.detail, "took_s": time.monotonic() - began_s}
    finally:
        client.close()
    return {"status": answer.status, "took_s": time.monotonic() - began_s}


def look_ups() -> list[str]:
    """The threads that look names up."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lookup")]


def hung() -> Seen:
    """The one server is silent, and then says that there is no such name."""
    server = NameServer("127.0.0.1", a="", silent=True)
    resolver = Resolver()
    seen: Seen = {"hung": look_up(resolver, timeout_s=0.3)}
    for _ in range(20):
        look_up(resolver, timeout_s=0.01)
    seen["threads"] = look_ups()
    seen["beat"] = beat(resolver, "http://worker.example/", 0.3)
    seen["again"] = beat(resolver, "http://worker.example/", 0.3)
    server.silent = False
    seen["unknown"] = look_up(Resolver(), "other.example", 60)
    return seen


def dead_first() -> Seen:
    """The first of two servers is silent: every answer comes after the second that glibc waits for it."""
    first = NameServer("127.0.0.2", silent=True)
    second = NameServer("127.0.0.3", a="127.0.0.1")
    resolver = Resolver()
    with Scripted(answers(times=1)) as server:
        url = server.url.replace("127.0.0.1", "worker.example")
        seen: Seen = {"first": beat(resolver, url)}
        for name in ("second", "third"):
            settle()
            seen[name] = beat(resolver, url)
    # Whoever asks gets the late answer soon; and what is asked then brings the next, with the address as it is now.
    settle()
    second.a = "127.0.0.9"
    seen["before it changed"] = look_up(resolver)
    settle()
    seen["after it changed"] = look_up(resolver)
    settle()
    # It is over: an answer in time, and no use of a late one any more.
    first.silent, first.a, second.silent = False, "127.0.0.4", True
    seen["healed"] = look_up(resolver)
    first.silent = True
    seen["silent again"] = look_up(resolver)
    return seen


def moved() -> Seen:
    """The name gets another address while a connection to the old one is kept: the old one answers on, then no more."""
    server = NameServer("127.0.0.1", a="127.0.0.1")
    client, statuses = Client(Resolver(), "test"), []
    with (
        Scripted(then(answers(times=3), scripted.silent)) as old,
        Scripted(answers(), at=("127.0.0.7", old.port)) as new,
    ):
        request = Request("POST", Target.of(f"http://moving.example:{old.port}/"), {}, b"{}", repeatable=True)
        for number in range(5):
            statuses.append(client.send(request, 2, CancelToken()).status)
            if number == 0:
                server.a = "127.0.0.7"
        client.close()
        return {"statuses": statuses, "old": len(old.connections), "new": len(new.connections)}


def filtered() -> Seen:
    """A filter answers 0.0.0.0; something listens on this host at that very port."""
    server = NameServer("127.0.0.1", a="0.0.0.0")
    with Scripted(answers()) as here:
        seen: Seen = {"beat": beat(Resolver(), here.url.replace("127.0.0.1", "blocked.example"))}
        seen["connections"] = len(here.connections)
    server.a = "127.0.0.5"
    seen["loopback"] = look_up(Resolver())
    seen["nobody"] = beat(Resolver(), "http://filtered.example:9/")
    seen["hosts"] = look_up(Resolver(), "filtered-by-hosts.example")
    return seen


def silent() -> Seen:
    """Which of three is silent: one answers, one never does, and nobody listens at the third."""
    NameServer("127.0.0.2", silent=True)
    NameServer("127.0.0.3", a="")
    began_s = time.monotonic()
    found = nameservers.silent("worker.example", 1.5, CancelToken())
    took_s = time.monotonic() - began_s
    lossy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lossy.bind(("127.0.0.5", 53))

    def answer_the_second_time() -> None:
        lossy.recvfrom(512)
        query, who = lossy.recvfrom(512)
        lossy.sendto(query[:2] + b"\x81\x83" + query[4:], who)

    threading.Thread(target=answer_the_second_time, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "resolv.conf"
        conf.write_text("nameserver 127.0.0.5\nnameserver 127.0.0.3\n")
        began_s = time.monotonic()
        again = nameservers.silent("worker.example", 60, CancelToken(), conf)
    return {"silent": found, "took_s": took_s, "lossy": again, "lossy_s": time.monotonic() - began_s}


def settle() -> None:
    """Let the look-up under way come to its end."""
    until_s = time.monotonic() + 60
    while look_ups() and time.monotonic() < until_s:
        time.sleep(0.01)


CASES: dict[str, Callable[[], Seen]] = {
    "hung": hung,
    "dead first": dead_first,
    "moved": moved,
    "filtered": filtered,
    "silent": silent,
}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]]()))
