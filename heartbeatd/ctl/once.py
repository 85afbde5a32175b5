"""`heartbeatctl once`: one cycle, printed. Looks at everything; stores and sends only what is asked for, and tells nobody."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from heartbeatd import components
from heartbeatd.config.model import Config
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.payload import heartbeat_body
from heartbeatd.core.plain import plain
from heartbeatd.core.sample import ProbeStatus, Readings, Row, Sample, readings_of, row_of
from heartbeatd.core.subject import Observation
from heartbeatd.core.text.cycle import cycle_line
from heartbeatd.core.text.readings import reading_lines
from heartbeatd.core.text.service_lines import service_lines
from heartbeatd.ctl import database, observed, privileges
from heartbeatd.ctl.observed import Observed
from heartbeatd.errors import ConfigError, ExitCode, Problem, StoreError
from heartbeatd.newid import new_id
from heartbeatd.rules import worker
from heartbeatd.runtime import Runtime, make_store
from heartbeatd.store.read_errors import reported


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--send", action="store_true", help="send the heartbeat, too")
    parser.add_argument("--store", action="store_true", help="store the row, too")
    parser.add_argument("--rules", action="store_true", help="show what the rules make of it, too; nobody is told")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, 1 it could not be sent or stored, 77 not allowed, 78 the file is refused or names no Worker."""
    config = privileges.configuration(arguments.config)
    if arguments.send and not config.heartbeat.url:
        raise ConfigError(
            Problem(f"{arguments.config}: heartbeat.url", "is not set", "set it: there is nowhere to send to")
        )
    path = Path(config.storage.path)
    privileges.drop_privileges(arguments.config, path)
    if arguments.store:
        database.require_safe_to_write(arguments.config, path)
    runtime = Runtime()
    sample, measured_ms = observed.look(config, runtime)
    sample, woke_ns = components.look_at_services(config, runtime, sample), time.monotonic_ns()
    row_id = new_id(sample.taken_ns)
    beat = _send(config, runtime, sample, row_id) if arguments.send else None
    row = row_of(sample, row_id, beat, measured_ms + (time.monotonic_ns() - woke_ns) / 1e6)
    seen = worker.observe(runtime.clock.now_ns(), beat, sample.internet_ok)
    if arguments.store:
        _store(config, runtime, row, readings_of(sample))
    rules = observed.observe(config, runtime, sample) if arguments.rules else None
    _print(sample, row, beat, seen, rules, as_json=arguments.json, asked=arguments.send)
    runtime.close()
    return ExitCode.FAILED if seen is not None and not seen.ok else ExitCode.OK


def _send(config: Config, runtime: Runtime, sample: Sample, row_id: str) -> HeartbeatResult | None:
    sender = components.heartbeat(config, runtime)
    if sender is None:
        return None
    beat = sender.send(heartbeat_body(components.agent_info(config, runtime), sample, row_id, 0), runtime.cancel)
    sender.close()
    return beat


def _store(config: Config, runtime: Runtime, row: Row, readings: Readings | None) -> None:
    kept = make_store(config, runtime)
    with reported(Path(config.storage.path)):
        kept.open()
        kept.record(row, (), (), readings)
    if kept.error:
        raise StoreError(Problem(config.storage.path, kept.error))
    kept.close()


def _print(
    sample: Sample,
    row: Row,
    beat: HeartbeatResult | None,
    seen: Observation | None,
    rules: list[Observed] | None,
    *,
    as_json: bool,
    asked: bool,
) -> None:
    unread = {n.probe: n.detail for n in sample.reports if n.status is not ProbeStatus.OK}
    if as_json:
        worker = None if seen is None else {"state": seen.state, "status": seen.value, "cause": seen.reason}
        readings = {str(series): value for series, value in sample.readings.items()}
        services = {
            one.name: {"status": one.told, "cause": one.outcome.reason, "took_ms": one.took_ms}
            for one in sample.services
        }
        told = {**asdict(row), "readings": readings, "services": services, "worker": worker, "unread": unread}
        if rules is not None:
            told["rules"] = [_as_object(one) for one in rules]
        print(json.dumps(told, indent=2))
        return
    line = cycle_line(sample, seen.reason if seen else None, beat, no_beat="off" if asked else "not asked (--send)")
    print(line, f"(cycle {row.cycle_duration_ms:.0f} ms)")
    for line in reading_lines(sample.readings):
        print(plain(line))
    for line in service_lines({s.name: (s.told, s.outcome.reason, s.took_ms) for s in sample.services}):
        print(line)
    if sample.internet_detail:
        print(plain(f"internet: {sample.internet_detail}"))
    for probe, detail in unread.items():
        print(plain(f"{probe}: {detail}"))
    for one in rules or ():
        print(f"{one.observation.severity:<8} {plain(str(one.observation.subject))}: {one.words}")


def _as_object(one: Observed) -> dict[str, object]:
    observation = one.observation
    return {
        "subject": str(observation.subject),
        "state": observation.state,
        "severity": observation.severity,
        "value": observation.value,
        "limit": observation.limit,
    }
