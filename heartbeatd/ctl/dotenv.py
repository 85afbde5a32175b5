"""A .env file as Docker Compose reads it: `export`, quotes over several lines, escapes, comments, `$NAME`. Pure."""

import re
from dataclasses import dataclass, field

_STATEMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:=|:(?=\s))")
_QUOTED = {'"': re.compile(r'[ \t]*"((?:[^"\\]|\\.)*)"', re.DOTALL), "'": re.compile(r"[ \t]*'([^']*)'")}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(slots=True)
class EnvFile:
    """The variables it sets, the last one of a name; and in words what makes no sense, by name where it has one, else by line."""

    values: dict[str, str] = field(default_factory=dict)
    bad_values: dict[str, str] = field(default_factory=dict)
    bad_lines: dict[int, str] = field(default_factory=dict)


def parse(text: str) -> EnvFile:
    """What is in the text, whose lines end with newlines."""
    found = EnvFile()
    at, number = 0, 1
    while at < len(text):
        end = _statement(text, at, number, found)
        end = len(text) if (newline := text.find("\n", end)) < 0 else newline + 1
        number += text.count("\n", at, end)
        at = end
    return found


def _statement(text: str, at: int, number: int, found: EnvFile) -> int:
    """Take in the statement that begins at `at`; where what belongs to it ends."""
    line = _rest_of_line(text, at)
    if not line.strip() or line.lstrip().startswith("#"):
        return at
    statement = _STATEMENT.match(line)
    if statement is None:
        found.bad_lines[number] = "is no NAME=VALUE"
        return at
    name, start = statement.group(1), at + statement.end()
    given = line[statement.end() :]
    mark = given.lstrip()[:1]
    end = at
    if mark in _QUOTED:
        quoted = _QUOTED[mark].match(text, start)
        if quoted is None:
            found.bad_lines[number] = "has a quote that is not closed"
            return at
        end = quoted.end()
        behind = _rest_of_line(text, end).strip()
        if behind and not behind.startswith("#"):
            found.bad_lines[number] = "has something behind the closing quote"
            return end
        given = quoted.group(1)
    else:
        comment = re.search(r"(?<=\s)#", given)
        given = (given[: comment.start()] if comment else given).strip()
    found.bad_values.pop(name, None)
    try:
        found.values[name] = given if mark == "'" else _expanded(given, found.values, quoted=mark == '"')
    except ValueError as error:
        found.bad_values[name] = str(error)
    return end


def _rest_of_line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[at:] if end < 0 else text[at:end]


def _expanded(text: str, known: dict[str, str], *, quoted: bool) -> str:
    """With the values of variables set above put in; in double quotes with backslashes resolved, too. Raises ValueError."""

    def value(found: re.Match[str]) -> str:
        escaped, name = found.group("escaped"), found.group("plain") or found.group("braced")
        if escaped is not None:
            return _ESCAPES.get(escaped, escaped) if quoted or escaped == "$" else found.group()
        if found.group() == "$$":
            return "$"
        if name not in known:
            raise ValueError(
                "takes in another variable, which is not set above it: write its value there, or $$ for a $"
            )
        return known[name]

    pattern = r"\\(?P<escaped>.)|\$\$|\$(?P<plain>[A-Za-z_]\w*)|\$\{(?:(?P<braced>[A-Za-z_]\w*)\})?"
    return re.sub(pattern, value, text, flags=re.DOTALL | re.ASCII)
