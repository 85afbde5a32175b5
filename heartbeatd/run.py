"""One run of the agent, from its configuration file to its exit status.

What is imported here is all that the start needs: the agent says that it is ready, and loads the rest after that.
"""

import faulthandler
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from heartbeatd import __version__, exit_record, journal
from heartbeatd.config.load import load
from heartbeatd.config.model import Config
from heartbeatd.config.notified import may_tell
from heartbeatd.config.remarks import remarks
from heartbeatd.config.secrets import load_credentials
from heartbeatd.core.gap import Start
from heartbeatd.core.redact import redact_url
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.loop import Loop, Signals
from heartbeatd.runtime import Runtime, host_name, open_store
from heartbeatd.store.background import BackgroundStore

if TYPE_CHECKING:
    from heartbeatd.app import App

log = logging.getLogger("heartbeatd")


def run(path: Path) -> int:
    """Run by the configuration in `path` until SIGTERM or SIGINT. The exit status is an `ExitCode`; 78 is a file refused."""
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stack of every thread in the journal
    runtime = Runtime()
    signals = Signals(runtime.cancel)
    journal.setup_logging(runtime.redactor)
    service = runtime.service
    try:
        config = _load(path, runtime)
        if config.heartbeat.ca_file:
            _require_authorities(config.heartbeat.ca_file)
        store = open_store(config, runtime)
    except HeartbeatdError as error:
        kind = MessageId.CONFIG_REFUSED if isinstance(error, ConfigError) else MessageId.STORE_FAILED
        for problem in error.problems:
            log.error("%s", problem, extra=journal_fields(kind, where=problem.where, path=problem.where, waiting=0))
        service.status(_refusal(error))
        return error.exit_code
    _announce(config, path, runtime)
    app = _build(config, path, runtime, store)

    def reload() -> "App":
        nonlocal app
        app = app.reload(_load(path, runtime), path)
        _say_what_is_off(app.config, path, app.agent.host)
        return app

    before = store.previous_run
    try:
        app.start()
        last_row_ns = before.last_row_ns if before is not None else None
        Loop(runtime.clock, runtime.cancel, signals, service, reload, last_row_ns).run(app)
    finally:
        service.stopping()
        app.close()
        runtime.close()
        log.log(NOTICE, "stopped", extra=journal_fields(MessageId.STOPPED))
    return ExitCode.OK


def _load(path: Path, runtime: Runtime) -> Config:
    """Raises ConfigError. From here on what is secret in the file is not logged."""
    config = load(path, load_credentials())
    runtime.redactor.learn(config.secrets)
    return config


def _build(config: Config, path: Path, runtime: Runtime, store: BackgroundStore) -> "App":
    """What takes long to load, and a look at how the run before this one ended."""
    from heartbeatd.app import build

    found = Start(runtime.boot_id, exit_record.consume(runtime.cancel), exit_record.failure_told())
    return build(config, path, runtime, store, found)


def _require_authorities(ca_file: str) -> None:
    """Raises ConfigError. Only loading the file shows it, and who is ready has nothing left to refuse."""
    from heartbeatd.net.tls import create_ssl_context

    create_ssl_context(ca_file)


def _say_what_is_off(config: Config, path: Path, host: str) -> None:
    """A warning for each of the `remarks`."""
    for remark in remarks(config, host, tells=may_tell(config, path)):
        log.warning("%s", remark)


def _refusal(error: HeartbeatdError) -> str:
    """For STATUS=, which every local user may read: of a configuration only where it is wrong."""
    if not isinstance(error, ConfigError):
        return f"not started: {error.problems[0]}"
    first, *others = error.problems
    more = f", and {len(others)} more" if others else ""
    return f"configuration refused: {first.where}{more}; what is wrong there: sudo heartbeatctl check"


def _announce(config: Config, path: Path, runtime: Runtime) -> None:
    host, url, service = host_name(config, runtime.names), config.heartbeat.url, runtime.service
    service.set_watchdog(config.agent.interval_seconds, config.longest_cycle_s)
    service.ready("started, waiting for the first slot")
    log.log(
        NOTICE,
        "heartbeatd %s started on %s: every %d s, Worker %s, database %s",
        __version__,
        host,
        config.agent.interval_seconds,
        redact_url(url) or "none",
        config.storage.path,
        extra=journal_fields(MessageId.STARTED, version=__version__, host=host),
    )
    _say_what_is_off(config, path, host)
