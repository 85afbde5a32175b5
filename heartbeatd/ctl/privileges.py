"""As whom heartbeatctl acts: root reads the configuration and the credentials, and nothing else.

What the agent's user owns, whoever takes over the agent can replace: the database, or the folder it is in, by a link to a file
of root's. So before a database is opened, root becomes the user that could have put something else there.
"""

import errno
import os
import pwd
import stat
from pathlib import Path

from heartbeatd.config.load import DEFAULT_PATH, load
from heartbeatd.config.model import Config
from heartbeatd.config.secrets import Credentials
from heartbeatd.ctl import service
from heartbeatd.errors import ConfigError, NotAllowedError, Problem, StoreError
from heartbeatd.files import read_regular

NOBODY = 65534
BEGAN_AS_ROOT = os.geteuid() == 0  # when this was loaded, which is before anything is given up
MOST_LINKS = 40  # as many as the kernel follows


def configuration(path: Path, credentials: Credentials | None = None) -> Config:
    """The configuration with `credentials`, by default the service's.

    Raises NotAllowedError if we may not read the file or them, else ConfigError.
    """
    if os.geteuid() == 0:
        return load(path, service.credentials() if credentials is None else credentials)
    try:
        read_regular(path, 0)
    except PermissionError:
        raise NotAllowedError(Problem(str(path), f"the user {user_name()} may not read it")) from None
    except OSError:
        pass  # `load` says what is wrong
    try:
        return load(path, service.credentials() if credentials is None else credentials)
    except ConfigError as refused:
        for problem in refused.problems:  # the file that holds the key, for the agent alone to read
            if problem.errno == errno.EACCES:
                raise NotAllowedError(problem) from None
        # A key that is missing may be one that only root can see.
        if is_of_service(path) and service.credentials_hidden():
            raise NotAllowedError(Problem("credentials of the service", "only root may read them")) from None
        raise


def is_of_service(config_file: Path) -> bool:
    """True for the configuration that heartbeatd.service runs by."""
    try:
        return config_file == DEFAULT_PATH or config_file.samefile(DEFAULT_PATH)
    except OSError:
        return False


def user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def drop_privileges(config_file: Path, database: Path) -> None:
    """As root, act from here on as the agent: with the service's configuration as its user, else as the database's owner.

    Root stays root only where nobody else can change what is on the way to the database. Raises StoreError if others can,
    and are not its owner.
    """
    if os.geteuid() != 0 or (is_of_service(config_file) and become_user()):
        return
    become_owner(database)


def become_owner(path: Path) -> None:
    """As root, act from here on as whoever could have put something else at `path`; as root still, if nobody else could.

    Raises StoreError if others than an owner could.
    """
    owner = _first_other_owner(path)
    if owner:
        try:
            _become(owner)
        except OSError as error:
            raise StoreError(Problem(str(path), f"root cannot act as its owner: {error.strerror}")) from None


def become_user() -> bool:
    """As root, act as the service's user from here on; False if we are not root, or there is no such user."""
    if os.geteuid() != 0:
        return False
    try:
        _become(pwd.getpwnam(service.USER).pw_uid)
    except KeyError:
        return False
    return True


def _become(uid: int) -> None:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        os.setgroups([])
        os.setgid(NOBODY)
    else:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
    os.setuid(uid)


def _first_other_owner(path: Path) -> int:
    """The uid of the first on the way to `path`, links included, that is not root's; 0 if all is root's.

    Raises StoreError at a folder of root's in which others could put something else.
    """
    here, ahead, links = Path("/"), list(path.absolute().parts[1:]), 0
    while ahead:
        folder, here = here, (here.parent if ahead[0] == ".." else here / ahead[0])
        del ahead[0]
        try:
            found = here.lstat()
        except OSError:  # not there: whoever may write into the folder could make it
            _require_only_roots(folder, sticky_helps=False)
            return 0
        if found.st_uid != 0:
            return found.st_uid
        _require_only_roots(folder, sticky_helps=True)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            target = here.readlink()
            ahead[:0] = target.parts[1:] if target.is_absolute() else target.parts
            here = Path("/") if target.is_absolute() else folder
            if links > MOST_LINKS:
                raise StoreError(Problem(str(path), "too many symbolic links"))
    return 0


def _require_only_roots(folder: Path, *, sticky_helps: bool) -> None:
    """Raises StoreError if others than root can put something else into the folder; what is there is safe if it is sticky."""
    found = folder.stat()
    others = found.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if found.st_gid else 0))
    if others and not (sticky_helps and found.st_mode & stat.S_ISVTX):
        raise StoreError(
            Problem(
                str(folder),
                "others than root can write there, so root opens no database in it",
                "run heartbeatctl as the user that the agent runs as: sudo -u USER heartbeatctl …",
            )
        )
