"""Whether the database can be used."""

import os
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.config import Config
from heartbeatd.ctl import service
from heartbeatd.ctl.check.finding import Finding, error, ok
from heartbeatd.errors import StoreError
from heartbeatd.process import Process
from heartbeatd.sinks.reader import open_to_read

STATE = Path("/var/lib/heartbeat")


def look(config: Config, process: Process) -> Iterator[Finding]:
    """The folder, then the file in it."""
    path = Path(config.storage.path)
    try:
        is_folder = path.parent.is_dir()
    except OSError as failed:
        yield error(
            "storage",
            f"{path.parent}: {failed.strerror}",
            f"the user {service.USER} has to get there: choose another folder for storage.path, or open the way to this one",
        )
        return
    if not is_folder:
        yield _no_folder(path.parent)
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        yield error("storage", f"{path.parent} cannot be written", _hint(path))
    elif not path.exists():
        yield ok("storage", f"{path} will be created")
    elif not os.access(path, os.R_OK | os.W_OK):
        yield error("storage", f"{path} cannot be read and written", _hint(path))
    else:
        yield from _database(path)


def _no_folder(folder: Path) -> Finding:
    if folder == STATE:
        return ok("storage", f"there is no folder {folder}; systemd makes it at the first start")
    return error(
        "storage",
        f"there is no folder {folder}",
        f"install -d -o {service.USER} -g {service.USER} -m 750 {folder}",
    )


def _database(path: Path) -> Iterator[Finding]:
    try:
        connection = open_to_read(path)
    except StoreError as failed:
        for problem in failed.problems:
            yield error("storage", f"{problem.where}: {problem.what}", problem.hint)
        return
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    taken_over = "alert_state" not in tables and "metrics" in tables
    yield ok(
        "storage",
        f"{path} is the earlier agent's; it will be taken over, every row kept"
        if taken_over
        else f"{path} can be used",
    )


def _hint(path: Path) -> str:
    """What makes the database's folder the agent's to write in."""
    hint = f"chown -R {service.USER}:{service.USER} {path.parent}"
    if path.parent != STATE:
        hint += f", and a drop-in for the unit with ReadWritePaths={path.parent}"
    return hint
