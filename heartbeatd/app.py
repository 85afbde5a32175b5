"""One run of the agent: the configuration is loaded, the components are built, and cycles run until a signal ends them."""

import faulthandler
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from heartbeatd import __version__, exit_record, journal
from heartbeatd.config.load import load
from heartbeatd.config.model import Config
from heartbeatd.config.remarks import remarks
from heartbeatd.config.secrets import load_credentials
from heartbeatd.core.gap import Start
from heartbeatd.core.redact import redact_url
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError, Problem
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.loop import Loop, Signals
from heartbeatd.runtime import Runtime, host_name, open_store, store_options
from heartbeatd.store.background import BackgroundStore

if TYPE_CHECKING:
    from heartbeatd.assembly import Assembly

log = logging.getLogger("heartbeatd")


class App:
    """The configuration in force and what runs by it. Raises HeartbeatdError if the file cannot be used."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._path, self._runtime = path, runtime
        self.config = load(path, load_credentials())
        runtime.redactor.learn(self.config.secrets)
        self.host = host_name(self.config, runtime.names)
        self.last_row_ns: int | None = None
        if self.config.heartbeat.ca_file:
            _check_authorities(self.config.heartbeat.ca_file)
        self._store = open_store(self.config, runtime)
        self._start = Start(runtime.boot_id)
        self._components: Assembly | None = None

    def start(self) -> "Assembly":
        """What runs. Looks at how the run before this one ended."""
        self._start = Start(self._runtime.boot_id, exit_record.consume(), exit_record.failure_told())
        before = self._store.previous_run
        self.last_row_ns = before.last_row_ns if before is not None else None
        work = self._components = self._build(self.config, self._store)
        work.start()
        work.prepare(self._runtime.cancel)
        return work

    def reload(self) -> "Assembly":
        """Swap the configuration whole, or raise HeartbeatdError and leave everything as it was."""
        config = load(self._path, load_credentials())
        self._runtime.redactor.learn(config.secrets)
        old, kept = self._store, self._store
        if config.storage.path != self.config.storage.path:
            kept = open_store(config, self._runtime)
            if kept.error:
                kept.close()
                raise ConfigError(Problem(f"{self._path}: storage.path", kept.error))
        try:
            new = self._build(config, kept)
        except BaseException:
            if kept is not old:
                kept.close()
            raise
        self._stop()
        if kept is not old:
            old.move_to(kept)
        kept.adjust(store_options(config))
        new.start()
        self.config, self._store, self._components = config, kept, new
        self._say_name()
        say_what_is_off(config, self.host)
        return new

    def _say_name(self) -> None:
        """Said once, when it is another one than before the reload."""
        before, self.host = self.host, host_name(self.config, self._runtime.names)
        if self.host != before:
            log.log(NOTICE, "this host goes by the name %s from now on; before, it was %s", self.host, before)

    def close(self) -> None:
        """Let go of everything; what could not be stored so far is stored now."""
        self._stop()
        self._store.close()
        self._runtime.close()

    def _build(self, config: Config, ledger: BackgroundStore) -> "Assembly":
        from heartbeatd.assembly import Assembly

        return Assembly(config, self._runtime, ledger, self._start)

    def _stop(self) -> None:
        if self._components is not None:
            self._components.stop()


def _check_authorities(ca_file: str) -> None:
    """Raises ConfigError. Only loading the file shows it, and who is ready has nothing left to refuse."""
    from heartbeatd.net.tls import create_ssl_context

    create_ssl_context(ca_file)


def say_what_is_off(config: Config, host: str) -> None:
    """A warning for each of the `remarks`."""
    for remark in remarks(config, host):
        log.warning("%s", remark)


def run(path: Path) -> int:
    """Run by the configuration in `path` until SIGTERM or SIGINT. The exit status is an `ExitCode`; 78 is a file refused."""
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stack of every thread in the journal
    runtime = Runtime()
    signals = Signals(runtime.cancel)
    journal.setup_logging(runtime.redactor)
    service = runtime.service
    try:
        app = App(path, runtime)
    except HeartbeatdError as error:
        kind = MessageId.CONFIG_REFUSED if isinstance(error, ConfigError) else MessageId.STORE_FAILED
        for problem in error.problems:
            log.error("%s", problem, extra=journal_fields(kind, where=problem.where, path=problem.where, waiting=0))
        service.status(_refusal(error))
        return error.exit_code
    _announce(app, runtime)
    try:
        work = app.start()
        Loop(runtime.clock, runtime.cancel, signals, service, app.reload, app.last_row_ns).run(work)
    finally:
        service.stopping()
        app.close()
        log.log(NOTICE, "stopped", extra=journal_fields(MessageId.STOPPED))
    return ExitCode.OK


def _refusal(error: HeartbeatdError) -> str:
    """For STATUS=, which every local user may read: of a configuration only where it is wrong."""
    if not isinstance(error, ConfigError):
        return f"not started: {error.problems[0]}"
    first, *others = error.problems
    more = f", and {len(others)} more" if others else ""
    return f"configuration refused: {first.where}{more}; what is wrong there: sudo heartbeatctl check"


def _announce(app: App, runtime: Runtime) -> None:
    config = app.config
    service = runtime.service
    service.set_watchdog(config.agent.interval_seconds, config.longest_cycle_s)
    service.ready("started, waiting for the first slot")
    url = config.heartbeat.url
    log.log(
        NOTICE,
        "heartbeatd %s started on %s: every %d s, Worker %s, database %s",
        __version__,
        app.host,
        config.agent.interval_seconds,
        redact_url(url) if url else "none",
        config.storage.path,
        extra=journal_fields(MessageId.STARTED, version=__version__, host=app.host),
    )
    say_what_is_off(config, app.host)
