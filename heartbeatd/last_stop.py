"""How the run before this one ended, from what `ExecStopPost=` left in the state directory (`systemd/last-stop`)."""

import os
from pathlib import Path

from heartbeatd.core.gap import Ending
from heartbeatd.files import read_regular

LARGEST_BYTES = 4096


def take() -> Ending | None:
    """What was left, which is then gone; None if nothing was, or nothing that can be read: then the database has to tell."""
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        return None
    path = Path(folder) / "last-stop"
    try:
        text = read_regular(path, LARGEST_BYTES).decode(errors="replace")
        said = dict(line.partition("=")[::2] for line in text.splitlines())
        path.unlink()
    except OSError:
        return None
    return Ending(
        boot_id=said.get("boot_id", ""),
        result=said.get("result", ""),
        exit_status=said.get("exit_status", ""),
        system_stopping=said.get("system") == "stopping",
    )
