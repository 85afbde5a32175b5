"""How the run before this one ended, from what `ExecStopPost=` left (`systemd/last-stop`)."""

import os
from pathlib import Path

from heartbeatd.core.gap import ExitRecord
from heartbeatd.files import read_regular

LARGEST_BYTES = 4096
FAILURE_TOLD = Path("/run/heartbeatd-failed/told")  # see failure_alert/


def consume() -> ExitRecord | None:
    """What was left, which is then gone; None if nothing was, or nothing that can be read: then the database has to tell."""
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        return None
    # In memory is what could not be written to the disk, so it is the younger one; none is left for a later start.
    found = [_taken(path) for path in (FAILURE_TOLD.with_name("last-stop"), Path(folder) / "last-stop")]
    return next((ending for ending in found if ending is not None), None)


def _taken(path: Path) -> ExitRecord | None:
    try:
        text = read_regular(path, LARGEST_BYTES).decode(errors="replace")
        said = dict(line.partition("=")[::2] for line in text.splitlines())
        path.unlink()
    except OSError:
        return None
    return ExitRecord(
        boot_id=said.get("boot_id", ""),
        result=said.get("result", ""),
        exit_status=said.get("exit_status", ""),
        system_stopping=said.get("system") == "stopping",
        was_watching=said.get("watching") == "yes",
    )


def failure_told() -> bool:
    """True if heartbeatd-failed.service has told somebody that the agent does not run, and nobody has said yet that it does.

    Only for an agent that systemd has started: another one's failure is not told.
    """
    return bool(os.environ.get("RUNTIME_DIRECTORY")) and FAILURE_TOLD.exists()
