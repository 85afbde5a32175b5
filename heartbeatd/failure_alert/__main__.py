"""heartbeatd-failed.service: has people told that the agent does not run, once for each time that it fails.

systemd gives the agent up for a configuration that is refused, and starts this (`OnFailure=`). Whatever else it fails of, it is
started again for ever, so a timer has this look every two minutes whether it comes up: told is what goes on for
`LASTING_SECONDS`. The agent, once its first cycle is over, takes the notes of that away, and says that it runs again.

The alert goes the way of all others, in the agent's place: it is written by `core.notification`, kept and tried again by the
outbox, with files in the runtime directory for a database, and delivered by the notifier, which says which channels there are.
So this needs neither the configuration nor the network. Where the notifier cannot be started, as in a sandbox that this host
cannot set up, it is a child of this process. It goes on until all channels have been told, or the agent runs.
"""

import logging
import sys
from pathlib import Path

from heartbeatd import __version__
from heartbeatd.cancel import CancelToken
from heartbeatd.catalogs import catalog
from heartbeatd.clock import SYSTEM_CLOCK
from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.hostname import name_in_force
from heartbeatd.core.locale import Locale
from heartbeatd.core.notification import Notification, of_failure
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.redact import Redactor
from heartbeatd.failure_alert.failure import WATCHING, find_failure, is_over
from heartbeatd.failure_alert.notes import TOLD, Notes
from heartbeatd.hostnames import host_names
from heartbeatd.journal import setup_logging
from heartbeatd.newid import new_id
from heartbeatd.notify.asking import ask_all
from heartbeatd.notify.client import Notifier, SocketNotifier, SpawningNotifier
from heartbeatd.notify.outbox import Outbox
from heartbeatd.notify.protocol import Answer, ListChannels, Listed

CONFIG = Path("/etc/heartbeat/config.toml")
LOOK_S = 15.0  # between two looks whether it is over
FIRST_PAUSE_S = 1.0  # before the notifier is asked again which channels there are
LONGEST_PAUSE_S = 60.0

log = logging.getLogger("heartbeatd.failure_alert")


def main() -> int:
    """Exit status 0, whether there was anything to tell or not. An argument is another configuration, for tests."""
    setup_logging(Redactor())
    notes = Notes.of_unit()
    failure = None if notes.told else find_failure(notes)
    if failure is not None:
        tell(failure, notes, notifier(sys.argv[1:]))
        if WATCHING.exists():  # looked at after the last note: whichever of us comes second removes them all
            notes.forget()
    return 0


def notifier(words: list[str]) -> Notifier:
    """systemd's; where that cannot be started, a child of this process."""
    if words:
        return SpawningNotifier(Path(words[0]))
    return SocketNotifier(SpawningNotifier(CONFIG, stands_in=True))


def tell(failure: AgentFailure, notes: Notes, by: Notifier) -> None:
    """Until all channels have been told, or it is over."""
    cancel = CancelToken()
    listed = ask_for_channels(by, cancel)
    if listed is None:
        return
    locale = Locale(catalog=catalog(listed.language))
    outbox = Outbox(
        listed.channels, by, notes, SYSTEM_CLOCK, locale=locale
    )  # of no boot: the notes do not outlive this one
    if not notes.begun:
        deliveries = outbox.address(alert(failure, listed, locale))
        if not deliveries:
            log.warning("there is no channel for it: nobody is told that heartbeatd failed")
        notes.begin(deliveries)
    while outbox.waiting and not is_over():
        until_ns = min(outbox.step(), cancel.deadline(LOOK_S))
        cancel.wait(lambda: outbox.news, until_ns, outbox.watched)
    outbox.close()
    if not outbox.waiting:
        notes.note(TOLD)


def ask_for_channels(by: Notifier, cancel: CancelToken) -> Listed | None:
    """Which there are, by the configuration in force, as soon as the notifier can say so; None once it is over."""
    said, pause_s = "", FIRST_PAUSE_S
    while True:
        answer = ask_all(by, {"": ListChannels()}, _listed, cancel)[""]
        if isinstance(answer, Listed):
            return answer
        if answer != said:
            log.warning("nobody can be told yet that heartbeatd failed: %s", answer)
        if is_over():
            return None
        cancel.wait(lambda: False, cancel.deadline(pause_s))
        said, pause_s = answer, min(2 * pause_s, LONGEST_PAUSE_S)


def _listed(line: bytes) -> Listed | str:
    """The channels, or why they are not known. Raises ValueError for what is neither."""
    try:
        return Listed.parse(line)
    except ValueError:
        return Answer.parse(line).reason


def alert(failure: AgentFailure, listed: Listed, locale: Locale) -> Notification:
    """What is told of it."""
    names, now_ns = host_names(), SYSTEM_CLOCK.now_ns()
    agent = AgentInfo(listed.hostname or name_in_force(names, names), __version__, now_ns, locale)
    return of_failure(agent, failure, now_ns, new_id(now_ns))


if __name__ == "__main__":
    sys.exit(main())
