"""A dataclass is a table of settings, arrays of tables included: here one that no setting of the agent has."""

import tomllib
from dataclasses import dataclass

import pytest

from heartbeatd.config.options import Number, Text
from heartbeatd.config.schema import REQUIRED, option, section, settings_of, tables
from heartbeatd.config.secrets import Origin, OriginKind, Secret
from heartbeatd.config.toml_text import understood
from heartbeatd.config.urls import Url
from heartbeatd.config.walk import Place, Walked, walk
from tests.project.generated import config_toml, manual_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    hostname: str = option(Text("letters", "[a-z]"), "", "Its name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    name: str = option(Text("letters", "[a-z]"), REQUIRED, "What it is called.", example="phone")
    url: Secret = option(Url(), "", "Where alerts go.", example="https://host/", secret=True)
    timeout_seconds: float = option(Number(0.1, 60), 2.0, "For one try.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    agent: Agent = section(Agent, "The agent.")
    channels: tuple[Channel, ...] = tables("channel", Channel, "Those who are told.")


GOOD = """
[agent]
hostname = "nas"

[[channel]]
name = "mail"

[[channel]]
name = "chat"
url = "https://user:hidden@host/"
timeout_seconds = 5
"""


def walked(text: str) -> Walked[Example]:
    """What is made of it."""
    document = understood(text, "file", ())
    return walk(Example, document.mapping, Place("file", document.lines))


def test_an_array_of_tables_becomes_a_tuple() -> None:
    """Each table with its own values and defaults; a secret knows which table it is from."""
    found = walked(GOOD)
    assert not found.problems
    mail, chat = found.value.channels
    assert (mail.name, bool(mail.url), mail.timeout_seconds) == ("mail", False, 2.0)
    assert (chat.name, chat.timeout_seconds) == ("chat", 5.0)
    assert chat.url.reveal() == "https://user:hidden@host/"
    assert chat.url.origin == Origin(OriginKind.SETTING, "file", "channel[2].url")
    assert "hidden" not in repr(found.value)
    assert walked("").value == Example()


def test_every_error_in_an_array_is_said_with_its_place() -> None:
    """Line, number of the table, key, and the nearest real key; what is refused is not repeated."""
    text = GOOD.replace('"mail"', "3").replace("timeout_seconds", "timeout_second").replace("https", "hidden")
    assert [str(problem) for problem in walked(text + "[[channel]]\n[[chanel]]\n").problems] == [
        "file, line 11: channel[2].timeout_second: there is no such key in [[channel]] (did you mean channel.timeout_seconds?)",
        "file, line 13: chanel: there is no such section or key (did you mean channel?)",
        "file, line 6: channel[1].name: it is a whole number; write it in quotes (allowed: letters)",
        "file, line 10: channel[2].url: it begins neither with https:// nor with http:// "
        '(allowed: a URL that begins with https:// or http://, or "")',
        "file, line 12: channel[3].name: is missing (allowed: letters)",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[channel]\nname = 'x'", "channel: stands in single brackets (write [[channel]] on a line of its own)"),
        ("channel = 3", "channel: is an array of tables, not a key (write [[channel]] on a line of its own)"),
        ("channel = [3]", "channel: is an array of tables, not a key (write [[channel]] on a line of its own)"),
        ("[[agent]]", "agent: stands in double brackets (write [agent] on a line of its own)"),
    ],
)
def test_what_is_no_array_of_tables_is_said(text: str, what: str) -> None:
    """And how to write one."""
    (problem,) = walked(text).problems
    assert str(problem) == f"file, line 1: {what}"


def test_an_array_is_printed_as_a_comment_and_in_the_manual() -> None:
    """The file as it is shipped has no such table; without the marks of the comments it has one."""
    printed = config_toml(Example)
    assert tomllib.loads(printed) == {"agent": {}}
    assert '#[[channel]]\n\n# What it is called. Allowed: letters.\n#name = "phone"\n\n' in printed
    assert '# Example: url = "https://host/"\n#url = ""\n' in printed
    assert (
        "## [[channel]]\n\nThose who are told.\n\n*name*\n\tWhat it is called. Allowed: letters.\n"
        in manual_settings(Example)
    )
    assert [setting.key for setting in settings_of(Example)][-1] == "channel.timeout_seconds"
