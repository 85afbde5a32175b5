"""`heartbeatctl silence`: nobody is told of some subjects for a time, or while a command runs."""

import argparse
import shlex
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from heartbeatd.config.lengths import Length
from heartbeatd.core.metrics import OF_SUBJECT
from heartbeatd.core.plain import plain
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import ALL, Silence
from heartbeatd.core.text.service import CERTIFICATE, SERVICE
from heartbeatd.core.text.unit import UNIT
from heartbeatd.core.timefmt import clock
from heartbeatd.core.worker import WORKER
from heartbeatd.ctl import privileges, silencing
from heartbeatd.ctl.forwarding import Forwarding
from heartbeatd.ctl.standard_streams import complain
from heartbeatd.errors import ExitCode, NotAllowedError, Problem, StoreError, UsageError
from heartbeatd.newid import new_id
from heartbeatd.rules.container import KIND as CONTAINER

LONGEST = Length(366 * 86_400)
LONGEST_TEXT = 300
KINDS = ("agent", CERTIFICATE, CONTAINER, "host", SERVICE, UNIT, WORKER.kind, *OF_SUBJECT)


def add(parser: argparse.ArgumentParser) -> None:
    what = 'the subjects that nobody is told of, as a shell\'s pattern: "disk:/srv", "container:*", "*"'
    parser.add_argument("pattern", nargs="*", type=_text, metavar="PATTERN", help=what)
    length = 'at the longest, e.g. "30min" or "2h"; with a COMMAND it ends with that'
    parser.add_argument("--for", required=True, type=_seconds, dest="seconds", metavar="LENGTH", help=length)
    parser.add_argument("--comment", type=_text, metavar="TEXT", help="why, for those who look later")
    parser.usage = "%(prog)s [--config FILE] [PATTERN ...] --for LENGTH [--comment TEXT] [-- COMMAND ...]"
    parser.epilog = f"With a COMMAND, and without a PATTERN, everything is silenced ({ALL!r})."


def run(arguments: argparse.Namespace) -> int:
    """Exit status: that of COMMAND; else 0 done, 1 the database cannot be used, 2 no pattern, 77 not allowed, 78 refused file."""
    command: list[str] | None = arguments.command
    patterns = arguments.pattern or ([ALL] if command is not None else [])
    if not patterns or command == []:
        raise UsageError(Problem("silence", "whom? while what?", 'e.g. "disk:/srv"; "*" is everything; -- COMMAND'))
    for pattern in patterns:
        _require_kind(pattern)
    config = privileges.configuration(arguments.config)
    path = Path(config.storage.path)
    made = partial(_made, patterns, arguments.seconds, arguments.comment or _why(command))
    if command is not None:
        return _while(arguments.config, path, made, command)
    lasting = silencing.add(arguments.config, path, made())
    for pattern in dict.fromkeys(patterns):
        until_ns = max(one.until_ns for one in lasting if one.pattern == pattern)
        print(plain(f"nobody is told of {pattern} until {clock(until_ns, config.agent.timezone)}"))
    return ExitCode.OK


def _require_kind(pattern: str) -> None:
    """Raises UsageError if no kind of subject begins so: it would silence nothing, and whoever wants that would not know."""
    kind = pattern.partition(":")[0]
    if any(fnmatchcase(known, kind) for known in KINDS):
        return
    near = get_close_matches(kind, KINDS, 1)
    hint = f"is it {near[0]}?" if near else f"there are {', '.join(KINDS)}"
    raise UsageError(Problem("silence", f"there is no kind of subject {plain(kind)!r}", hint))


def _made(patterns: Sequence[str], seconds: int, comment: str) -> tuple[Silence, ...]:
    now, who = silencing.now(), silencing.who()
    until_ns = now.at_ns + seconds * NS_PER_S
    return tuple(
        Silence(pattern, until_ns, comment, now.at_ns, who, new_id(now.at_ns), now.boot_id, now.booted_ns)
        for pattern in dict.fromkeys(patterns)
    )


def _why(command: Sequence[str] | None) -> str:
    return "" if not command else f"while this runs: {shlex.join(command)}"[:LONGEST_TEXT]


def _while(config_file: Path, path: Path, make: Callable[[], tuple[Silence, ...]], command: Sequence[str]) -> int:
    """Run it. What needs doing is done even if nobody can be kept from being told of it."""
    with Forwarding() as forwarding:
        made = make()
        try:
            silencing.add(config_file, path, made)
        except NotAllowedError:
            raise
        except StoreError as error:
            complain(plain(f"nothing is silenced: {error}"))
            return forwarding.run(command)
        try:
            return forwarding.run(command)
        finally:
            _end(config_file, path, frozenset(one.id for one in made))


def _end(config_file: Path, path: Path, ids: frozenset[str]) -> None:
    try:
        silencing.end(config_file, path, lambda silence: silence.id in ids)
    except (NotAllowedError, StoreError) as error:
        complain(plain(f"the silence could not be ended, and goes on as long as it may: {error}"))


def _seconds(text: str) -> int:
    try:
        seconds = LONGEST.check(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; {LONGEST.allowed} is expected, 366 days at the most") from None
    if not seconds:
        raise argparse.ArgumentTypeError("it is no time at all")
    return seconds


def _text(text: str) -> str:
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        raise argparse.ArgumentTypeError(f"1 to {LONGEST_TEXT} printable characters are expected")
    return text
