"""`heartbeatctl status`: how the agent is doing, from systemd and from the database, live."""

import argparse
import json
from functools import partial
from pathlib import Path

from heartbeatd.clock import SystemClock
from heartbeatd.config.load import parse
from heartbeatd.config.model import Config
from heartbeatd.core.plain import plain
from heartbeatd.core.retry_after import LONGEST_S
from heartbeatd.core.silence import in_force
from heartbeatd.ctl import database, privileges, service, silencing, start_failure
from heartbeatd.ctl.status_report import Report, Snapshot, facts, lines
from heartbeatd.errors import ConfigError, ExitCode, NotAllowedError, StoreError
from heartbeatd.store.read_errors import NoDatabaseError
from heartbeatd.store.reader import Reader


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 running and all is well, 1 running but something is not, 3 not running, 77 not allowed, 78 file refused.

    What is known is said in each case. Of a file that is refused the running agent knows nothing.
    """
    unit, no_unit = service.unit_state(), "systemd does not answer"
    if unit is not None and not unit.running and not privileges.is_of_service(arguments.config):
        unit, no_unit = None, "heartbeatd.service does not run, and this is not its configuration"
    config: Config | None = None
    failed: ConfigError | NotAllowedError | None = None
    try:
        config = privileges.configuration(arguments.config)
        snapshot = _read_snapshot(arguments.config, config)
    except ConfigError as error:
        failed, snapshot = error, _at_the_default(arguments.config)
    except NotAllowedError as error:
        failed, snapshot = error, Snapshot(trouble="not allowed: run it with sudo")
    clock = SystemClock()
    failure = start_failure.of_service(unit) if unit is not None else None
    refusal = str(failed) if failed is not None and config is None else ""
    report = Report(config, unit, snapshot, clock.now_ns(), clock.monotonic_ns(), refusal, failure, no_unit)
    if arguments.json:
        print(json.dumps(facts(report), indent=2))
    else:
        print("\n".join(plain(line) for line in lines(report)))
    if failed is not None:
        raise failed
    if unit is not None and not unit.running:
        return ExitCode.NOT_RUNNING
    return ExitCode.OK if report.well else ExitCode.FAILED


def _read_snapshot(config_file: Path, config: Config) -> Snapshot:
    """What is in the database now. Raises NotAllowedError."""
    try:
        return database.read(config_file, Path(config.storage.path), partial(_snapshot, config))
    except NotAllowedError:
        raise
    except StoreError as error:
        return Snapshot(trouble=str(error))


def _snapshot(config: Config, reader: Reader) -> Snapshot:
    held_for = LONGEST_S // config.agent.interval_seconds + 2  # rows, for as long as the Worker may have asked to wait
    return Snapshot(
        reader.last_row(),
        reader.announced(),
        reader.queue(),
        last_answer=reader.last_answer(held_for),
        readings=reader.last_readings(),
        silences=in_force(reader.silences(), silencing.now()),
        checks=reader.last_checks(),
    )


def _at_the_default(config_file: Path) -> Snapshot:
    """Where the database is, a file that is refused does not say: the default is tried."""
    config = parse({})
    try:
        return database.read(config_file, Path(config.storage.path), partial(_snapshot, config))
    except NoDatabaseError:
        return Snapshot(
            trouble="storage.path is in the configuration, which cannot be used; there is none at the default place"
        )
    except StoreError as error:
        return Snapshot(trouble=str(error))
