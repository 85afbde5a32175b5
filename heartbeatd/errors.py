"""The errors this project raises on purpose, one family.

Each says what is wrong, where, and what to do about it, so that a user never meets a traceback. An error that is not of
this family is a defect of ours. No message carries a secret: URLs are put through `core.redact.redact_url` first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses of both commands; the names and numbers are those of sysexits.h where it has one."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3  # as `systemctl status` answers for a service that is not active
    NOT_ALLOWED = 77  # EX_NOPERM
    CONFIG = 78  # EX_CONFIG; the unit's RestartPreventExitStatus= names it


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `where` (file, line, key path), `what` it is, and `hint`, what would be right.

    `shown` is the line of the file, without what may be a secret; for a person's terminal. `errno` is the system's number for
    what it refused (errno(3)), 0 where it refused nothing.
    """

    where: str
    what: str
    hint: str = ""
    shown: str = ""
    errno: int = 0

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class HeartbeatdError(Exception):
    """Something outside the program is wrong; `problems` lists each thing once."""

    exit_code = ExitCode.FAILED

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[object, ...]:
        """What pickle makes it of again: the problems, not their text."""
        return type(self), (self.problems,), self.__dict__


class ConfigError(HeartbeatdError):
    """The configuration is refused; all that is wrong with it is listed at once."""

    exit_code = ExitCode.CONFIG


class UsageError(HeartbeatdError):
    """What was asked for on the command line makes no sense."""

    exit_code = ExitCode.USAGE


class NotAllowedError(HeartbeatdError):
    """Whoever runs this may not read what has to be read. Nothing is known to be wrong with it."""

    exit_code = ExitCode.NOT_ALLOWED


class StoreError(HeartbeatdError):
    """The database could not be opened, read or written. What was to be stored is still to be stored.

    `code` is SQLite's primary result code, or 0.
    """

    code = 0


class CorruptStoreError(StoreError):
    """The file is there but is not a database any more."""


class StoreNotAllowedError(StoreError, NotAllowedError):
    """The database is not for this user."""
