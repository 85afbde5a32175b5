"""One run of the agent: the configuration is loaded, the real edges are wired, and cycles run until a signal ends them."""

import faulthandler
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from heartbeatd import __version__, exit_record, journal
from heartbeatd.config.load import Config, load
from heartbeatd.config.remarks import remarks
from heartbeatd.config.secrets import passed
from heartbeatd.core.gap import PreviousRun
from heartbeatd.core.redact import redact_url
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError, Problem
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.loop import Loop, Signals
from heartbeatd.runtime import Runtime, host_name, open_ledger, store_options
from heartbeatd.store.background import BackgroundStore

if TYPE_CHECKING:
    from heartbeatd.wiring import Wired

log = logging.getLogger("heartbeatd")


class Agent:
    """The configuration in force and what runs by it. Raises HeartbeatdError if the file cannot be used."""

    def __init__(self, path: Path, process: Runtime) -> None:
        self._path, self._process = path, process
        self.config = load(path, passed())
        process.redactor.learn(self.config.secrets)
        self.host = host_name(self.config, process.names)
        self.last_row_ns: int | None = None
        if self.config.heartbeat.ca_file:
            _check_authorities(self.config.heartbeat.ca_file)
        self._ledger = open_ledger(self.config, process, process.before)
        self._work: Wired | None = None

    def begin(self) -> "Wired":
        """What runs. Looks at how the run before this one ended."""
        before = self._process.before
        before.ending = exit_record.consume()
        before.failure_told = exit_record.failure_told()
        self.last_row_ns = before.run.last_row_ns if before.run is not None else None
        work = self._work = self._wired(self.config, self._ledger)
        work.start()
        work.prepare(self._process.waiter)
        return work

    def reload(self) -> "Wired":
        """Swap the configuration whole, or raise HeartbeatdError and leave everything as it was."""
        config = load(self._path, passed())
        self._process.redactor.learn(config.secrets)
        old, kept = self._ledger, self._ledger
        if config.storage.path != self.config.storage.path:
            # What was run there before is no gap: this process was running.
            kept = open_ledger(config, self._process, PreviousRun(self._process.before.boot_id))
            if kept.trouble:
                kept.close()
                raise ConfigError(Problem(f"{self._path}: storage.path", kept.trouble))
        try:
            new = self._wired(config, kept)
        except BaseException:
            if kept is not old:
                kept.close()
            raise
        self._stop()
        if kept is not old:
            old.move_to(kept)
        kept.adjust(store_options(config))
        new.start()
        self.config, self._ledger, self._work = config, kept, new
        self._say_name()
        say_what_is_off(config, self.host)
        return new

    def _say_name(self) -> None:
        """Said once, when it is another one than before the reload."""
        before, self.host = self.host, host_name(self.config, self._process.names)
        if self.host != before:
            log.log(NOTICE, "this host goes by the name %s from now on; before, it was %s", self.host, before)

    def close(self) -> None:
        """Let go of everything; what could not be stored so far is stored now."""
        self._stop()
        self._ledger.close()
        self._process.close()

    def _wired(self, config: Config, ledger: BackgroundStore) -> "Wired":
        from heartbeatd.wiring import Wired

        return Wired(config, self._process, ledger)

    def _stop(self) -> None:
        if self._work is not None:
            self._work.stop()


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
    process = Runtime()
    signals = Signals(process.waiter)
    journal.setup_logging(process.redactor)
    service = process.service
    try:
        agent = Agent(path, process)
    except HeartbeatdError as error:
        kind = MessageId.CONFIG_REFUSED if isinstance(error, ConfigError) else MessageId.STORE_FAILED
        for problem in error.problems:
            log.error("%s", problem, extra=journal_fields(kind, where=problem.where, path=problem.where, waiting=0))
        service.status(_refusal(error))
        return error.exit_code
    _announce(agent, process)
    try:
        work = agent.begin()
        Loop(process.clock, process.waiter, signals, service, agent.reload, agent.last_row_ns).run(work)
    finally:
        service.stopping()
        agent.close()
        log.log(NOTICE, "stopped", extra=journal_fields(MessageId.STOPPED))
    return ExitCode.OK


def _refusal(error: HeartbeatdError) -> str:
    """For STATUS=, which every local user may read: of a configuration only where it is wrong."""
    if not isinstance(error, ConfigError):
        return f"not started: {error.problems[0]}"
    first, *others = error.problems
    more = f", and {len(others)} more" if others else ""
    return f"configuration refused: {first.where}{more}; what is wrong there: sudo heartbeatctl check"


def _announce(agent: Agent, process: Runtime) -> None:
    config = agent.config
    service = process.service
    service.set_watchdog(config.agent.interval_seconds, config.longest_cycle_s)
    service.ready("started, waiting for the first slot")
    url = config.heartbeat.url
    log.log(
        NOTICE,
        "heartbeatd %s started on %s: every %d s, Worker %s, database %s",
        __version__,
        agent.host,
        config.agent.interval_seconds,
        redact_url(url) if url else "none",
        config.storage.path,
        extra=journal_fields(MessageId.STARTED, version=__version__, host=agent.host),
    )
    say_what_is_off(config, agent.host)
