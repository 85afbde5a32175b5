"""The configuration: a file becomes a mapping, a mapping becomes a frozen `Config`, or every error there is, at once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from heartbeatd.config.alerts import WEBHOOK, ChannelConfig
from heartbeatd.config.model import Config, kind_of
from heartbeatd.config.paths import of_the_system
from heartbeatd.config.resolve import resolve_secrets
from heartbeatd.config.schema import names_of
from heartbeatd.config.secrets import Credentials
from heartbeatd.config.services import check_services
from heartbeatd.config.toml_text import Document, understood
from heartbeatd.config.unreadable import reading_hint
from heartbeatd.config.walk import Place, walk
from heartbeatd.config.watching import check_rules
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import NotRegularFile, decoded, read_regular, require_regular

DEFAULT_PATH = Path("/etc/heartbeat/config.toml")
LARGEST_FILE_BYTES = 1 << 20
LONGEST_LINE = 10_000
# What may be repeated of a file in which a secret may stand anywhere.
NAMES = names_of(Config)
_NO_CREDENTIALS: Credentials = {}
_NO_LINES: Mapping[tuple[str, ...], int] = {}


def load(path: Path, credentials: Credentials = _NO_CREDENTIALS) -> Config:
    """The configuration in the file `path`, with the credentials that were passed, if any were.

    Raises ConfigError naming the file, each key path, what is wrong and what would be right.
    """
    document = read(path)
    return parse(document.mapping, str(path), credentials, document.lines)


def read(path: Path) -> Document:
    """What the TOML file says. Raises ConfigError if it cannot be read, is too large, or is not TOML."""
    where = str(path)
    try:
        data = read_regular(path, LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(Problem(where, f"cannot be read: {error.strerror}", reading_hint(error, path))) from None
    if len(data) > LARGEST_FILE_BYTES:
        raise ConfigError(Problem(where, "is larger than 1 MiB", "a configuration has a few dozen lines"))
    try:
        text = decoded(data)
    except ValueError as error:
        raise ConfigError(Problem(where, str(error), "save the file as UTF-8 text")) from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:  # tomllib may need minutes for one
            what = f"is longer than {LONGEST_LINE} characters"
            raise ConfigError(Problem(f"{where}, line {number}", what, "a setting is one line of its own"))
    return understood(text, where, NAMES)


def parse(
    mapping: Mapping[str, object],
    where: str = "",
    credentials: Credentials = _NO_CREDENTIALS,
    lines: Mapping[tuple[str, ...], int] = _NO_LINES,
) -> Config:
    """The configuration in a mapping of sections; `lines` says where each stands. Raises ConfigError.

    Reads the file that holds the key and the time zone's, and looks at what is at `storage.path`.
    """
    place = Place(where, lines)
    walked = walk(Config, mapping, place)
    config, problems = resolve_secrets(walked.value, place, credentials)
    if not problems and "heartbeat.secret_key" not in walked.refused:
        problems += _without_key(config, place)
    problems += check_names(config.channels, place)
    problems += check_rules(config.rules, place)
    problems += check_services(config.services, place)
    if "storage.path" not in walked.refused:
        problems += _no_database(config, place)
    if walked.problems or problems:
        raise ConfigError([*walked.problems, *problems])
    return config


def _without_key(config: Config, place: Place) -> Iterator[Problem]:
    if config.heartbeat.url and not config.heartbeat.secret_key:
        yield Problem(
            f"{place.file}: heartbeat.secret_key",
            "is missing, but heartbeat.url is set",
            "`heartbeatctl set-secret` stores it encrypted; or set heartbeat.secret_key or heartbeat.secret_key_file",
        )


def check_names(channels: Sequence[ChannelConfig], place: Place) -> Iterator[Problem]:
    """What is wrong with the names of channels, by which their alerts are queued."""
    names = [channel.name for channel in channels]
    for number, name in enumerate(names, 1):
        key = f"channel[{number}].name"
        if not name:
            yield Problem(place.of(key), "is empty", f"allowed: {kind_of('channel.name').allowed}")
        elif name == WEBHOOK:
            yield Problem(place.of(key), "is the name of the channel that alerts.webhook_url is", "give it another")
        elif name in names[: number - 1]:
            yield Problem(place.of(key), f"is that of channel[{names.index(name) + 1}], too", "give it another")


def _no_database(config: Config, place: Place) -> Iterator[Problem]:
    try:
        _look_at_database(Path(config.storage.path))
    except ValueError as error:
        yield Problem(place.of("storage.path"), str(error), f"allowed: {kind_of('storage.path').allowed}")


def _look_at_database(path: Path) -> None:
    """Raises ValueError if something there can be no database, or its folder is one of the system's by another name."""
    try:
        if of_the_system(PurePosixPath(path.parent.resolve())):
            raise ValueError("its folder leads to one that belongs to the system")
        require_regular(path)
    except NotRegularFile as error:
        raise ValueError(error.strerror) from None
    except (OSError, RuntimeError):  # it is not there yet, or not for us to see; opening it will tell
        return
