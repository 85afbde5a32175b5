"""heartbeatd-failed.service: tells the webhook that the agent does not run, once for each time that it fails.

systemd gives the agent up for a configuration that is refused, and starts this (`OnFailure=`). Whatever else it fails of, it is
started again for ever, so a timer has this look every two minutes whether it comes up: told is what goes on for
`LASTING_SECONDS`. What was seen and told is noted in the runtime directory; the agent, once its first cycle is over, takes the
notes away, and says that it runs again.

Whatever ended the agent must not end this, be it a configuration that is refused or a module that cannot be imported. So it
shares no code with the agent and needs the standard library only, and of a configuration that is not even TOML it still takes
the line with the webhook's URL. Tries are repeated after 5 s, 10 s, 20 s … for `GIVE_UP_S`; then the next look is the next try.
"""

import re
import socket
import sys
import time
from typing import Protocol

from heartbeatd.failure_alert.configuration import CONFIG, credential, read, setting
from heartbeatd.failure_alert.failure import find_failure
from heartbeatd.failure_alert.message import alert
from heartbeatd.failure_alert.notes import TOLD, note, was_told
from heartbeatd.failure_alert.webhook import post

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
GIVE_UP_S = 600.0


class Time(Protocol):
    """What is needed of the module `time`."""

    def monotonic(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait for so long."""


def main() -> int:
    """Exit status 0: told, or there is nothing or nobody to tell; 1: nobody would hear it."""
    if was_told():
        return 0
    failure = find_failure()
    if failure is None:
        return 0
    config = read(sys.argv[1] if len(sys.argv) > 1 else CONFIG)
    url = credential() or setting(config, "alerts", "webhook_url")
    if not url:
        print("no alerts.webhook_url can be found: nobody is told that heartbeatd failed", file=sys.stderr)
        note(TOLD, "")  # or it would be said every two minutes
        return 0
    host = setting(config, "agent", "hostname") or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())  # any bytes
    return deliver(url, alert(host, failure), time)


def deliver(url: str, body: dict[str, object], time: Time) -> int:
    """Try until the webhook has it. The exit status: 1 if it does not take it within `GIVE_UP_S`."""
    began_s, pause_s, attempt = time.monotonic(), FIRST_PAUSE_S, 1
    while True:
        problem = post(url, body, attempt, time.monotonic() - began_s)
        if problem is None:
            print("the webhook knows that heartbeatd failed")
            note(TOLD, "")
            return 0
        print(f"the webhook does not know yet that heartbeatd failed, attempt {attempt}: {problem}", file=sys.stderr)
        if time.monotonic() - began_s + pause_s > GIVE_UP_S:
            return 1
        time.sleep(pause_s)
        pause_s, attempt = min(2 * pause_s, LONGEST_PAUSE_S), attempt + 1


if __name__ == "__main__":
    sys.exit(main())
