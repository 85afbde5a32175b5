"""Whether the agent has failed, as systemd tells it, and how."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.failure_alert.notes import failing_for

UNIT = "heartbeatd.service"
WATCHING = Path("/run/heartbeatd/watching")
SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How the agent ended: systemd's `Result`, and the exit status or signal.

    `lasting_s` is for how long systemd has been starting it again and again; None if it has given it up.
    """

    result: str
    status: str
    lasting_s: float | None = None

    @property
    def refused(self) -> bool:
        return self.result == "exit-code" and self.status in ("78", "CONFIG")

    @property
    def cause(self) -> str:
        """In a few words, e.g. `exit-code 226`."""
        if self.refused:
            return "configuration refused"
        more = f" {self.status}" if self.status and self.result in ("exit-code", "signal", "core-dump") else ""
        return f"{self.result or 'unknown'}{more}"


def find_failure() -> Failure | None:
    """The failure to tell; None if there is none, if it has not lasted long enough, or if somebody stopped the agent."""
    by = os.environ.get("MONITOR_UNIT", UNIT)
    result, status = (os.environ.get(f"MONITOR_{name}", "") for name in ("SERVICE_RESULT", "EXIT_STATUS"))
    if by != UNIT and status == "1":
        return None  # started for heartbeatd-failed.service, which ran and could not deliver
    if "MONITOR_UNIT" in os.environ:
        time.sleep(SETTLE_S)  # from version 254 on, OnFailure= also counts failures that systemd recovers from
    unit = agent_unit()
    if not unit:  # systemd does not answer: better told once too often
        return Failure(result, status) if by == UNIT else None
    if stop_took_too_long(unit):
        return None
    if unit["ActiveState"] == "failed":
        return Failure(unit["Result"], unit["ExecMainStatus"])
    least_s = float(os.environ.get("LASTING_SECONDS", "100"))
    lasting_s = failing_for(int(unit["NRestarts"] or 0), time.monotonic())
    return restart_failure(unit, lasting_s, least_s / 8) if lasting_s >= least_s else None


def restart_failure(unit: dict[str, str], lasting_s: float, grace_s: float) -> Failure | None:
    """Why systemd restarts it again and again; None if it is up, and has finished a cycle after `grace_s`."""
    if unit["ActiveState"] == "active":
        time.sleep(grace_s)
        return None if WATCHING.exists() else Failure(unit["Result"], "", lasting_s)
    for _ in range(10):
        if unit.get("Result", "success") != "success":  # it is success while systemd tries once more
            return Failure(unit["Result"], unit["ExecMainStatus"], lasting_s)
        time.sleep(0.5)
        unit = agent_unit()
    return Failure("", "", lasting_s)


def stop_took_too_long(unit: dict[str, str]) -> bool:
    """True if somebody had it stopped, and it could not end in time: a thread that waits for a frozen filesystem cannot.

    Whatever else takes too long is started again by `Restart=always`, unless its exit status is that of a refusal.
    """
    stopped = (unit["ActiveState"], unit["Result"], unit["Restart"]) == ("failed", "timeout", "always")
    return stopped and unit["ExecMainStatus"] != "78"


def agent_unit() -> dict[str, str]:
    """Properties of the agent's unit; empty if systemd does not answer."""
    names = ("ActiveState", "Result", "ExecMainStatus", "NRestarts", "Restart")
    words = ["systemctl", "show", UNIT, *(f"--property={name}" for name in names)]
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    return found if set(names) <= set(found) else {}
