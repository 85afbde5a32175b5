"""`heartbeatctl status`: how the agent is doing, from systemd and from the database, live."""

import argparse
import contextlib
import json
import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from heartbeatd.clock import SystemClock
from heartbeatd.config import Config, load, parse
from heartbeatd.core.answers import rule_for
from heartbeatd.core.moments import length
from heartbeatd.core.schedule import NS_PER_S, next_tick
from heartbeatd.core.wording import internet
from heartbeatd.ctl import service
from heartbeatd.ctl.service import Service
from heartbeatd.errors import ConfigError, ExitCode, StoreError
from heartbeatd.sinks.schema import METRICS
from heartbeatd.sinks.store import open_to_read

Cell = str | int | float | None
STALE_CYCLES = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database says: the last row (names and units of table metrics), the announced state, the queue."""

    row: dict[str, Cell] | None = None
    announced: str | None = None
    since_ns: int | None = None
    queued: int = 0
    last_error: str | None = None
    trouble: str = ""


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 running and all is well, 1 running but something is not, 3 not running, 78 the file is refused.

    Of a file that is refused the running agent knows nothing: what it does is told all the same, by the defaults.
    """
    refused: ConfigError | None = None
    try:
        config = load(arguments.config, service.credentials())
    except ConfigError as error:
        refused, config = error, parse({})
    unit = service.look()
    now_ns = SystemClock().now_ns()
    seen = look(Path(config.storage.path))
    facts = _facts(config, unit, seen, now_ns)
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(config, unit, seen, now_ns)))
    if refused is not None:
        raise refused
    if unit is not None and not unit.running:
        return ExitCode.NOT_RUNNING
    return ExitCode.OK if _well(config, seen, now_ns) else ExitCode.FAILED


def look(path: Path) -> Seen:
    """What is in the database now. What keeps it from being read is in `trouble`."""
    try:
        if not path.exists():
            return Seen(trouble=f"there is no {path}; the agent makes it at its first start")
        with contextlib.closing(open_to_read(path)) as connection:
            return _read(connection)
    except OSError as error:
        return Seen(trouble=f"{path}: {error.strerror}")
    except StoreError as error:
        return Seen(trouble=str(error))
    except sqlite3.Error as error:
        return Seen(trouble=f"{path}: {error} (the agent has not made it its own yet?)")


def _read(connection: sqlite3.Connection) -> Seen:
    names = [name for name, _ in METRICS]
    row = connection.execute(f"SELECT {', '.join(names)} FROM metrics ORDER BY rowid DESC LIMIT 1").fetchone()
    track = connection.execute("SELECT announced, since_ns FROM alert_state").fetchone()
    queued, last_error = connection.execute(
        "SELECT count(*), max(last_error) FROM alerts WHERE delivered_ns IS NULL"
    ).fetchone()
    return Seen(
        row=dict(zip(names, row, strict=True)) if row else None,
        announced=track[0] if track else None,
        since_ns=track[1] if track else None,
        queued=queued,
        last_error=last_error,
    )


def _age_s(seen: Seen, now_ns: int) -> float | None:
    """Seconds since the last row was sampled."""
    if seen.row is None:
        return None
    sampled = datetime.fromisoformat(str(seen.row["timestamp_lima"]))
    return now_ns / NS_PER_S - sampled.timestamp()


def _well(config: Config, seen: Seen, now_ns: int) -> bool:
    age_s = _age_s(seen, now_ns)
    fresh = age_s is not None and age_s < STALE_CYCLES * config.agent.interval_seconds
    return fresh and seen.announced in (None, "ok") and seen.last_error is None and not seen.trouble


def _next_slot(config: Config, now_ns: int) -> datetime:
    slot_ns = next_tick(now_ns, config.agent.interval_seconds * NS_PER_S).slot_ns
    return datetime.fromtimestamp(slot_ns // NS_PER_S).astimezone()


def _facts(config: Config, unit: Service | None, seen: Seen, now_ns: int) -> dict[str, object]:
    age_s = _age_s(seen, now_ns)
    status = seen.row["worker_status"] if seen.row else None
    return {
        "service": asdict(unit) if unit is not None else None,
        "last_cycle": seen.row,
        "last_cycle_age_seconds": None if age_s is None else round(age_s, 3),
        "worker": {
            "configured": bool(config.heartbeat.url),
            "announced": seen.announced,
            "since": None if seen.since_ns is None else _local(seen.since_ns).isoformat(timespec="seconds"),
            "last_status": status,
        },
        "internet_ok": seen.row["internet_ok"] if seen.row else None,
        "container_count": seen.row["container_count"] if seen.row else None,
        "alerts": {"queued": seen.queued, "last_error": seen.last_error},
        "next_slot": _next_slot(config, now_ns).isoformat(timespec="seconds"),
        "trouble": seen.trouble or None,
    }


def _lines(config: Config, unit: Service | None, seen: Seen, now_ns: int) -> list[str]:
    lines = []
    if unit is None:
        lines.append("service     unknown: systemd does not answer")
    else:
        since = f" since {unit.since}" if unit.since and unit.running else ""
        lines.append(
            f"service     {unit.active} ({unit.sub}){since}, {unit.restarts} restarts, {unit.enabled or 'no unit'}"
        )
        if unit.status and unit.active != "inactive":
            lines.append(f"            {unit.status}")
    if seen.trouble:
        return [*lines, f"database    {seen.trouble}"]
    age_s = _age_s(seen, now_ns)
    if seen.row is None or age_s is None:
        return [*lines, "last cycle  none yet", f"next slot   {_next_slot(config, now_ns):%H:%M:%S}"]
    row = seen.row
    late = "" if age_s < STALE_CYCLES * config.agent.interval_seconds else "  ← no newer row has been stored"
    lines += [
        f"last cycle  {length(age_s)} ago, {_number(row, 'cycle_duration_ms', '.0f')} ms{late}",
        f"host        cpu {_number(row, 'cpu_percent')}%, ram {_number(row, 'ram_percent')}% "
        f"({_number(row, 'ram_used_mb', '.0f')} MB), disk {_number(row, 'disk_percent')}%",
        f"worker      {_worker(config, seen, now_ns)}",
        f"internet    {internet(_whole(row, 'internet_ok'), _fraction(row, 'ping_ms'))}",
        f"containers  {'unknown' if row['container_count'] is None else row['container_count']}",
        f"alerts      {seen.queued} queued" + (f"; last try: {seen.last_error}" if seen.last_error else ""),
        f"next slot   {_next_slot(config, now_ns):%H:%M:%S}",
    ]
    return lines


def _worker(config: Config, seen: Seen, now_ns: int) -> str:
    if not config.heartbeat.url:
        return "not configured: nothing is sent"
    status = _whole(seen.row or {}, "worker_status")
    rule = rule_for(status) if status is not None else None
    now = f"HTTP {status}, {rule.state}" if rule else "no answer"
    if seen.announced is None or seen.since_ns is None:
        return now
    return f"{now}; announced: {seen.announced} since {_local(seen.since_ns):%Y-%m-%d %H:%M:%S}"


def _local(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S).astimezone()


def _number(row: dict[str, Cell], name: str, form: str = ".1f") -> str:
    value = _fraction(row, name)
    return "?" if value is None else format(value, form)


def _fraction(row: dict[str, Cell], name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _whole(row: dict[str, Cell], name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) else None
