"""`heartbeatctl test-alert`: one alert of event `test`, the way real ones go.

With the agent running, through its queue and by its hand, sandbox and all; else straight to the webhook.
"""

import argparse
import contextlib
import os
import sqlite3
from pathlib import Path

from heartbeatd import wiring
from heartbeatd.config import Config, load
from heartbeatd.core import payload
from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.model import Alert
from heartbeatd.core.redact import shown_url
from heartbeatd.ctl import service
from heartbeatd.errors import ConfigError, ExitCode, Problem
from heartbeatd.process import Process
from heartbeatd.sinks.store import Store, open_to_read
from heartbeatd.sinks.webhook import NotDelivered
from heartbeatd.waiting import seconds_from_now

GRACE_S = 5.0


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("--direct", action="store_true", help="do not go through the running agent's queue")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 it arrived (2xx), 1 it did not, 78 the file is refused or names no webhook."""
    config = load(arguments.config, service.credentials())
    if not config.alerts.webhook_url:
        raise ConfigError(
            Problem(f"{arguments.config}: alerts.webhook_url", "is not set", "set it: there is nowhere to send to")
        )
    unit = service.look()
    service.become_user(arguments.config)
    process = Process()
    now_ns = process.clock.now_ns()
    url = shown_url(config.heartbeat.url) if config.heartbeat.url else ""
    alert = payload.test_alert(wiring.agent(config, process), now_ns, uuid7(now_ns, os.urandom(RANDOM_BYTES)), url)
    try:
        if unit is not None and unit.running and not arguments.direct:
            return _through_the_queue(config, process, alert)
        return _straight(config, process, alert)
    finally:
        process.close()


def _straight(config: Config, process: Process, alert: Alert) -> int:
    webhook = wiring.webhook(config, process)
    assert webhook is not None, "looked at before"
    shown = shown_url(config.alerts.webhook_url.reveal())
    try:
        status = webhook.send(alert, process.clock.now_ns(), process.waiter)
    except NotDelivered as error:
        print(f"not delivered to {shown}: {error}")
        return ExitCode.FAILED
    finally:
        webhook.close()
    print(
        f"delivered to {shown} (HTTP {status}), event {alert.event_id}; the agent is not running, so it was sent from here"
    )
    return ExitCode.OK


def _through_the_queue(config: Config, process: Process, alert: Alert) -> int:
    path = Path(config.storage.path)
    with contextlib.closing(Store.open(path, process.clock.now_ns())) as store:
        store.record((), None, (alert,), flush=True)
    limit_s = config.agent.interval_seconds + config.longest_cycle_s + config.alerts.timeout_seconds + GRACE_S
    print(
        f"queued as event {alert.event_id}; the agent sends it at its next cycle, waiting up to {limit_s:.0f} s",
        flush=True,
    )
    deadline_ns = seconds_from_now(limit_s)
    with contextlib.closing(open_to_read(path)) as connection:
        while process.clock.monotonic_ns() < deadline_ns:
            delivered_ns, error = _fate(connection, alert)
            if delivered_ns is not None:
                print(f"delivered to {shown_url(config.alerts.webhook_url.reveal())}")
                return ExitCode.OK
            if error is not None:
                print(f"not delivered: {error}; it stays in the queue and is tried again")
                return ExitCode.FAILED
            process.waiter.wait(lambda: False, min(deadline_ns, seconds_from_now(0.2)))
    print(
        "the agent has not sent it yet: other alerts are queued before it, or its cycles have stopped; see `heartbeatctl status`"
    )
    return ExitCode.FAILED


def _fate(connection: sqlite3.Connection, alert: Alert) -> tuple[int | None, str | None]:
    found = connection.execute(
        "SELECT delivered_ns, last_error FROM alerts WHERE event_id = ?", (alert.event_id,)
    ).fetchone()
    return (found[0], found[1]) if found else (None, None)
