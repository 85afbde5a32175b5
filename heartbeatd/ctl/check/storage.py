"""Whether the database can be used."""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from heartbeatd.cancel import TimedOut
from heartbeatd.ctl.check.files import HOMES, TEMPORARY, is_hidden
from heartbeatd.ctl.check.finding import Finding, error, ok
from heartbeatd.ctl.check.situation import Situation, database_of, is_read_only
from heartbeatd.ctl.child_process import run_in_child
from heartbeatd.ctl.privileges import is_of_service, user_name
from heartbeatd.ctl.service import USER
from heartbeatd.errors import StoreError
from heartbeatd.files import identity
from heartbeatd.runtime import Runtime
from heartbeatd.store import hints
from heartbeatd.store.disk_files import ForeignLink, resolve_link
from heartbeatd.store.guard import DEADLINE_S
from heartbeatd.store.lock import held_by
from heartbeatd.store.reader import Reader

LIMIT_S = DEADLINE_S + 2.0
THAW = "is the filesystem frozen (fsfreeze), or its disk or server gone?"
STATE = Path("/var/lib/heartbeat")
OWN = Path("/srv/heartbeat")  # what is proposed where storage.path is in no folder of the agent's own


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """What is found within `LIMIT_S`, in a process apart: on a frozen filesystem it would wait, and could not be ended."""
    try:
        yield from run_in_child("storage", lambda: list(_findings(situation)), LIMIT_S)
    except TimedOut:
        yield frozen(situation.config.storage.path)


def frozen(path: str) -> Finding:
    """The filesystem keeps whoever looks waiting."""
    what = f"the file or its filesystem did not answer within {LIMIT_S:g} s"
    return error("storage", f"{path}: {what}", THAW)


def _findings(situation: Situation) -> Iterator[Finding]:
    """The folder, then the file in it."""
    path = database_of(situation.config)
    wrong = _link(Path(situation.config.storage.path)) or _folder(path.parent, situation)
    if wrong is not None:
        yield wrong
        return
    if path.parent == STATE and not STATE.exists():
        yield ok("storage", f"there is no folder {STATE}; systemd makes it at the first start")
    elif not path.exists():
        yield ok("storage", f"{path} will be created")
    elif closed := [file for file in _with_what_is_beside(path) if not os.access(file, os.R_OK)]:
        for file in closed:
            yield unreadable(file, user_name())
    elif other := _other_agent(path, situation):
        yield in_use(path, other)
    else:
        yield from _database(Path(situation.config.storage.path))


def _link(path: Path) -> Finding | None:
    """Where the database may not be looked for."""
    try:
        resolve_link(path)
    except ForeignLink as failed:
        return not_followed(path, failed)
    except OSError:
        pass  # what is wrong with a folder on the way is found next
    return None


def not_followed(path: Path, failed: OSError) -> Finding:
    return error("storage", f"{path}: {failed.strerror}")


def _other_agent(path: Path, situation: Situation) -> int:
    """The process that has the database in place of the service; 0 if none has, or another configuration is looked at."""
    service = situation.service
    holder = held_by(path) if is_of_service(situation.path) else 0
    return 0 if service is not None and holder == service.pid else holder


def _folder(folder: Path, situation: Situation) -> Finding | None:
    """What keeps a database from being made in `folder`; None if nothing does."""
    found = identity(folder)
    hidden = is_hidden(folder, situation)
    if hidden and (not situation.sandboxed or found is None or found != situation.folder):
        text = f"the service has another {folder} than others: {hidden} in its unit"
        return error("storage", text, _own_folder(folder, user_name()))
    if found is None:
        if folder == STATE:
            return None
        shut = next((above for above in reversed(folder.parents) if not os.access(above, os.X_OK)), None)
        if shut is not None:
            return out_of_reach(folder, shut, user_name())
        return error("storage", f"there is no folder {folder}", _own_folder(folder, user_name(), is_new=True))
    if not folder.is_dir():
        return error("storage", f"{folder} is not a folder", _own_folder(folder, user_name()))
    if is_read_only(folder):
        return mounted_read_only(folder, situation, user_name())
    if not os.access(folder, os.W_OK | os.X_OK):
        return unwritable(folder, user_name())
    return None


def unreadable(file: Path, user: str) -> Finding:
    """A file of the database."""
    return error("storage", f"the user {user} cannot read {file}", _given_to_the_agent(file))


def in_use(path: Path, pid: int) -> Finding:
    """The database is another agent's."""
    text = f"another heartbeatd (pid {pid}) has {path}: the service is refused while that one runs"
    return error("storage", text, "stop that one, or name another storage.path")


def out_of_reach(folder: Path, shut: Path, user: str) -> Finding:
    """A folder on the way is `shut`."""
    text = f"the user {user} cannot get to {folder}: it may not enter {shut}"
    return error("storage", text, _own_folder(folder, user))


def unwritable(folder: Path, user: str) -> Finding:
    """By its owner and mode."""
    return error("storage", f"the user {user} cannot write in {folder}", _own_folder(folder, user))


def mounted_read_only(folder: Path, situation: Situation, user: str) -> Finding:
    """For all, or for the service alone."""
    if not situation.sandboxed or situation.read_only:
        return error("storage", f"the filesystem of {folder} is mounted read-only", "mount it to be written to")
    return read_only_in_sandbox(folder, user, is_ours=folder.stat().st_uid == os.geteuid())


def read_only_in_sandbox(folder: Path, user: str, *, is_ours: bool) -> Finding:
    """It could be written from outside."""
    return error(
        "storage",
        f"{folder} is read-only for the service: ReadWritePaths= of its unit does not name it",
        hints.allow_writing(folder) if is_ours else _own_folder(folder, user),
    )


def _own_folder(folder: Path, user: str, *, is_new: bool = False) -> str:
    """The commands for a folder of the agent's own: `folder` itself, if that is plainly meant to be one."""
    if folder == STATE:
        return _given_to_the_agent(folder / "metrics.db")
    meant = is_new or folder.name.startswith(USER)
    own = folder if meant and not _is_private(folder) else OWN
    made = hints.make_folder(own, user, USER if user == USER else "")
    made += "" if own == folder else f', storage.path = "{own}/metrics.db"'
    return f"{made}, and {hints.allow_writing(own)}" if user == USER else made


def _given_to_the_agent(path: Path) -> str:
    """The command that makes the file the agent's; with what is beside it only in the agent's own state directory."""
    return f"chown -R {USER}:{USER} {STATE}" if path.parent == STATE else hints.give(path, USER, USER)


def _is_private(folder: Path) -> bool:
    """True for what ProtectHome= and PrivateTmp= keep from the service."""
    return any(folder.is_relative_to(top) for top in (*HOMES, *TEMPORARY))


def _with_what_is_beside(path: Path) -> list[Path]:
    """The files of the database that are there."""
    return [file for suffix in ("", "-wal", "-shm") if (file := path.with_name(path.name + suffix)).exists()]


def _database(path: Path) -> Iterator[Finding]:
    try:
        with contextlib.closing(Reader.open(path)) as reader:
            tables = reader.tables()
    except StoreError as failed:
        for problem in failed.problems:
            yield error("storage", f"{problem.where}: {problem.what}", problem.hint)
        return
    yield usable(path, tables, writable=all(os.access(file, os.W_OK) for file in _with_what_is_beside(path)))


def usable(path: Path, tables: Collection[str], *, writable: bool) -> Finding:
    """What the agent will do with a database that it can read."""
    if "alert_state" not in tables and "metrics" in tables:
        return ok("storage", f"{path} is the earlier agent's; it will be taken over, every row kept")
    if not writable:
        return ok(
            "storage", f"{path} belongs to somebody else; the agent will go on with a copy of its own in its place"
        )
    return ok("storage", f"{path} can be used")
