"""A key may be written anywhere by mistake. Whatever is wrong with a configuration, no text that says so repeats any of it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heartbeatd.config.load import NAMES, load, parse
from heartbeatd.config.model import SETTINGS, Config
from heartbeatd.config.schema import Setting
from heartbeatd.config.toml_text import TYPOGRAPHIC, masked
from heartbeatd.core.redact import redact_url, shown_name
from heartbeatd.errors import ConfigError
from tests.support.agent import AgentProcess

# A secret is these parts with marks between them, so that a part of it that is shown is seen as well.
PARTS = ("Kx9vQ7", "mW3zR8", "tY5pL2")
MARKS = st.sampled_from(
    ["", "/", "#", "?", "@", ":", "=", "+", ".", "-", "_", "%", " ", "\\", '"', "'", "[", "]", ",", "\n", "\t"]
)
secrets = st.tuples(MARKS, MARKS, MARKS).map(lambda marks: "".join(a + b for a, b in zip(marks, PARTS, strict=True)))
SHIPPED = Path(__file__).resolve().parents[1] / "etc/heartbeat/config.toml"


def texts(error: ConfigError) -> Iterator[str]:
    """All the text of an error."""
    yield str(error)
    yield repr(error)
    for problem in error.problems:
        yield from (problem.where, problem.what, problem.hint, problem.shown)


def hides(error: ConfigError) -> None:
    """Fails if a part of the secret is in it."""
    for text in texts(error):
        assert not [part for part in PARTS if part in text], text


def values(secret: str) -> st.SearchStrategy[object]:
    """The secret as a value, by itself and in all that a setting may look like."""
    texts = [
        "{}",
        "/{}",
        "/x/{}",
        "unix://{}",
        "unix:///{}",
        "ftp://{}/",
        "https://{}",
        "https://[{}]/",
        "https://u:{}@host/x",
    ]
    texts += [
        "http://u:{}/x@host/",
        "{}://host/",
        "https://host:{}/",
        "https://host/{}@x",
        "{} with spaces",
        "höst{}",
        "{}\0",
    ]
    as_text = st.sampled_from(texts).map(lambda text: text.format(secret))
    return as_text | st.sampled_from([[secret], {secret: 1}, {"x": secret}, [{secret: secret}], [[secret]]])


@given(st.sampled_from(SETTINGS), secrets, st.data())
def test_no_refused_value_is_repeated(setting: Setting, secret: str, data: st.DataObject) -> None:
    """Whatever setting it is written into."""
    value = data.draw(values(secret))
    try:
        config = parse({setting.section: {setting.name: value}}, "file")
    except ConfigError as error:
        hides(error)
    else:
        shows_nothing(config, setting)


def shows_nothing(config: Config, setting: Setting) -> None:
    """What was taken as a key or as part of a URL is shown by nobody; a name or a path is what it is."""
    if setting.name == "secret_key" or setting.key == "alerts.webhook_url":
        assert not [part for part in PARTS if part in repr(config)]


@given(secrets, st.sampled_from(["{}", "{}_key", "secret_{}", "url {}", "{}.url"]), st.integers(0, 4))
def test_no_unknown_name_is_repeated(secret: str, shape: str, kind: int) -> None:
    """A key or heading that is a secret, or has one in it; with its line there is enough to find it by."""
    name = shape.format(secret)
    mappings: list[dict[str, object]] = [
        {name: 1},
        {name: {"x": 1}},
        {"heartbeat": {name: secret}},
        {"heartbeat": {name: {secret: secret}}},
        {name: {name: [secret]}},
    ]
    with pytest.raises(ConfigError) as caught:
        parse(mappings[kind], "file")
    hides(caught.value)


LINES = [
    "{}",
    "[{}",
    "[{}]",
    "[[{}]]",
    "[{}]x",
    "{} = 1",
    "{}: x",
    "secret_key {}",
    "secret_key = {}",
    "secret_key = {}\nsecret_key = 1",
]
LINES += [
    'secret_key = "{0}" {0}',
    "secret_key = “{}”",
    "secret_key = '{}",
    "[heartbeat]\n[heartbeat.{0}]\n[heartbeat.{0}]",
    "{0} = 1\n{0} = 2",
]
LINES += [
    'secret_key = """{}',
    "secret_key = [{}",
    "secret_key = {{ {0} = 1, {0} = 2 }}",
    "secret_key = “{}",
    'x = "\\{}"',
    "x = 1 # {}\nx = 2",
]
LINES += [
    "# {}\n= 1",
    "hostname = 1\n{0}.{0}.{0} = 1\n{0}.{0} = 2",
    "export secret_key={}",
    "secret_key = 3,{}",
    "\0{}",
    "{}\u00a0= 1",
]


@given(secrets, st.sampled_from(LINES), st.sampled_from(["", "[heartbeat]\n"]))
@example("".join(PARTS), "{0} = 1\n{0} = 2", "")
def test_no_line_that_is_not_toml_is_repeated(secret: str, line: str, before: str) -> None:
    """tomllib quotes keys and characters; we do not."""
    refuses_quietly((before + line.format(secret)).encode())


@given(secrets, st.integers(0), st.integers(0, 40))
def test_a_secret_pasted_anywhere_is_not_repeated(secret: str, at: int, lost: int) -> None:
    """At any place of a working file, with some of the text there lost."""
    text = SHIPPED.read_text().replace("\n#", "\n")
    at %= len(text)
    refuses_quietly((text[:at] + secret + text[at + lost :]).encode())


def refuses_quietly(data: bytes) -> None:
    """If a file of these bytes is refused, it is without a part of the secret."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_bytes(data)
        try:
            load(file)
        except ConfigError as error:
            hides(error)


@given(st.text(), st.text())
def test_a_masked_line_is_made_of_our_own_words(one: str, other: str) -> None:
    """Of any line, words that are a letter or two from ours, numbers of a few digits, and marks."""
    for line in (one, f"{one} = {other}", f"[{one}]{other}"):
        for word in masked(line, NAMES).replace(".", " ").replace("[", " ").replace("]", " ").split():
            known = shown_name(word, NAMES) or not word.strip(f"…=:,+-0123456789\"'{TYPOGRAPHIC}")
            assert known or word.lower() in ("true", "false", "yes", "no", "on", "off"), word


@given(st.sampled_from(["/", "#", "?", "@", ":", "%2F", ""]), st.sampled_from(["http", "https"]))
def test_a_url_that_is_taken_is_shown_without_its_secrets(mark: str, scheme: str) -> None:
    """A password with a mark that has to be written in another way is refused, or is known for what it is."""
    secret = mark.join(PARTS)
    for url in (
        f"{scheme}://n8n:{secret}@host/x",
        f"{scheme}://n8n:1234{mark}{secret}@host/x",
        f"{scheme}://host/x?t={secret}",
    ):
        try:
            config = parse({"alerts": {"webhook_url": url}}, "file")
        except ConfigError as error:
            hides(error)
        else:
            assert not [part for part in PARTS if part in redact_url(config.alerts.webhook_url.reveal())]


HOSTILE = f"""
[agent]
hostname = "{PARTS[0]} {PARTS[1]}"
[heartbeat]
url = "https://{PARTS[0]}/"
secret_key_file = "/{PARTS[0]}{PARTS[1]}"
{PARTS[0]} = 1
[alerts]
webhook_url = "https://n8n:{PARTS[0]}/{PARTS[1]}@host/{PARTS[2]}"
[{PARTS[2]}]
"""


@pytest.mark.parametrize(
    "text", [HOSTILE, f"{PARTS[0]} = {PARTS[1]} {PARTS[2]}\n", f"[heartbeat]\nsecret_key = {PARTS[0]}\n"]
)
def test_the_agent_says_where_and_not_what(tmp_path: Path, text: str) -> None:
    """STATUS= and the log of an agent that is refused: a name for the place, 78, and no part of the secret."""
    agent = AgentProcess(tmp_path, "")
    agent.config.write_text(text)
    with agent:
        status = agent.next_message()["STATUS"]
        assert agent.process.wait(timeout=60) == 78
    assert "configuration refused" in status
    assert f"{agent.config}, line" in status
    assert "heartbeatctl check" in status
    for part in PARTS:
        assert part not in status + agent.log
