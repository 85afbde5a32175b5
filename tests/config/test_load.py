"""The configuration: good files become a Config, bad ones a list of all that is wrong, and nothing else ever happens."""

import os
import random
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.config.load import load, parse
from heartbeatd.config.model import SETTINGS, Config
from heartbeatd.config.schema import Setting, groups_of
from heartbeatd.config.secrets import (
    PLAIN,
    SECRET_KEY,
    WEBHOOK_URL,
    Credential,
    Origin,
    OriginKind,
    Secret,
    load_credentials,
)
from heartbeatd.errors import ConfigError, ExitCode

SECTIONS = [group.name for group in groups_of(Config)]
ARRAYS = [group.name for group in groups_of(Config) if group.many]
SHIPPED = Path(__file__).resolve().parents[2] / "etc/heartbeat/config.toml"
WORKING = """
[agent]
interval_seconds = 30
hostname = "nas"
[heartbeat]
url = "https://beat.example/api/heartbeat?token=hidden-query"
secret_key = "hidden-key"
timeout_seconds = 2
[alerts]
webhook_url = "http://user:hidden-password@127.0.0.1:5678/webhook/heartbeat"
"""


def problems(text: str) -> list[str]:
    """All that is wrong with a file of this text, one line each."""
    with pytest.raises(ConfigError) as caught:
        parse(tomllib.loads(text), "file")
    assert caught.value.exit_code == ExitCode.CONFIG
    return [str(problem) for problem in caught.value.problems]


def test_a_working_file(tmp_path: Path) -> None:
    """What is given counts, all else has its default."""
    file = tmp_path / "config.toml"
    file.write_text(WORKING)
    config = load(file)
    assert (config.agent.interval_seconds, config.agent.hostname) == (30, "nas")
    assert config.heartbeat.secret_key.reveal() == "hidden-key"
    assert config.heartbeat.timeout_seconds == 2.0
    assert isinstance(config.heartbeat.timeout_seconds, float)
    assert (config.storage.keep_days, config.docker.socket) == (400, "unix:///run/docker.sock")


def test_secrets_show_themselves_to_nobody() -> None:
    """Neither the key nor the webhook's password is in what printing a configuration shows."""
    config = parse(tomllib.loads(WORKING))
    for shown in (repr(config), str(config), f"{config.heartbeat.secret_key}", repr(config.alerts)):
        assert "hidden-key" not in shown
        assert "hidden-password" not in shown
        assert "hidden-query" not in shown
    assert not Secret("")


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One run of `check` is enough to mend a file: key path, value, what is allowed, and the nearest real key."""
    found = problems(
        """
        [agent]
        interval_seconds = 7
        hostnme = "x"
        timeout_seconds = 3
        [heartbeat]
        url = "ftp://host/"
        timeout_seconds = "fast"
        [alert]
        webhook_url = ""
        [storage]
        path = "relative.db"
        keep_days = -1
        """
    )
    expected = (
        ("agent.interval_seconds", "7 does not divide 86400", "a whole number from 1 to 3600 that divides 86400"),
        ("agent.hostnme", "no such key", "did you mean agent.hostname?"),
        ("agent.timeout_seconds", "no such key", "heartbeat.timeout_seconds"),
        ("heartbeat.url", "it begins neither with https:// nor with http://", "https://"),
        ("heartbeat.timeout_seconds", "it is a text", "a number from 0.1 to 60"),
        ("alert", "no such section or key", "did you mean alerts?"),
        ("storage.path", "it does not begin with /", "the absolute path of a file"),
        ("storage.keep_days", "-1 is out of range", "from 0 to 36500"),
    )
    assert len(found) == len(expected)
    for parts in expected:
        assert any(all(part in line for part in parts) and line.startswith("file: ") for line in found), (parts, found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("agent = 3", "is a section, not a key"),
        ("[[agent]]\nhostname = 'x'", "stands in double brackets"),
        ("[agent]\ninterval_seconds = true", "true or false"),
        ("[agent]\ninterval_seconds = 10.0", "a fraction"),
        ("[agent]\nhostname = 2026-01-01", "a date or time"),
        ("[agent]\nhostname = ['a']", "a list"),
        ("[agent.hostname]\na = 1", "a table"),
        ("[heartbeat]\ntimeout_seconds = nan", "nan is out of range"),
        ("[heartbeat]\ntimeout_seconds = inf", "inf is out of range"),
        ("[heartbeat]\nurl = 'https://u:p@host/'", "user name or password"),
        ("[heartbeat]\nurl = 'https://'", "names no host"),
        ("[heartbeat]\nurl = 'https://host:99999/'", "its port is not a number from 1 to 65535"),
        ("[heartbeat]\nurl = 'https://[::1/'", "its host is neither a name nor an address"),
        ("[heartbeat]\nurl = 'https://höst/'", "outside ASCII"),
        ("[heartbeat]\nurl = 'https://host/'", "is missing, but heartbeat.url is set"),
        ("[docker]\nsocket = 'tcp://127.0.0.1:2375'", "it does not begin with unix:///"),
        ("interval_seconds = 10", "did you mean agent.interval_seconds?"),
        ("[intrenet]", "did you mean internet?"),
    ],
)
def test_what_is_wrong_is_said(text: str, what: str) -> None:
    """In words that say what to do."""
    assert any(what in line for line in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[heartbeat]\nsecret_key = 'hidden key'", "heartbeat.secret_key"),
        ("[heartbeat]\nsecret_key = 'hidden\u00e9'", "heartbeat.secret_key"),
        ("[heartbeat]\nsecret_key = ['hidden']", "heartbeat.secret_key"),
        ("[heartbeat]\nurl = 'https://u:hidden@host/'", "heartbeat.url"),
        ("[alerts]\nwebhook_url = 'http://u:hidden@host:0/'", "alerts.webhook_url"),
        ("[alerts]\nwebhook_url = 'http://host/?hidden x'", "alerts.webhook_url"),
    ],
)
def test_what_is_wrong_with_a_secret_is_said_without_it(text: str, where: str) -> None:
    """The key path, and not the value."""
    found = problems(text)
    assert any(where in line for line in found)
    assert not any("hidden" in line for line in found)


def test_where_the_key_comes_from(tmp_path: Path) -> None:
    """A credential wins over a file, a file over the setting; each may end with a newline."""
    file = tmp_path / "key"
    file.write_text("from-file\n")
    both = {"heartbeat": {"secret_key": "from-setting", "secret_key_file": str(file)}}
    assert parse({"heartbeat": {"secret_key": "from-setting"}}).heartbeat.secret_key.reveal() == "from-setting"
    assert parse(both).heartbeat.secret_key.reveal() == "from-file"
    (tmp_path / f"{SECRET_KEY}{PLAIN}").write_text("from-plain-credential\n")
    assert parse(both, credentials=load_credentials(tmp_path)).heartbeat.secret_key.reveal() == "from-plain-credential"
    (tmp_path / SECRET_KEY).write_text("from-credential\n")
    config = parse(both, credentials=load_credentials(tmp_path))
    assert config.heartbeat.secret_key.reveal() == "from-credential"
    assert str(config.heartbeat.secret_key.origin) == "systemd credential heartbeat.secret_key"


def test_where_the_webhook_comes_from(tmp_path: Path) -> None:
    """A credential wins over the setting, and is checked as the setting is, without being shown."""
    setting = {"alerts": {"webhook_url": "http://setting/"}}
    assert parse(setting).alerts.webhook_url.reveal() == "http://setting/"
    assert str(parse(setting, "f").alerts.webhook_url.origin) == "f: alerts.webhook_url"
    (tmp_path / WEBHOOK_URL).write_text("http://u:hidden@credential/\n")
    assert load_credentials(tmp_path) == {}  # the agent is not given it
    config = parse(setting, credentials=load_credentials(tmp_path, (WEBHOOK_URL,)))
    assert config.alerts.webhook_url.reveal() == "http://u:hidden@credential/"
    assert str(config.alerts.webhook_url.origin) == "systemd credential heartbeat.webhook_url"
    with pytest.raises(ConfigError, match="begins neither with https") as caught:
        parse(
            setting, credentials={WEBHOOK_URL: Credential(Origin(OriginKind.CREDENTIAL, "/c"), b"ftp://u:hidden@host/")}
        )
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "the file it names cannot be read"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"two words", "not allowed"),
        (b"k" * 9000, "8 KiB"),
        (b"\xff\xfe", "UTF-16"),
        (b"key\xff", "line 1 is not UTF-8"),
        (b"one\r\ntwo\r\n", "more than one line"),
        (b"one\0two", "NUL"),
    ],
)
def test_a_key_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, what: str) -> None:
    """It is said which, and what it should be."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=what) as caught:
        parse({"heartbeat": {"secret_key_file": str(file)}}, "f")
    # A name that leads nowhere is not shown: it may be the key itself, put into the wrong setting.
    assert (str(file) in str(caught.value)) is (content is not None)
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read: No such file"),
        (b"[agent\n", "is not TOML"),
        (b"[agent]\nhostname = nas\n", "texts need quotes"),
        (b"[agent]\n[agent]\n", "is not TOML"),
        (b"a = 1\n\xff\n", "line 2"),
        (b"# " + b"x" * (1 << 20), "larger than 1 MiB"),
        (b"a = " + b"[" * 9_000, "nested too deeply|is not TOML"),
        pytest.param(b"\na" + b".a" * 100_000, "line 2: is longer than 10000 characters", id="dotted"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, what: str) -> None:
    """The error names the file, and the line where there is one."""
    file = tmp_path / "config.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=what) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_a_key_file_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO, which would wait for a writer for ever, is named, and so is a device."""
    os.mkfifo(tmp_path / "key")
    for path, kind in ((tmp_path / "key", "a FIFO"), (Path("/dev/zero"), "a device"), (tmp_path, "a folder")):
        with pytest.raises(ConfigError, match=f"cannot be read: it is {kind}, not a regular file"):
            parse({"heartbeat": {"secret_key_file": str(path)}}, "f")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """`--config` with a folder."""
    with pytest.raises(ConfigError, match="cannot be read: it is a folder, not a regular file"):
        load(tmp_path)


@given(st.integers(0, 2**32))
def test_a_mutated_file_is_understood_or_refused(seed: int) -> None:
    """Bytes of a working file changed, cut, doubled at random: a Config or a ConfigError with problems, never anything else."""
    chance = random.Random(seed)
    data = bytearray((SHIPPED.read_text().replace("#", "", 30) + WORKING if seed % 2 else WORKING).encode())
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randrange(40)]
        elif kind == 2:
            data[at:at] = data[at : at + chance.randrange(40)]
        else:
            data[at:at] = chance.choice(
                [b'"', b"'", b"[", b"]]", b"=", b"\n", b"-1", b"1e999", b"\0", b"{", b"#", b"\\u0000"]
            )
        if not data:
            return
    _load_or_refuse(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    """The same for files of no sense at all."""
    _load_or_refuse(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(SETTINGS), values)
def test_any_value_is_checked(setting: Setting, value: object) -> None:
    """A setting is a value that its kind would take again, or an error that names the key."""
    mapping = {setting.section: {setting.name: value}}
    try:
        config = parse(mapping, "file")
    except ConfigError as error:
        assert any(setting.section in problem.where for problem in error.problems)
    else:
        assert isinstance(config, Config)


@given(st.sampled_from([*SECTIONS, *(s.key for s in SETTINGS)]), st.data())
def test_a_misspelt_key_finds_its_way_home(key: str, data: st.DataObject) -> None:
    """One letter dropped: the nearest real key is the one that was meant."""
    section, _, name = key.partition(".")
    word = name or section
    at = data.draw(st.integers(0, len(word) - 1))
    misspelt = word[:at] + word[at + 1 :]
    known = {s.name for s in SETTINGS if s.section == section} | set(SECTIONS)
    if not misspelt or misspelt in known or len(word) < 6:
        return
    table = {misspelt: 1}
    mapping: dict[str, object] = {section: [table] if section in ARRAYS else table} if name else {misspelt: {}}
    with pytest.raises(ConfigError) as caught:
        parse(mapping, "file")
    assert re.search(rf"did you mean .*{re.escape(key)}", str(caught.value)), str(caught.value)


def _load_or_refuse(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            assert isinstance(load(Path(file.name)), Config)
        except ConfigError as error:
            assert error.problems
            assert all(problem.what for problem in error.problems)
            assert "hidden-password" not in str(error)


@pytest.mark.parametrize(("name", "secret"), [(SECRET_KEY, "secret_key"), (WEBHOOK_URL, "webhook_url")])
@pytest.mark.parametrize("data", [b"", b"one\ntwo\n", b"\xff", b"not a url, no key \x07"])
def test_a_credential_that_is_of_no_use(name: str, secret: str, data: bytes) -> None:
    """The hint is the command for this very secret."""
    with pytest.raises(ConfigError) as refused:
        parse({}, credentials={name: Credential(Origin(OriginKind.CREDENTIAL, "/c"), data)})
    (problem,) = refused.value.problems
    assert f"`heartbeatctl set-secret {secret}` stores it anew" in problem.hint
    assert f"`heartbeatctl set-secret --remove {secret}`" in problem.hint
