"""`heartbeatctl check`: what is wrong before anything runs. Each module here looks at one thing.

As root what the agent would use is tried as the user heartbeat and in the service's own sandbox (`sandbox`), because that is
who and where the agent is. Where that is not possible the same is tried from outside, and that is said.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from heartbeatd.config.model import Config
from heartbeatd.ctl import privileges, service, unit_file
from heartbeatd.ctl.check import channels, configuration, containers_sdk, printing, registry, running, sandbox, unit
from heartbeatd.ctl.check.finding import Finding, Verdict, error, ok, warning
from heartbeatd.ctl.check.situation import EngineSocket, Situation, database_of, is_read_only
from heartbeatd.ctl.unit_file import Settings
from heartbeatd.errors import ConfigError, ExitCode, NotAllowedError, Problem, StoreError
from heartbeatd.files import identity
from heartbeatd.journal import is_journal

IN_SANDBOX = ok("sandbox", f"all else was tried as the user {service.USER}, in the sandbox of {service.UNIT}")
NOT_LOOKED_AT = warning(
    "storage", f"not looked at: only root can tell what the user {service.USER} may do", "run it with sudo"
)
OUTSIDE = "what follows was looked at from outside the service's sandbox"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--offline", action="store_true", help="only validate the file; try nothing")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 nothing is wrong (warnings may be), 1 something is, 77 not allowed, 78 the file is refused."""
    settings = unit_file.service_settings(service.UNIT)
    given, spoilt = service.given_credentials(settings)
    loaded = service.loaded_credentials()
    try:
        config = privileges.configuration(arguments.config, unit.in_force(given, loaded))
    except NotAllowedError as refused:
        if arguments.json:  # whoever reads it finds an array in any case
            printing.print_findings(map(_refused, refused.problems), as_json=True, quiet=arguments.quiet)
        raise
    except ConfigError as refused:
        problems = spoilt or refused.problems  # what is missing is what could not be decrypted
        printing.print_findings(map(_refused, problems), as_json=arguments.json, quiet=arguments.quiet)
        return refused.exit_code
    seen_by_root = [
        *(_refused(problem, "secrets") for problem in spoilt),
        *configuration.misplaced(),
        *unit.waiting_credentials(given, loaded),
        *unit.webhook_to_agent(settings),
        *unit.moved_helper(unit_file.service_settings("heartbeatd-containers.service")),
    ]
    findings = _findings(config, arguments.config, settings, seen_by_root, offline=arguments.offline)
    well = printing.print_findings(findings, as_json=arguments.json, quiet=arguments.quiet)
    return ExitCode.OK if well else ExitCode.FAILED


def _refused(problem: Problem, subject: str = "configuration") -> Finding:
    """The line that is wrong is shown, too, unless everybody might read it then."""
    line = f": {problem.shown}" if problem.shown and not is_journal(sys.stdout) else ""
    return error(subject, f"{problem.where}: {problem.what}{line}", problem.hint)


def _findings(
    config: Config, path: Path, settings: Settings, seen_by_root: list[Finding], *, offline: bool
) -> Iterator[Finding]:
    """All that is found, the quick things first. `seen_by_root` is what only root could see."""
    folder = database_of(config).parent
    engine = EngineSocket.at(Path(config.docker.socket.removeprefix("unix://")))
    situation = Situation(
        config, path, service.unit_state(), identity(folder), settings, engine, read_only=is_read_only(folder)
    )
    yield from configuration.check(situation)
    yield from seen_by_root
    if offline:
        yield from channels.offline(config.channels, has_apprise=find_spec("apprise") is not None)
        yield from channels.undecryptable()
        yield from _outside(situation, offline=True)
        return
    from_unit = list(unit.check(situation))
    yield from from_unit
    outside = why_outside(situation, is_root=os.geteuid() == 0)
    by_notifier = tuple(channels.by_unit(situation)) if outside is None else ()
    yield from by_notifier
    yield from _in_sandbox(situation, from_unit, outside)
    yield from containers_sdk.check(situation)
    if channels.IN_SANDBOX not in by_notifier:
        yield from _channels_from_outside(situation, is_known=outside is not None)


def _channels_from_outside(situation: Situation, *, is_known: bool) -> Iterator[Finding]:
    """By an agent's rights. `is_known`: that it is from outside has been said."""
    if not is_known:
        yield channels.OUTSIDE
    with contextlib.suppress(StoreError):
        privileges.drop_privileges(situation.path, Path(situation.config.storage.path))
    yield from channels.from_outside(situation)


def _in_sandbox(situation: Situation, from_unit: list[Finding], outside: Finding | None) -> Iterator[Finding]:
    """The tries, in the sandbox unless it is known why they are made `outside`. `from_unit` has been yielded already."""
    if outside is None:
        try:
            wrong = set[str]()
            for finding in sandbox.findings(situation):
                yield finding
                if finding.verdict is Verdict.ERROR:
                    wrong.add(finding.subject)
            yield from running.check(situation, wrong)
        except sandbox.NotSetUp as failed:
            start = unit.cannot_start(failed.status, situation)
            if start not in from_unit:
                yield start
            outside = warning("sandbox", OUTSIDE)
        except sandbox.NoSandbox as failed:
            outside = warning("sandbox", f"{OUTSIDE}: {failed}")
    if outside is not None:
        yield outside
        yield from _outside(situation)
    else:
        yield IN_SANDBOX


def _outside(situation: Situation, *, offline: bool = False) -> Iterator[Finding]:
    """What is found by an agent's rights, from outside of its sandbox. What cannot be judged with our own is left out."""
    skip: tuple[str, ...] = ()
    try:
        privileges.drop_privileges(situation.path, Path(situation.config.storage.path))
    except StoreError as unsafe:
        skip = ("storage",)
        if not offline:
            yield from (error("storage", f"{p.where}: {p.what}", p.hint) for p in unsafe.problems)
    if privileges.is_of_service(situation.path) and privileges.user_name() != service.USER:
        skip = ("files", "storage")
        yield NOT_LOOKED_AT
    if offline:
        skip = (*skip, *(subject for subject in registry.CHECKS if subject != "files"))
    yield from registry.findings(situation, skip=skip)


def why_outside(situation: Situation, *, is_root: bool) -> Finding | None:
    """Why the service's sandbox is not used, None if it is."""
    if not privileges.is_of_service(situation.path):
        return ok("sandbox", f"{OUTSIDE}: the service does not run by {situation.path}")
    if situation.service is None:
        return ok("sandbox", f"{OUTSIDE}: systemd does not answer here")
    if situation.service.load == "masked":
        return warning("sandbox", f"{OUTSIDE}: {service.UNIT} is masked")
    if not situation.settings:
        return ok("sandbox", f"{OUTSIDE}: there is no {service.UNIT} here")
    if not is_root:
        return warning("sandbox", f"{OUTSIDE}: only root can go in", "run it with sudo")
    return None
