"""Whether the clock can be believed."""

import subprocess
from collections.abc import Iterator

from heartbeatd.config import Config
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.process import Process


def look(config: Config, process: Process) -> Iterator[Finding]:
    """As systemd-timedated sees it."""
    words = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        yield warning("clock", "cannot tell whether the clock is synchronised: timedatectl does not answer")
        return
    if shown == "yes":
        yield ok("clock", "the clock is synchronised")
    else:
        yield warning(
            "clock",
            "the clock is not synchronised",
            "install systemd-timesyncd or chrony: timestamps and TLS depend on it",
        )
