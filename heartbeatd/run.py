"""One run of the agent: the configuration is loaded, the real edges are wired, and cycles run until a signal ends them."""

import faulthandler
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from heartbeatd import __version__, last_stop
from heartbeatd.config import Config, load
from heartbeatd.core.events import NOTICE, MessageId, said
from heartbeatd.core.gap import Before
from heartbeatd.core.redact import shown_url
from heartbeatd.credentials import passed
from heartbeatd.daemon import Daemon, Signals
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError, Problem
from heartbeatd.process import Process, host_name, keeping, open_ledger
from heartbeatd.remarks import remarks
from heartbeatd.sinks import systemd
from heartbeatd.sinks.background import BackgroundLedger

if TYPE_CHECKING:
    from heartbeatd.wiring import Wired

log = logging.getLogger("heartbeatd")


class Agent:
    """The configuration in force and what runs by it. Raises HeartbeatdError if the file cannot be used."""

    def __init__(self, path: Path, process: Process) -> None:
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
        before.ending = last_stop.take()
        before.failure_told = last_stop.failure_told()
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
            kept = open_ledger(config, self._process, Before(self._process.before.boot_id))
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
        kept.adjust(keeping(config))
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

    def _wired(self, config: Config, ledger: BackgroundLedger) -> "Wired":
        from heartbeatd.wiring import Wired

        return Wired(config, self._process, ledger)

    def _stop(self) -> None:
        if self._work is not None:
            self._work.stop()


def _check_authorities(ca_file: str) -> None:
    """Raises ConfigError. Only loading the file shows it, and who is ready has nothing left to refuse."""
    from heartbeatd.net.trust import trusting

    trusting(ca_file)


def say_what_is_off(config: Config, host: str) -> None:
    """A warning for each of the `remarks`."""
    for remark in remarks(config, host):
        log.warning("%s", remark)


def run(path: Path) -> int:
    """Run by the configuration in `path` until SIGTERM or SIGINT. The exit status is an `ExitCode`; 78 is a file refused."""
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stack of every thread in the journal
    process = Process()
    signals = Signals(process.waiter)
    systemd.log_to_where_it_belongs(process.redactor)
    service = process.service
    try:
        agent = Agent(path, process)
    except HeartbeatdError as error:
        kind = MessageId.CONFIG_REFUSED if isinstance(error, ConfigError) else MessageId.STORE_FAILED
        for problem in error.problems:
            log.error("%s", problem, extra=said(kind, where=problem.where, path=problem.where, waiting=0))
        service.status(_refusal(error))
        return error.exit_code
    _announce(agent, process)
    try:
        work = agent.begin()
        Daemon(process.clock, process.waiter, signals, service, agent.reload, agent.last_row_ns).run(work)
    finally:
        service.stopping()
        agent.close()
        log.log(NOTICE, "stopped", extra=said(MessageId.STOPPED))
    return ExitCode.OK


def _refusal(error: HeartbeatdError) -> str:
    """For STATUS=, which every local user may read: of a configuration only where it is wrong."""
    if not isinstance(error, ConfigError):
        return f"not started: {error.problems[0]}"
    first, *others = error.problems
    more = f", and {len(others)} more" if others else ""
    return f"configuration refused: {first.where}{more}; what is wrong there: sudo heartbeatctl check"


def _announce(agent: Agent, process: Process) -> None:
    config = agent.config
    service = process.service
    service.expect(config.agent.interval_seconds, config.longest_cycle_s)
    service.ready("started, waiting for the first slot")
    url = config.heartbeat.url
    log.log(
        NOTICE,
        "heartbeatd %s started on %s: every %d s, Worker %s, database %s",
        __version__,
        agent.host,
        config.agent.interval_seconds,
        shown_url(url) if url else "none",
        config.storage.path,
        extra=said(MessageId.STARTED, version=__version__, host=agent.host),
    )
    say_what_is_off(config, agent.host)
