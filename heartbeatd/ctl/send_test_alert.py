"""`heartbeatctl test-alert`: one alert of event `test`, the way real ones go.

With the agent running, through its queue and by its hand, sandbox and all; else straight to the webhook. It is delivered while
the command runs, or not at all: what the agent could not deliver in time is taken out of the queue again.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from heartbeatd import components
from heartbeatd.config.model import Config
from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.notification import QueuedNotification, of_test, to_queue
from heartbeatd.core.plain import plain
from heartbeatd.core.redact import redact_url
from heartbeatd.core.timefmt import plural
from heartbeatd.ctl import database, privileges, service
from heartbeatd.errors import ConfigError, ExitCode, Problem
from heartbeatd.notify.webhook import NotDelivered
from heartbeatd.runtime import Runtime
from heartbeatd.store.database import Database
from heartbeatd.store.read_errors import reported
from heartbeatd.store.reader import Reader
from heartbeatd.store.results import Queue

GRACE_S = 5.0
POLL_S = 0.2
DIRECT = "`heartbeatctl test-alert --direct` sends one past the queue"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--direct", action="store_true", help="do not go through the running agent's queue")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 it arrived (2xx), 1 it did not, 77 not allowed, 78 the file is refused or names no webhook."""
    config = privileges.configuration(arguments.config)
    if not config.alerts.webhook_url:
        raise ConfigError(
            Problem(f"{arguments.config}: alerts.webhook_url", "is not set", "set it: there is nowhere to send to")
        )
    past_the_queue = _why_not_queued(arguments)
    privileges.drop_privileges(arguments.config, Path(config.storage.path))
    runtime = Runtime()
    now_ns = runtime.clock.now_ns()
    url = redact_url(config.heartbeat.url) if config.heartbeat.url else ""
    event_id = uuid7(now_ns, os.urandom(RANDOM_BYTES))
    alert = to_queue(of_test(components.agent_info(config, runtime), now_ns, event_id, url))
    try:
        if past_the_queue:
            return _send_directly(config, runtime, alert, past_the_queue)
        return _through_the_queue(arguments.config, config, runtime, alert)
    finally:
        runtime.close()


def _why_not_queued(arguments: argparse.Namespace) -> str:
    """Why it does not go through the running agent's queue; empty if it does."""
    if arguments.direct:
        return "--direct"
    if not privileges.is_of_service(arguments.config):
        return f"{arguments.config} is not the configuration of {service.UNIT}"
    unit = service.unit_state()
    if unit is None:
        return "systemd does not answer, so whether the agent runs is not known"
    return "" if unit.running else "the agent is not running"


def _send_directly(config: Config, runtime: Runtime, alert: QueuedNotification, why: str) -> int:
    webhook = components.webhook(config, runtime)
    assert webhook is not None, "looked at before"
    shown = redact_url(config.alerts.webhook_url.reveal())
    try:
        status = webhook.send(alert, runtime.clock.now_ns(), runtime.cancel)
    except NotDelivered as error:
        print(plain(f"not delivered to {shown}: {error}"))
        return ExitCode.FAILED
    finally:
        webhook.close()
    print(plain(f"delivered to {shown} (HTTP {status}), event {alert.event_id}; sent from here: {why}"))
    return ExitCode.OK


def _through_the_queue(config_file: Path, config: Config, runtime: Runtime, alert: QueuedNotification) -> int:
    path = Path(config.storage.path)
    queue = database.read(config_file, path, Reader.queue)
    if queue.last_error is not None:
        print(plain(f"not sent: {_waiting(queue)}; {DIRECT}"))
        return ExitCode.FAILED
    database.require_safe_to_write(config_file, path)
    with _opened(path, runtime) as store:
        store.record((), (), (alert,), flush=True)
    limit_s = config.agent.interval_seconds + config.longest_cycle_s + config.alerts.timeout_seconds + GRACE_S
    try:
        print(
            f"queued as event {alert.event_id}; the agent sends it at its next cycle, waiting up to {limit_s:.0f} s",
            flush=True,
        )
        why_not = _wait(config_file, path, runtime, alert, runtime.cancel.deadline(limit_s))
    except BaseException:  # Ctrl-C, or nobody reads what is printed
        _withdraw(path, runtime, alert)
        raise
    if why_not and _withdraw(path, runtime, alert):
        print(plain(f"not delivered: {why_not}; it has been taken out of the queue again; {DIRECT}"))
        return ExitCode.FAILED
    print(f"delivered to {redact_url(config.alerts.webhook_url.reveal())}")
    return ExitCode.OK


def _wait(config_file: Path, path: Path, runtime: Runtime, alert: QueuedNotification, deadline_ns: int) -> str:
    """Why it was not delivered by the deadline; empty if it was."""
    while runtime.clock.monotonic_ns() < deadline_ns:
        fate = database.read(config_file, path, lambda reader: reader.fate(alert.event_id))
        if fate is None:
            return "it is no longer in the queue"
        if fate.delivered:
            return ""
        if fate.last_error is not None:
            return fate.last_error
        runtime.cancel.wait(lambda: False, min(deadline_ns, runtime.cancel.deadline(POLL_S)))
    return f"the agent has not tried to send it: {_waiting(database.read(config_file, path, Reader.queue))}"


def _waiting(queue: Queue) -> str:
    tried = f"the last try: {queue.last_error}" if queue.last_error else "see `heartbeatctl status`"
    return f"{plural(queue.waiting, 'alert')} in the queue; {tried}"


def _withdraw(path: Path, runtime: Runtime, alert: QueuedNotification) -> bool:
    """False if it was too late for that: it has been delivered."""
    with _opened(path, runtime) as store:
        return store.withdraw(alert.event_id)


@contextlib.contextmanager
def _opened(path: Path, runtime: Runtime) -> Iterator[Database]:
    with reported(path), contextlib.closing(Database.open(path, runtime.clock.now_ns())) as store:
        yield store
