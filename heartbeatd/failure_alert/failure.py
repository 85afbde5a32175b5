"""Whether the agent has failed, as systemd tells it, and how."""

import os
import subprocess
import time
from pathlib import Path

from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.failure_alert.notes import Notes

UNIT = "heartbeatd.service"
WATCHING = Path("/run/heartbeatd/watching")
SETTLE_S = 2.0


def find_failure(notes: Notes) -> AgentFailure | None:
    """The failure to tell; None if there is none, if it has not lasted long enough, or if somebody stopped the agent."""
    by = os.environ.get("MONITOR_UNIT", UNIT)
    result, status = (os.environ.get(f"MONITOR_{name}", "") for name in ("SERVICE_RESULT", "EXIT_STATUS"))
    if by != UNIT and status == "1":
        return None  # started for heartbeatd-failed.service, which ran and broke off: so would this
    if "MONITOR_UNIT" in os.environ:
        time.sleep(SETTLE_S)  # from version 254 on, OnFailure= also counts failures that systemd recovers from
    unit = agent_unit()
    if not unit:  # systemd does not answer: better told once too often
        return AgentFailure(result, status) if by == UNIT else None
    if stop_took_too_long(unit):
        return None
    if unit["ActiveState"] == "failed":
        return AgentFailure(unit["Result"], unit["ExecMainStatus"])
    least_s = float(os.environ.get("LASTING_SECONDS", "100"))
    lasting_s = notes.failing_for(int(unit["NRestarts"] or 0), time.monotonic())
    return restart_failure(unit, lasting_s, least_s / 8) if lasting_s >= least_s else None


def restart_failure(unit: dict[str, str], lasting_s: float, grace_s: float) -> AgentFailure | None:
    """Why systemd restarts it again and again; None if it is up, and has finished a cycle after `grace_s`."""
    if unit["ActiveState"] == "active":
        time.sleep(grace_s)
        return None if WATCHING.exists() else AgentFailure(unit["Result"], "", lasting_s)
    for _ in range(10):
        if unit.get("Result", "success") != "success":  # it is success while systemd tries once more
            return AgentFailure(unit["Result"], unit["ExecMainStatus"], lasting_s)
        time.sleep(0.5)
        unit = agent_unit()
    return AgentFailure("", "", lasting_s)


def is_over() -> bool:
    """True if the agent has finished a cycle, or was stopped by somebody: there is nothing to tell any more."""
    return WATCHING.exists() or agent_unit().get("ActiveState") == "inactive"


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
