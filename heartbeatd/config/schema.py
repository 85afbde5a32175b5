"""How a dataclass is a table of settings: each field says of itself its kind, its default, what it is for, and its secrecy.

@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    name: str = option(Text("letters", "[a-z]"), REQUIRED, "What it is called.")

@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    agent: AgentConfig = section(AgentConfig, "The agent itself.")           # [agent]
    channels: tuple[Channel, ...] = tables("channel", Channel, "Where alerts go.")  # [[channel]], any number of them
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from keyword import iskeyword
from typing import Any, Final

from heartbeatd.config.options import Kind, Value
from heartbeatd.config.secrets import Secret

REQUIRED: Final = None  # in place of a default
_KEY = "heartbeatd"


@dataclass(frozen=True, slots=True)
class Option:
    """One key: its kind and default, and what it is for (plain text, whole sentences). `secret`: its value is a Secret;
    `suggested`: the example stands in the shipped file in place of the default."""

    kind: Kind
    default: Value | None  # as it would be written in the file
    about: str
    example: Value = ""
    secret: bool = False
    suggested: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A section `[name]`, or with `many` an array of tables `[[name]]`: the dataclass of its keys, and what it is for."""

    name: str
    type: type[Any]
    about: str
    many: bool
    field: str  # of the configuration's dataclass

    @property
    def heading(self) -> str:
        """E.g. `[agent]`, `[[channel]]`."""
        return f"[[{self.name}]]" if self.many else f"[{self.name}]"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with its place: `group.name`."""

    group: Group
    name: str
    option: Option

    @property
    def section(self) -> str:
        return self.group.name

    @property
    def key(self) -> str:
        """The key path, e.g. `agent.interval_seconds`."""
        return f"{self.section}.{self.name}"


def option(
    kind: Kind,
    default: Value | None,
    about: str,
    *,
    example: Value = "",
    secret: bool = False,
    shown: bool = True,
    suggested: bool = False,
) -> Any:
    """A field that is a key. What a repr must not show is a `secret`, or not `shown`."""
    found = Option(kind, default, about, example, secret, suggested)
    checked: Any = MISSING
    if default is not REQUIRED:
        checked = Secret(str(kind.check(default))) if secret else kind.check(default)
    return field(default=checked, repr=shown, metadata={_KEY: found})


def section(of: type[Any], about: str) -> Any:
    """A field that is a section of the field's name."""
    return field(default_factory=of, metadata={_KEY: ("", of, about, False)})


def tables(name: str, of: type[Any], about: str) -> Any:
    """A field that is a tuple, one of `of` for each table `[[name]]`."""
    return field(default=(), metadata={_KEY: (name, of, about, True)})


def groups_of(root: type[Any]) -> tuple[Group, ...]:
    """The sections and arrays of tables of a configuration, in their order."""
    found = ((f.name, f.metadata[_KEY]) for f in fields(root) if _KEY in f.metadata)
    return tuple(Group(name or at, of, about, many, at) for at, (name, of, about, many) in found)


def options_of(table: type[Any]) -> dict[str, Option]:
    """The keys of a table, by name."""
    return {f.name.removesuffix("_"): f.metadata[_KEY] for f in fields(table) if _KEY in f.metadata}


def field_of(key: str) -> str:
    """The name of a key's field: `for`, which is a word of Python, is `for_`."""
    return f"{key}_" if iskeyword(key) else key


def settings_of(root: type[Any]) -> Iterator[Setting]:
    """Every key there is."""
    for group in groups_of(root):
        for name, found in options_of(group.type).items():
            yield Setting(group, name, found)


def names_of(root: type[Any]) -> frozenset[str]:
    """The names of all sections and keys."""
    return frozenset(name for setting in settings_of(root) for name in (setting.section, setting.name))
