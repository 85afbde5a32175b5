"""`heartbeatctl alerts`: what is on its way to which channel, what arrived last, and what to do about it."""

import argparse
import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from heartbeatd.clock import SystemClock
from heartbeatd.config.model import Config
from heartbeatd.core.delivery import NO_WEBHOOK, Delivery, set_aside
from heartbeatd.core.plain import plain
from heartbeatd.core.timefmt import Zone, clock, plural, to_lima
from heartbeatd.ctl import database, privileges
from heartbeatd.errors import ExitCode, Problem, UsageError
from heartbeatd.store.database import Database
from heartbeatd.store.read_errors import reported
from heartbeatd.store.results import StoredDelivery

MOST = 20
SHORTEST_ID = 4
DROPPED = "dropped by hand"
ACTIONS = ("list", "retry", "drop")


def add(parser: argparse.ArgumentParser) -> None:
    what = "list (the default); retry: try again now; drop: send no more"
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", metavar="list|retry|drop", help=what)
    which = "the alert, or the end of its id; without one, retry takes all that wait"
    parser.add_argument("id", nargs="*", help=which)
    parser.add_argument("--channel", metavar="NAME", help="only those to this channel")
    many = "so many that wait, and as many that ended (default: %(default)s)"
    parser.add_argument("--most", type=_most, default=MOST, metavar="N", help=many)
    parser.add_argument("--json", action="store_true", help="print a JSON array, an object for each delivery")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, 1 the database cannot be used, or no such alert waits, 2 no id, 77 not allowed, 78 refused file."""
    config = privileges.configuration(arguments.config)
    if arguments.action == "list":
        return _list(arguments, config)
    if arguments.action == "drop" and not arguments.id:
        raise UsageError(Problem("drop", "which alert?", "`heartbeatctl alerts` shows the ids"))
    if any(len(wanted) < SHORTEST_ID for wanted in arguments.id):
        raise UsageError(
            Problem("id", f"is shorter than {SHORTEST_ID} characters", "`heartbeatctl alerts` shows the ids")
        )
    return _change(arguments, Path(config.storage.path))


def _list(arguments: argparse.Namespace, config: Config) -> int:
    found = database.read(arguments.config, Path(config.storage.path), lambda reader: reader.deliveries(arguments.most))
    found = tuple(one for one in found if arguments.channel in (None, one.channel) and not _is_elsewhere(one, found))
    if arguments.json:
        print(json.dumps([_facts(one) for one in found], indent=2))
        return ExitCode.OK
    for line in _lines(found, config.agent.timezone):
        print(plain(line))
    if not found:
        print("no alert waits, and none has been sent lately")
    return ExitCode.OK


def _is_elsewhere(one: StoredDelivery, found: Iterable[StoredDelivery]) -> bool:
    """True for the way to a webhook that there is not, of an alert that goes to another channel."""
    others = (other for other in found if other.event_id == one.event_id and other.channel != one.channel)
    return one.last_error == NO_WEBHOOK and any(others)


def _change(arguments: argparse.Namespace, path: Path) -> int:
    """The agent takes up what was changed with its next cycle."""
    database.require_safe_to_write(arguments.config, path)
    now_ns = SystemClock().now_ns()
    change, done = {
        "retry": (partial(replace, next_try_ns=0), "will be tried again within a cycle"),
        "drop": (partial(set_aside, now_ns=now_ns, reason=DROPPED), "will not be sent"),
    }[arguments.action]
    with reported(path), contextlib.closing(Database.open(path, now_ns)) as opened:
        chosen = [one for one in opened.undelivered() if _is_meant(one, arguments.id, arguments.channel)]
        opened.record((), (), [change(one) for one in chosen], flush=True)
    if not chosen:
        print("no such alert waits: `heartbeatctl alerts` shows those that do")
        return ExitCode.FAILED
    print(f"{plural(len(chosen), 'alert')} {done}")
    return ExitCode.OK


def _is_meant(delivery: Delivery, ids: Iterable[str], channel: str | None) -> bool:
    meant = not ids or any(delivery.event_id.endswith(wanted) for wanted in ids)
    return meant and channel in (None, delivery.channel)


def _facts(one: StoredDelivery) -> dict[str, object]:
    """For programs: moments as in the table `metrics`."""
    facts: dict[str, object] = {}
    for name, value in asdict(one).items():
        if name.endswith("_ns"):
            facts[name.removesuffix("_ns")] = to_lima(value) if value else None
        else:
            facts[name] = value
    return facts


def _lines(found: Iterable[StoredDelivery], zone: Zone) -> Iterator[str]:
    for one in found:
        at = clock(one.queued_ns, zone) if one.queued_ns is not None else "?"
        yield f"{at}  {(one.event_id or '?')[-12:]}  to {one.channel or '?'}: {one.title or 'unreadable'}"
        yield f"    {_fate(one, zone)}"


def _fate(one: StoredDelivery, zone: Zone) -> str:
    tries = plural(one.attempts, "attempt") if one.attempts is not None else "? attempts"
    if one.delivered_ns is not None:
        return f"delivered {clock(one.delivered_ns, zone)}, {tries}"
    if one.set_aside_ns is not None:
        return f"set aside {clock(one.set_aside_ns, zone)} after {tries}, not sent again: {one.last_error or 'unknown'}"
    if not one.attempts:
        return "waits for its first try"
    return f"waits, {tries}; the next {_next(one, zone)}; the last: {one.last_error or 'unknown'}"


def _next(one: StoredDelivery, zone: Zone) -> str:
    return f"at {clock(one.next_try_ns, zone)}" if one.next_try_ns else "at once"


def _most(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("a number from 1 to 10000 is expected")
    return int(text)
