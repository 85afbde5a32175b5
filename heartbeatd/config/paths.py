"""The kinds of setting that are a path. Nothing here opens a file."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from heartbeatd.config.options import list_of, text_of


@dataclass(frozen=True, slots=True)
class Path:
    """An absolute path, or "" where `optional`."""

    optional: bool = False

    @property
    def allowed(self) -> str:
        return "an absolute path" + (' or ""' if self.optional else "")

    def check(self, value: object) -> str:
        text = text_of(value)
        if text == "" and self.optional:
            return text
        if not text.startswith("/"):
            raise ValueError("it does not begin with /, so it is not an absolute path")
        if "\0" in text:
            raise ValueError("it has a NUL in it")
        return text


@dataclass(frozen=True, slots=True)
class MountPoints:
    """A list of absolute paths."""

    allowed: str = "a list of at most 8 absolute paths"
    most: int = 8  # each has a thread of its own

    def check(self, value: object) -> tuple[str, ...]:
        given = list_of(value, '["/…"]')
        if len(given) > self.most:
            raise ValueError(f"it has {len(given)} paths")
        for number, path in enumerate(given, 1):
            try:
                Path().check(path)
            except ValueError as error:
                raise ValueError(f"path {number}: {error}") from None
        return tuple(dict.fromkeys(path.rstrip("/") or "/" for path in given))


@dataclass(frozen=True, slots=True)
class NewFile:
    """The absolute path of a file that is made, with others beside it, in a folder that may be given away for that."""

    allowed: str = "the absolute path of a file, in a folder of its own"

    def check(self, value: object) -> str:
        text = Path().check(value)
        path = PurePosixPath(text)
        if ".." in path.parts:
            raise ValueError("it has .. in it")
        if text.endswith(("/", "/.")):
            raise ValueError("it is the path of a folder, not of a file")
        if of_the_system(path.parent):
            raise ValueError("its folder belongs to the system, and cannot be the agent's to write in")
        return text


# Folders that no service may be given, with all below them; and those that only hold the folders of others.
_SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/sbin")
_SHARED = (
    *(
        "/",
        "/dev",
        "/dev/shm",
        "/home",
        "/media",
        "/opt",
        "/root",
        "/run",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/local",
        "/usr/share",
    ),
    *(
        "/var",
        "/var/backups",
        "/var/cache",
        "/var/lib",
        "/var/local",
        "/var/log",
        "/var/mail",
        "/var/opt",
        "/var/spool",
        "/var/tmp",
    ),
)


def of_the_system(folder: PurePosixPath) -> bool:
    """True for a folder that is not to be given to a service, such as `/etc/x` or `/var/lib`; `/var/lib/x` may be."""
    path = "/" + str(folder).lstrip("/")
    return path in _SHARED or any(path == tree or path.startswith(f"{tree}/") for tree in _SYSTEM)
