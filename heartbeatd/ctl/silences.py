"""`heartbeatctl silences`: of whom nobody is told, until when, and who wanted that."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.core.plain import plain
from heartbeatd.core.silence import Silence, in_force
from heartbeatd.core.timefmt import Zone, clock, to_lima
from heartbeatd.ctl import database, privileges, silencing
from heartbeatd.errors import ExitCode


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON array, an object for each silence")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, also if there are none, 1 the database cannot be used, 77 not allowed, 78 refused file."""
    config = privileges.configuration(arguments.config)
    there = database.read(arguments.config, Path(config.storage.path), lambda reader: reader.silences())
    found = in_force(there, silencing.now())
    if arguments.json:
        print(json.dumps([_facts(one) for one in found], indent=2))
        return ExitCode.OK
    for one in found:
        for line in _lines(one, config.agent.timezone):
            print(plain(line))
    if not found:
        print("nothing is silenced")
    return ExitCode.OK


def _facts(one: Silence) -> dict[str, str]:
    """For programs: moments as in the table `metrics`."""
    moments = {"created": to_lima(one.created_ns), "until": to_lima(one.until_ns)}
    return {"pattern": one.pattern, **moments, "who": one.who, "comment": one.comment}


def _lines(one: Silence, zone: Zone) -> Iterator[str]:
    yield f"{one.pattern} until {clock(one.until_ns, zone)}"
    about = f"by {one.who or '?'} at {clock(one.created_ns, zone)}"
    yield f"    {about}" + (f": {one.comment}" if one.comment else "")
