"""TOML as people write it: each usual mistake gets its line, what is wrong with it, and a hint that fits it."""

from pathlib import Path

import pytest

from heartbeatd.config.load import load
from heartbeatd.errors import ConfigError, Problem

MISTAKES = [
    # the line, what is said of it, the hint, and the line as it is shown
    ("hostname = \u201cnas\u201d", "typographic quotes", "straight ones", "hostname = \u201c\u2026\u201d"),
    ("hostname = \u2018nas\u2019 # mine", "typographic quotes", "straight ones", "hostname = \u2018\u2026"),
    ("timeout_seconds = 3,0", "a number with a comma", "write a point: 3.0", "timeout_seconds = 3,0"),
    ("timeout_seconds = .5", "a digit is missing", "0.5", "timeout_seconds = .5"),
    ("interval_seconds = 010", "begins with 0", "leave out the zeros", "interval_seconds = 010"),
    ("timeout_seconds = 3s", "a number with a unit", "the number alone", "timeout_seconds = \u2026"),
    ("timeout_seconds: 3", "a colon stands where = is needed", "key = value", "timeout_seconds : 3"),
    ("interval_seconds := 10", "a colon stands where = is needed", "key = value", "interval_seconds : \u2026"),
    ("hostname = nas", "this is no value", "texts need quotes", "hostname = \u2026"),
    ("url = https://host/", "this is no value", "texts need quotes", "url = \u2026"),
    ("hostname = nas # \u201cmine\u201d", "this is no value", "texts need quotes", "hostname = \u2026\u201d"),
    ("keep_days = True", "lower case", "a text needs quotes", "keep_days = True"),
    ('hostname = "nas', "the closing quote is missing", "end the text", 'hostname = "\u2026'),
    ('hostname = """nas\n\n', "the closing quote is missing", "end the text", 'hostname = "\u2026'),
    ('hostname = "C:\\nas\\q"', "a backslash in double quotes", "single quotes", 'hostname = "\u2026"'),
    ('hostname = "nas" mine', "something stands behind the text", "a comment begins with #", 'hostname = "\u2026'),
    ('hostname = "na"s"', "something stands behind the text", 'write " inside of a text as', 'hostname = "\u2026"'),
    ("hostname =", "one name, one = and one value", '"" is an empty text', "hostname ="),
    ('hostname == "nas"', "one name, one = and one value", "key = value", 'hostname = \u2026"'),
    ('hostname "nas"', "it has no =", "key = value", "hostname \u2026"),
    ('export hostname = "nas"', "more than one word", "key = value", '\u2026 hostname = "\u2026"'),
    ("hostname = [1,", "a list or table that is not closed", "no setting is one", "hostname = \u2026"),
    ("// a comment", "this is no setting", "a comment begins with #", "\u2026 \u2026 \u2026"),
    ("[heartbeat", "a heading has to end with ]", "[section]", "[heartbeat"),
    ('[heartbeat] url = "x"', "something stands behind the heading", "a line of its own", "[heartbeat] \u2026"),
    ("[heart beat]", "a heading holds one word", "[section]", "[\u2026 \u2026]"),
    (
        "[storage]\n[heartbeat]\n[storage]",
        "this heading stands more than once, on lines 2 and 4",
        "one heading",
        "[storage]",
    ),
    (
        'hostname = "a"\n\nhostname = "b"',
        "this key stands more than once, on lines 2 and 4",
        "one of them",
        'hostname = "\u2026"',
    ),
    ('hostname = "a\0b"', "NUL byte", "UTF-8", ""),
    ('hostname = "a\x1b[31m"', "a control character, U+001B", "take it out", 'hostname = "\u2026"'),
    (
        'hostname\u00a0= "nas"',
        "a space or mark that is none in TOML, U+00A0",
        "type the line anew",
        'hostname = "\u2026"',
    ),
    (
        'host\u200bname = "nas"',
        "a space or mark that is none in TOML, U+200B",
        "type the line anew",
        '\u2026 = "\u2026"',
    ),
]


def refused(folder: Path, data: bytes) -> Problem:
    """The one thing that is wrong with a file of these bytes."""
    file = folder / "config.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(file)
    (problem,) = caught.value.problems
    assert problem.where.startswith(str(file))
    return problem


@pytest.mark.parametrize(("text", "what", "hint", "shown"), MISTAKES)
def test_a_mistake_is_understood(tmp_path: Path, text: str, what: str, hint: str, shown: str) -> None:
    """What is wrong, what would be right, and on which line; not one answer for all."""
    problem = refused(tmp_path, f"[agent]\n{text}\n".encode())
    assert what in problem.what
    assert hint in problem.hint
    assert problem.shown == shown
    line = 2 + text.rstrip("\n").count("\n")
    assert f"line {line}" in problem.where + problem.what


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("[agent]\n".encode("utf-16"), "UTF-16"),
        ("[agent]\n".encode("utf-16-le"), "UTF-16"),
        ("[agent]\n".encode("utf-16-be"), "UTF-16"),
        (b"\0[agent]\n", "line 1 has a NUL byte"),
        (b"[agent]\r\n# caf\xe9\r\n", "line 2 is not UTF-8 text"),
        (b"[agent]\r\rhostname = 'a\0b'\r", "line 3 has a NUL byte"),
        (b"[agent]\nkeep = " + b"1" * 5000, "a number that is too long"),
        (b"[agent]\nhostname = " + b"[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_text_of_ours_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    """An editor's other encodings, a byte that no text has, and what no parser takes."""
    assert what in refused(tmp_path, data).what


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf[agent]\nhostname = 'nas'\n", b"[agent]\r\nhostname = 'nas'\r\n"])
def test_what_any_editor_writes_is_taken(tmp_path: Path, data: bytes) -> None:
    """A byte order mark, lines that end as on Windows or on an old Mac, tabs."""
    for written in (data, data.replace(b"\r\n", b"\r"), data.replace(b" = ", b"\t=\t")):
        file = tmp_path / "config.toml"
        file.write_bytes(written)
        assert load(file).agent.hostname == "nas"


def test_each_problem_names_its_line(tmp_path: Path) -> None:
    """A value that is refused, a key that does not exist, a section that does not, one that is no section."""
    file = tmp_path / "config.toml"
    file.write_text('[agent]\n\ninterval_seconds = "10" # s\nhunter2 = 1\n[hunter2]\n"x.y" = 1\n[heartbeat.hunter2]\n')
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert [f"{problem.where.removeprefix(f'{file}, ')}: {problem.what}" for problem in caught.value.problems] == [
        "line 4: there is no such key in [agent]",
        "line 5: there is no such section or key",
        "line 7: there is no such key in [heartbeat]",
        "line 3: agent.interval_seconds: it is a text; write the number without quotes",
    ]


def test_a_heading_that_stands_often_is_named_by_its_first_lines(tmp_path: Path) -> None:
    """Not a list as long as the file."""
    assert "on lines 1, 2, 3, 4, 5 and others" in refused(tmp_path, b"[storage]\n" * 9).what
    assert "on lines 1, 2, 3, 4 and 5" in refused(tmp_path, b"[storage]\n" * 5).what
