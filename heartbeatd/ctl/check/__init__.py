"""`heartbeatctl check`: what is wrong before anything runs. Each module here looks at one thing.

As root everything is tried as the user heartbeat, because that is who the agent is.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from heartbeatd.config import Config
from heartbeatd.core.plain import plain
from heartbeatd.ctl import rights
from heartbeatd.ctl.check import clock, configuration, containers, internet, names, storage, webhook, worker
from heartbeatd.ctl.check.finding import Finding, Verdict, error, ok
from heartbeatd.errors import ConfigError, ExitCode
from heartbeatd.process import Process
from heartbeatd.sinks.systemd import is_journal

# What is tried, in this order.
TRIES: tuple[Callable[[Config, Process], Iterator[Finding]], ...] = (
    names.look,
    worker.look,
    webhook.look,
    internet.look,
    containers.look,
    storage.look,
    clock.look,
)
LONGEST = 2000  # characters of a text
_LEVELS = {Verdict.OK: "<6>", Verdict.WARNING: "<4>", Verdict.ERROR: "<3>"}


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("--offline", action="store_true", help="only validate the file; try nothing")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 nothing is wrong (warnings may be), 1 something is, 77 not allowed, 78 the file is refused."""
    try:
        config = rights.configuration(arguments.config)
    except ConfigError as refused:
        for problem in refused.problems:
            line = f": {problem.shown}" if problem.shown and not is_journal(sys.stdout) else ""
            _print(error("configuration", f"{problem.where}: {problem.what}{line}", problem.hint))
        return refused.exit_code
    failed = False
    misplaced = list(configuration.misplaced())
    rights.give_up_root(arguments.config, Path(config.storage.path))
    for finding in itertools.chain(misplaced, _findings(config, arguments.config, offline=arguments.offline)):
        failed = failed or finding.verdict is Verdict.ERROR
        if finding.verdict is Verdict.ERROR or not arguments.quiet:
            _print(finding)
    return ExitCode.FAILED if failed else ExitCode.OK


def _print(finding: Finding) -> None:
    # As ExecReload= the output goes to the journal: sd-daemon(3) tells it there how bad a line is.
    level = _LEVELS[finding.verdict] if is_journal(sys.stdout) else ""
    print(f"{level}{finding.verdict:<8} {finding.subject:<14} {plain(finding.text, LONGEST)}", flush=True)
    if finding.hint:
        print(f"{level}{'':<23} → {plain(finding.hint, LONGEST)}", flush=True)


def _findings(config: Config, path: Path, *, offline: bool) -> Iterator[Finding]:
    yield ok("configuration", f"{path} is valid")
    yield from configuration.look(config, path)
    if offline:
        return
    process = Process()
    try:
        for look in TRIES:
            yield from look(config, process)
    finally:
        process.close()
