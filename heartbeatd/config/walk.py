"""From a mapping, as TOML gives it, to the dataclasses of schema.py: the values, and every error with its key path."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from heartbeatd.config.options import right
from heartbeatd.config.schema import REQUIRED, Group, Option, field_of, groups_of, names_of, options_of, settings_of
from heartbeatd.config.secrets import Origin, OriginKind, Secret
from heartbeatd.core.redact import shown_name
from heartbeatd.errors import Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A file, and where in it each key stands."""

    file: str
    lines: Mapping[tuple[str, ...], int]

    def of(self, key: str, shown: str | None = None) -> str:
        """E.g. `config.toml, line 7: agent.hostname`; with `shown` that in place of the key, or nothing."""
        line = self.lines.get(tuple(key.split(".", 1)))
        at = f"{self.file}, line {line}" if line else self.file
        name = key if shown is None else shown
        return f"{at}: {name}" if name else at


@dataclass(frozen=True, slots=True)
class Walked(Generic[T]):
    """`value` has the default of each key in `refused`, and lacks each table of an array without a key that it needs."""

    value: T
    problems: tuple[Problem, ...]
    refused: frozenset[str]


def walk(root: type[T], mapping: Mapping[str, object], place: Place) -> Walked[T]:
    """The tables of an array are counted from 1, as lines are: `channel[2].url`."""
    problems = list(_unknown(root, mapping, place))
    refused: set[str] = set()
    values: dict[str, Any] = {}
    for group in groups_of(root):
        made = []
        for path, table in _tables(group, mapping.get(group.name)):
            found: dict[str, Any] = {}
            needed = 0
            for name, option in options_of(group.type).items():
                value = _value(option, table.get(name), path, name, place)
                if isinstance(value, Problem):
                    problems.append(value)
                    refused.add(f"{path}.{name}")
                    needed += option.default is REQUIRED
                elif value is not None:
                    found[field_of(name)] = value
            if not needed:
                made.append(group.type(**found))
        values[group.field] = tuple(made) if group.many else made[0]
    return Walked(root(**values), tuple(problems), frozenset(refused))


def _tables(group: Group, given: object) -> list[tuple[str, Mapping[str, object]]]:
    """Each with its key path. A section that is not there is an empty one."""
    if group.many:
        tables = given if isinstance(given, list) else []
        return [(f"{group.name}[{n}]", table) for n, table in enumerate(tables, 1) if isinstance(table, Mapping)]
    return [(group.name, given if isinstance(given, Mapping) else {})]


def _value(option: Option, given: object, path: str, name: str, place: Place) -> object:
    """The value to be used; None if it is not set, and has a default; a Problem if it is refused, or needed and not there."""
    key = f"{path}.{name}"
    if given is None:
        missing = Problem(place.of(path, key), "is missing", f"allowed: {option.kind.allowed}")
        return missing if option.default is REQUIRED else None
    try:
        value = option.kind.check(given)
    except ValueError as error:
        return Problem(place.of(key), str(error), right(error, option.kind))
    return (
        Secret(str(value), Origin(OriginKind.SETTING, place.file, key) if value else None) if option.secret else value
    )


def _unknown(root: type[Any], mapping: Mapping[str, object], place: Place) -> Iterator[Problem]:
    """Sections and keys that do not exist, each with the nearest that does; named where the name can be no secret."""
    groups = {group.name: group for group in groups_of(root)}
    for name, given in mapping.items():
        if name not in groups:
            where = place.of(name, shown_name(name, names_of(root)))
            yield Problem(where, "there is no such section or key", nearest(root, name))
        elif misplaced := _misplaced(groups[name], given):
            yield Problem(place.of(name), *misplaced)
        else:
            for path, table in _tables(groups[name], given):
                yield from _unknown_keys(root, groups[name], path, table, place)


def _misplaced(group: Group, given: object) -> tuple[str, str] | None:
    """What is wrong with something that is no section, or no array of tables, and what would be right."""
    if group.many:
        if isinstance(given, list) and all(isinstance(table, Mapping) for table in given):
            return None
        what = "stands in single brackets" if isinstance(given, Mapping) else "is an array of tables, not a key"
        return what, f"write {group.heading} on a line of its own"
    if isinstance(given, Mapping):
        return None
    what = "stands in double brackets" if isinstance(given, list) else "is a section, not a key"
    return what, f"write {group.heading} on a line of its own"


def _unknown_keys(
    root: type[Any], group: Group, path: str, table: Mapping[str, object], place: Place
) -> Iterator[Problem]:
    for key in table:
        if key not in options_of(group.type):
            shown = shown_name(key, names_of(root))
            where = place.of(f"{path}.{key}", f"{path}.{shown}" if shown else "")
            yield Problem(where, f"there is no such key in {group.heading}", nearest(root, group.name, key))


def nearest(root: type[Any], section: str, key: str = "") -> str:
    """The real section or key that is most like it: the same word elsewhere first, then one of the same section."""
    import difflib

    def like(word: str, words: list[str]) -> list[str]:
        return difflib.get_close_matches(word, words, n=1, cutoff=0.6)

    word, known, settings = key or section, names_of(root), list(settings_of(root))
    sections = [] if key else like(section, [group.name for group in groups_of(root)])
    here = like(word, [s.name for s in settings if s.section == section])
    names = [word] if word in known else here or like(word, [s.name for s in settings])
    near = sections or [
        s.key for s in settings if s.name in names and (not here or s.section == section or word in known)
    ]
    return f"did you mean {' or '.join(near[:2])}?" if near else "see heartbeat-config.toml(5)"
