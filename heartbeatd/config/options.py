"""What a setting may be. A kind (`Whole`, `Number`, `Text` …) says in words what is allowed, and checks a value.

What it refuses it never repeats: a key may have been written anywhere by mistake. Nothing here opens a file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Value = int | float | str | Sequence[str] | Mapping[str, str]  # as it is written in TOML


class Refused(ValueError):
    """A value that is not allowed, with a `hint` of its own in place of all that is allowed."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def right(error: ValueError, kind: "Kind") -> str:
    """What would be right in place of a value that was refused."""
    return error.hint if isinstance(error, Refused) else f"allowed: {kind.allowed}"


class Kind(Protocol):
    """What a setting may be."""

    @property
    def allowed(self) -> str:
        """In words, for error messages and manuals."""

    def check(self, value: object) -> object:
        """The value as it will be used. Raises ValueError saying what is wrong, without any of its text."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    lowest: int
    highest: int
    divides: int | None = None

    @property
    def allowed(self) -> str:
        """E.g. `a whole number from 1 to 60`."""
        rule = f" that divides {self.divides}" if self.divides else ""
        return f"a whole number from {self.lowest} to {self.highest}{rule}"

    def check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(_wrong_type(value))
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{_number(value)} is out of range")
        if self.divides is not None and self.divides % value:
            raise ValueError(f"{value} does not divide {self.divides}")
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a range; whole numbers are taken too."""

    lowest: float
    highest: float

    @property
    def allowed(self) -> str:
        """E.g. `a number from 0.1 to 30`."""
        return f"a number from {self.lowest:g} to {self.highest:g}"

    def check(self, value: object) -> float:
        """Raises ValueError for anything else, nan and inf among it."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(_wrong_type(value))
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{_number(value)} is out of range")
        return float(value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of characters that each match `character`."""

    allowed: str
    character: str
    longest: int = 4096

    def check(self, value: object) -> str:
        text = text_of(value)
        if len(text) > self.longest:
            raise ValueError(f"it is {len(text)} characters long, {self.longest} are allowed")
        for number, character in enumerate(text, 1):
            if not re.fullmatch(self.character, character):
                raise ValueError(f"character {number} of it is not allowed")
        return text


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """`unix:///path`, or "" for none."""

    allowed: str = 'unix:// and an absolute path, or "" to leave containers out'

    def check(self, value: object) -> str:
        text = text_of(value)
        if text and not re.fullmatch(r"unix:///[^\0]+", text):
            raise ValueError("it does not begin with unix:///" if "\0" not in text else "it has a NUL in it")
        return text


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """E.g. `"normal" or "full"`."""
        *others, last = (f'"{word}"' for word in self.words)
        return f"{', '.join(others)} or {last}"

    def check(self, value: object) -> str:
        text = text_of(value)
        if text not in self.words:
            raise ValueError(f"it is {'neither' if len(self.words) == 2 else 'none of them'}")
        return text


def list_of(value: object, example: str = '["…"]') -> Sequence[Any]:
    """Raises ValueError if it is no list."""
    if not isinstance(value, list | tuple):
        text_of(value)
        raise ValueError(f"it is no list; write {example}")
    return value


def text_of(value: object) -> str:
    """Raises ValueError if it is no text."""
    if not isinstance(value, str):
        raise ValueError(_wrong_type(value) + ("" if isinstance(value, list | dict) else "; write it in quotes"))
    return value


def _wrong_type(value: object) -> str:
    """In words what the value is, and how to write it where quotes are all that is wrong. Never the value itself."""
    kind = next((name for kind, name in _TYPES if isinstance(value, kind)), "a date or time")
    quoted_number = isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+(\.\d+)?\s*", value)
    return f"it is {kind}" + ("; write the number without quotes" if quoted_number else "")


def _number(value: float) -> str:
    """A number that is wrong, if it is too short to be anything else."""
    shown = f"{value:g}" if abs(value) < 1e6 or value != value or isinstance(value, float) else ""
    return shown if 0 < len(shown) <= 8 else "it"


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a fraction"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a table"),
)
