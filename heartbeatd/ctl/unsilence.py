"""`heartbeatctl unsilence`: what was silenced is told again."""

import argparse
from pathlib import Path

from heartbeatd.core.plain import plain
from heartbeatd.core.timefmt import plural
from heartbeatd.ctl import privileges, silencing
from heartbeatd.errors import ExitCode

EVERY = "all"


def add(parser: argparse.ArgumentParser) -> None:
    what = f"the pattern as it was given to `silence`; or {EVERY}, which ends every silence"
    parser.add_argument("pattern", nargs="+", metavar=f"PATTERN|{EVERY}", help=what)


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, 1 the database cannot be used, or there is no such silence, 77 not allowed, 78 refused file."""
    config, patterns = privileges.configuration(arguments.config), frozenset(arguments.pattern)
    ended = silencing.end(
        arguments.config,
        Path(config.storage.path),
        lambda silence: EVERY in patterns or silence.pattern in patterns,
    )
    missed = patterns - {silence.pattern for silence in ended} - ({EVERY} if ended else frozenset())
    if ended:
        print(f"{plural(len(ended), 'silence')} ended: what is still true is told within a cycle")
    for pattern in sorted(missed):
        print(plain(f"no such silence: {pattern} (`heartbeatctl silences` shows those there are)"))
    return ExitCode.FAILED if missed else ExitCode.OK
