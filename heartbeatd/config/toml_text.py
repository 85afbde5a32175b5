"""TOML as people write it: a text becomes a mapping and the lines its keys stand on, or an error with line, cause and hint.

A secret may stand anywhere in a file that is not TOML, so no text of it is repeated but what can be none; tomllib's own
messages quote keys and characters, and are not used.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from heartbeatd.core.redact import shown_name
from heartbeatd.errors import ConfigError, Problem

MANUAL = "heartbeat-config.toml(5)"
MOST_LINES = 5  # that are named where one thing stands more than once
LONGEST_LINE = 1000  # characters that are looked at to say what is wrong with a line


@dataclass(frozen=True, slots=True)
class Document:
    """What the text says, and the line on which each section `("agent",)` and key `("agent", "hostname")` first stands.

    The tables of an array are counted: `("rule[2]", "above")`.
    """

    mapping: Mapping[str, object]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)


def understood(text: str, where: str, known: Collection[str]) -> Document:
    """The document in `text`. Raises ConfigError; `known` are the names that it may repeat."""
    try:
        return Document(tomllib.loads(text), _lines_of_keys(text))
    except RecursionError:
        raise ConfigError(Problem(where, "is nested too deeply", "settings are [section] and key = value")) from None
    except ValueError as error:  # TOMLDecodeError, and what int() says of a number of 5000 digits
        raise ConfigError(_problem(text, str(error), where, known)) from None


def _problem(text: str, message: str, where: str, known: Collection[str]) -> Problem:
    lines = text.split("\n")
    number = _line_number(lines, message)
    if number is None:
        return Problem(where, "is not TOML: it has a number that is too long", f"see {MANUAL}")
    line = lines[number - 1][:LONGEST_LINE]
    what, hint = _twice(lines, number, message) or _cause(line, message)
    return Problem(f"{where}, line {number}", f"is not TOML: {what}", f"{hint}; see {MANUAL}", masked(line, known))


def _line_number(lines: list[str], message: str) -> int | None:
    """The line to look at, from 1. What is found missing only at the end of the file began on the last line that has `=`."""
    found = re.search(r"\(at line (\d+),", message)
    if found:
        return int(found.group(1))
    if "end of document" not in message:
        return None
    opening = [n for n, line in enumerate(lines, 1) if _OPENS.search(line)]
    filled = [n for n, line in enumerate(lines, 1) if line.strip()]
    return (opening or filled or [1])[-1]


_OPENS = re.compile(r"""=\s*(\"{3}|'{3}|\[|\{)""")


def _twice(lines: list[str], number: int, message: str) -> tuple[str, str] | None:
    """For a heading or key that stands more than once, what to say of it."""
    if not re.match(r"Cannot (declare|overwrite|mutate|redefine)|Duplicate", message):
        return None
    headings = _headings(lines)
    if heading := _HEADING.match(lines[number - 1]):
        name = _plain_name(heading.group(1))
        found = [n for n, other in headings if other == name]
        what, hint = "this heading stands more than once", "put all lines of a section under one heading"
    else:
        key = _key(lines[number - 1])
        start = max((n for n, _ in headings if n < number), default=0)
        found = [n for n in range(start + 1, number + 1) if _key(lines[n - 1]) == key]
        what, hint = "this key stands more than once", "leave one of them"
    if len(found) < 2:  # it is another name for the same, such as a.b = 1 under no heading
        return "what stands here is already set above", "set it once"
    named = [str(n) for n in found[:MOST_LINES]] + ["others"] * (len(found) > MOST_LINES)
    return f"{what}, on lines {', '.join(named[:-1])} and {named[-1]}", hint


def _cause(line: str, message: str) -> tuple[str, str]:
    """What is wrong with a line, and what would be right."""
    control = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)
    if control:
        return f"it has a control character, U+{ord(control.group()):04X}", "take it out"
    # What stands in straight quotes, or behind a #, is a text; the marks that are wrong stand outside.
    bare = re.sub(r'"(?:[^"\\]|\\.)*"' + r"|'[^']*'", '""', line)
    bare = re.sub(r"#.*", "", bare)
    invisible = re.search(r"[^\S \t]|[\u200b-\u200f\u2060\ufeff]", bare)
    if invisible:
        return f"it has a space or mark that is none in TOML, U+{ord(invisible.group()):04X}", "type the line anew"
    if "escape" in message.lower() or "hex value" in message or "Unescaped" in message:
        return "it has a backslash in double quotes", r"write it as \\, or put the text in single quotes"
    return next((what, hint) for pattern, what, hint in _CAUSES if re.search(pattern, bare))


TYPOGRAPHIC = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b`\u00b4"
_NAME = r"""^\s*[\w."'-]+\s*"""
# Of a line without what stands in quotes: the first pattern that fits says what is wrong with it.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (f"[{TYPOGRAPHIC}]", "it has typographic quotes", 'straight ones are needed: key = "text"'),
    (r"^\s*\[[^\]]*$", "a heading has to end with ]", "write [section]"),
    (r"^\s*\[.*\]\s*\S", "something stands behind the heading", "put it on a line of its own"),
    (r"^\s*\[", "a heading holds one word", "write [section]"),
    (r"^\s*(//|;|--|/\*|!|%)", "this is no setting", "a comment begins with #"),
    (_NAME + r":=?", "a colon stands where = is needed", "write key = value"),
    (
        r"=\s*=|=>|=\s*$|^\s*=",
        "there has to be one name, one = and one value",
        'write key = value; "" is an empty text',
    ),
    (r"^[^=]*$", "it has no =", "write key = value"),
    (r"^\s*[^=\s]+\s+[^=\s]", "more than one word stands in front of =", "write key = value"),
    (r"=\s*[-+]?\d+,\d*\s*$", "it has a number with a comma", "write a point: 3.0"),
    (r"=\s*[-+]?0[\d_]", "it has a number that begins with 0", "leave out the zeros in front"),
    (r"=\s*[-+]?(\.\d+|\d+\.)\s*$", "a digit is missing beside the point", "write 0.5, or 5.0"),
    (r"=\s*[-+]?[\d.]+\s*[A-Za-zµ]+\s*$", "it has a number with a unit", "write the number alone"),
    (r"(?i)=\s*(true|false|yes|no|on|off)\s*$", "true and false are in lower case", "a text needs quotes"),
    (
        r"=\s*[\"']{2}\s*[^\"'\s]",
        "something stands behind the text",
        r'write " inside of a text as \", a comment begins with #',
    ),
    (r"=\s*[\"']", "the closing quote is missing", "end the text with the quote it begins with"),
    (r"=\s*[\[{]", "it has a list or table that is not closed", "no setting is one"),
    (r"", "this is no value", 'texts need quotes, straight ones: key = "text"'),
)


def masked(line: str, known: Collection[str]) -> str:
    """The line with `…` for all that may be a secret: names that are none of ours, texts, and whatever is no plain number.

    >>> masked('hostnme = “hunter2”  # mine', ["hostname"])
    'hostnme = “…”'
    """
    heading = _HEADING.match(line)
    if heading:
        return f"[{_masked_words(heading.group(1), known)}]"
    if line.lstrip().startswith("["):
        name, closed, rest = line.lstrip(" \t[").partition("]")
        return f"[{_masked_words(name, known)}{closed}" + (" …" if rest.strip() else "")
    left, mark, value = re.match(r"([^=:]*)([=:]?)(.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]
    return " ".join(part for part in (_masked_words(left, known), mark, _masked_value(value.strip())) if part)


def _masked_words(text: str, known: Collection[str]) -> str:
    words = [".".join(shown_name(part, known) or "…" for part in word.split(".")) for word in text.split()]
    return " ".join(words)


def _masked_value(value: str) -> str:
    if re.fullmatch(r"[-+]?\d{0,5}([.,]\d{0,3})?|(?i:true|false|yes|no|on|off)", value, re.ASCII):
        return value
    quotes = f"\"'{TYPOGRAPHIC}"
    return (value[0] if value[0] in quotes else "") + "…" + (value[-1] if value[-1] in quotes and value[1:] else "")


_HEADING = re.compile(r"^\s*\[+([^\[\]]*)\]+\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"\\]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"\\]*"|'[^']*'))*)\s*=""")


def _plain_name(written: str) -> tuple[str, ...]:
    """`"a" . b` → `("a", "b")`."""
    return tuple(part.strip(" \t\"'") for part in written.split("."))


def _headings(lines: list[str]) -> list[tuple[int, tuple[str, ...]]]:
    found = ((n, _HEADING.match(line)) for n, line in enumerate(lines, 1))
    return [(n, _plain_name(heading.group(1))) for n, heading in found if heading]


def _key(line: str) -> tuple[str, ...]:
    found = _KEY.match(line)
    return _plain_name(found.group(1)) if found else ()


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """The line of each section and key; none for a text in which lines need not be what they look like."""
    if '"""' in text or "'''" in text:
        return {}
    found: dict[tuple[str, ...], int] = {}
    count: dict[str, int] = {}  # of the tables of each array
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if heading := _HEADING.match(line):
            section = _plain_name(heading.group(1))
            found.setdefault(section[:1], number)
            if line.lstrip().startswith("[["):
                name = section[0]
                count[name] = count.get(name, 0) + 1
                section = (f"{name}[{count[name]}]", *section[1:])
                found.setdefault(section[:1], number)
            if section[1:]:
                found.setdefault(section[:2], number)
        elif key := _key(line):
            full = section + key
            found.setdefault(full[:2], number)
            found.setdefault(full[:1], number)
    return found
