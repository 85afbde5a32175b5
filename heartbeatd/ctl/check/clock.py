"""Whether the clock can be believed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import Runtime

BATTERY_CLOCKS = Path("/sys/class/rtc")
WITHOUT_TIMEDATECTL = warning("clock", "whether the clock is synchronised is not known: there is no timedatectl here")
WITHOUT_ANSWER = warning("clock", "whether the clock is synchronised is not known: timedatectl has no answer")
_NAMES = ("NTP", "NTPSynchronized", "CanNTP")


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """As systemd-timedated sees it."""
    words = ["timedatectl", "show", *(f"--property={name}" for name in _NAMES)]
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True).stdout
    except FileNotFoundError:
        yield WITHOUT_TIMEDATECTL
        return
    except (OSError, subprocess.SubprocessError):
        yield WITHOUT_ANSWER
        return
    battery = BATTERY_CLOCKS.exists() and any(BATTERY_CLOCKS.iterdir())
    yield classify(dict(line.partition("=")[::2] for line in shown.splitlines()), battery=battery)


def classify(properties: dict[str, str], *, battery: bool) -> Finding:
    """What timedatectl's properties say, and whether a clock goes on while the host is switched off."""
    if properties.get("NTPSynchronized") == "yes":
        return ok("clock", "the clock is synchronised")
    text = "the clock is not synchronised, and timestamps and TLS depend on it"
    if not battery:
        text += "; there is no battery clock that would keep the time while the host is off"
    if properties.get("NTP") == "yes":
        return warning(
            "clock",
            text,
            "a time service runs and has not set it yet: `timedatectl timesync-status`, or `chronyc sources`",
        )
    if properties.get("CanNTP") == "yes":
        return warning("clock", text, "a time service is installed and switched off: `timedatectl set-ntp true`")
    return warning(
        "clock", text, "install systemd-timesyncd or chrony; in a container the clock is the host's: see to it there"
    )
