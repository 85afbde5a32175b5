"""The exit record of the run before this one, as `systemd/exit-record` (ExecStopPost=) left it in a file called last-stop."""

import contextlib
import os
from pathlib import Path

from heartbeatd.cancel import CancelToken, SerialWorker, TimedOut
from heartbeatd.core.gap import ExitRecord
from heartbeatd.files import read_regular

LARGEST_BYTES = 4096
ANSWER_S = 1.0
FAILURE_HEARD = Path("/run/heartbeatd-failed/heard")  # see failure_alert/notes.py


def consume(cancel: CancelToken) -> ExitRecord | None:
    """Take the exit record away; None if there is none, or none that can be read: then the database has to tell.

    A disk that does not answer is waited for no longer than `ANSWER_S`; one that can be read and not written, as a frozen
    filesystem, not even for that.
    """
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        return None
    # The one in memory was not written to the disk, so it is the newer one; neither is left for a later start.
    paths = (FAILURE_HEARD.with_name("last-stop"), Path(folder) / "last-stop")
    worker = SerialWorker("exit record")
    try:
        found = worker.start(lambda: list(map(_read, paths)), cancel.deadline(ANSWER_S), cancel).result()
    except TimedOut:
        found = []
    else:
        worker.queue(lambda: list(map(_remove, paths)), 0, cancel)
    worker.close()
    return next((record for record in found if record is not None), None)


def _read(path: Path) -> ExitRecord | None:
    try:
        text = read_regular(path, LARGEST_BYTES).decode(errors="replace")
    except OSError:
        return None
    fields = dict(line.partition("=")[::2] for line in text.splitlines())
    return ExitRecord(
        boot_id=fields.get("boot_id", ""),
        result=fields.get("result", ""),
        exit_status=fields.get("exit_status", ""),
        system_stopping=fields.get("system") == "stopping",
        was_watching=fields.get("watching") == "yes",
    )


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def failure_told() -> bool:
    """True if a channel has been told of a failure, and nothing yet of its end.

    Only for an agent that systemd has started: no other one's failure is told.
    """
    return bool(os.environ.get("RUNTIME_DIRECTORY")) and FAILURE_HEARD.exists()
