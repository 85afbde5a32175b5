"""`heartbeatctl import-env`: what a .env file is understood as, and how the configuration gets into its place."""

import argparse
import os
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.config.load import parse
from heartbeatd.config.model import kind_of
from heartbeatd.ctl import dotenv, import_env
from heartbeatd.errors import ConfigError
from tests.ctl.test_heartbeatctl import ctl
from tests.support.agent import CHECKOUT, environment, python

SHIPPED = (Path(__file__).resolve().parents[2] / "etc/heartbeat/config.toml").read_bytes()
GOOD = """\
# the earlier agent's
export SECRET_KEY="s3cret#key"
HEARTBEAT_URL = https://beat.example/api/heartbeat   # the Worker
N8N_WEBHOOK_URL='http://127.0.0.1:5678/webhook/heartbeat'

INTERVAL=10
"""


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """A .env file that makes sense."""
    file = tmp_path / ".env"
    file.write_text(GOOD)
    return file


def rights(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def is_good(text: str) -> None:
    """Fails if the configuration is not the one of `GOOD`."""
    made = parse(tomllib.loads(text))
    assert made.heartbeat.secret_key.reveal() == "s3cret#key"
    assert made.heartbeat.url == "https://beat.example/api/heartbeat"
    assert made.alerts.webhook_url.reveal() == "http://127.0.0.1:5678/webhook/heartbeat"


@pytest.mark.parametrize("written", [GOOD.encode(), b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()])
def test_what_is_printed_is_a_configuration(env: Path, written: bytes) -> None:
    """With the three settings; what is not used any more is named on stderr. Also of a file that Windows has written."""
    env.write_bytes(written)
    for words, stdin in (((env,), ""), (("-",), env.read_text())):
        done = ctl("import-env", *words, stdin=stdin)
        assert done.returncode == 0
        is_good(done.stdout)
        assert "INTERVAL" in done.stderr


def test_a_line_that_makes_no_sense_is_named(env: Path, tmp_path: Path) -> None:
    """What is printed can be looked at; what is to be written has to be understood as a whole. No text of the line is shown."""
    env.write_text(GOOD + "hunter 2\nhunter2==\n")
    done = ctl("import-env", env)
    assert done.returncode == 0
    assert f"{env}, line 7: is no NAME=VALUE" in done.stderr
    target = tmp_path / "config.toml"
    assert ctl("import-env", env, "--write", "--config", target).returncode == 78
    assert not target.exists()
    assert "hunter" not in done.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SECRET_KEY=plain", "plain"),
        ("  export SECRET_KEY =  spaced  ", "spaced"),
        ("SECRET_KEY: colon", "colon"),
        ("SECRET_KEY='a # b'", "a # b"),
        ("SECRET_KEY='a\\n$b'", "a\\n$b"),
        ('SECRET_KEY="a=b==" # comment', "a=b=="),
        ('SECRET_KEY="a\\"b\\\\c\\$d$$e"', 'a"b\\c$d$e'),
        ('SECRET_KEY="two\nlines"', "two\nlines"),
        ("SECRET_KEY=a#b", "a#b"),
        ("SECRET_KEY=#b", "#b"),
        ("SECRET_KEY=a #b", "a"),
        ("SECRET_KEY= # b", ""),
        ("SECRET_KEY=", ""),
        ("SECRET_KEY=a\\b", "a\\b"),
        ("SECRET_KEY=pa$$word", "pa$word"),
        ("SECRET_KEY=5$", "5$"),
        ("HOST=h.example\nSECRET_KEY=${HOST}/$HOST", "h.example/h.example"),
        ("SECRET_KEY=one\nSECRET_KEY=two", "two"),
        ('OTHER="-----BEGIN\nSECRET_KEY=inside\n-----END"\nSECRET_KEY=outside', "outside"),
    ],
)
def test_env_files_are_read_as_docker_reads_them(text: str, value: str) -> None:
    """Quotes, comments, `export`, escapes, other variables, and the last one counts."""
    found = dotenv.parse(text)
    assert found.values["SECRET_KEY"] == value
    assert not found.bad_lines
    assert not found.bad_values


@pytest.mark.parametrize("unit", ["${", "$", "\\", " ", "#", '"', "'", 'A="\n', "A='\n", "${a}"])
@pytest.mark.parametrize("before", ["", "A=", "A=x", 'A="'])
def test_a_large_file_takes_no_longer(before: str, unit: str) -> None:
    """A quarter of a megabyte that could be scanned again and again from each place: that would take longer than any test may."""
    assert dotenv.parse(before + unit * ((1 << 18) // len(unit)))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("x\nSECRET_KEY\n=x\n", [1, 2, 3]),
        ('A=1\nSECRET_KEY="open\nB=2\n', [2]),
        ("A='1' 2\n", [1]),
        ("root:x:0:0:root:/root:/bin/bash\n", [1]),
    ],
)
def test_lines_that_no_env_file_has(text: str, lines: list[int]) -> None:
    """By number."""
    assert list(dotenv.parse(text).bad_lines) == lines


@given(st.text())
def test_any_text_is_read_as_an_env_file(text: str) -> None:
    """Or its lines are named; it never fails, and never takes long."""
    found = dotenv.parse(text)
    assert all(1 <= number <= text.count("\n") + 1 for number in found.bad_lines)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "No such file"),
        (b"", "sets none of HEARTBEAT_URL, SECRET_KEY, N8N_WEBHOOK_URL"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "sets none of"),
        (b"INTERVAL=10\n", "sets none of"),
        (b"SECRET_KEY=\n", "sets none of"),
        (b"\xff\xfeS\0", "UTF-16"),
        (b"SECRET_KEY=hidden\xff\n", "line 1 is not UTF-8"),
        (
            b"HEARTBEAT_URL=ftp://hidden/\nSECRET_KEY=hidden key with spaces\n",
            "SECRET_KEY: character 7 of it is not allowed",
        ),
        (b"SECRET_KEY=hidden$OTHER\n", "takes in another variable"),
        (b"N8N_WEBHOOK_URL=http://u:hidden/x@host/\n", "%2F"),
        pytest.param(b"#" * ((1 << 20) + 1), "larger than 1 MiB", id="large"),
    ],
)
def test_an_env_file_that_makes_no_sense_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, what: str
) -> None:
    """78, what is wrong without any of its text, and the configuration is as it was, byte for byte."""
    env, target = tmp_path / "env", tmp_path / "config.toml"
    target.write_bytes(SHIPPED)
    if data is not None:
        env.write_bytes(data)
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=target)
    import_env.add(parser)
    for words in (("--write",), ("--write", "--force"), ()):
        with pytest.raises(ConfigError) as refused:
            import_env.run(parser.parse_args([*words, str(env)]))
        assert refused.value.exit_code == 78
        assert what in str(refused.value)
        assert "hidden" not in str(refused.value)
    assert capsys.readouterr() == ("", "")
    assert target.read_bytes() == SHIPPED
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {"config.toml"} | ({"env"} if data is not None else set())
    )


@pytest.mark.parametrize("before", [None, SHIPPED, b"# nothing\n[agent]\n"])
def test_write_puts_it_in_place(env: Path, tmp_path: Path, before: bytes | None) -> None:
    """Where there is no configuration, or one that sets nothing: unreadable to others, and nothing is left beside it."""
    target = tmp_path / "etc/config.toml"
    target.parent.mkdir()
    if before is not None:
        target.write_bytes(before)
    done = ctl("import-env", "--write", env, "--config", target)
    assert done.returncode == 0, done.stderr
    is_good(target.read_text())
    assert "s3cret" not in done.stdout + done.stderr
    assert "heartbeatctl check" in done.stdout
    assert rights(target) & 0o137 == 0
    assert list(target.parent.iterdir()) == [target]
    if before == SHIPPED:  # and its comments are all there
        comments = [line for line in SHIPPED.decode().splitlines() if line.startswith("# ")]
        assert [line for line in target.read_text().splitlines() if line.startswith("# ")] == comments


@pytest.mark.parametrize(
    "before", [b"[agent]\ninterval_seconds = 20\n", b"agent.interval_seconds = 20\n", b"[[[\n", b"\xff"]
)
def test_write_leaves_settings_alone_unless_forced(env: Path, tmp_path: Path, before: bytes) -> None:
    """A configuration that sets something, or that nobody can read, is kept; with --force it is kept beside the new one."""
    target = tmp_path / "config.toml"
    target.write_bytes(before)
    done = ctl("import-env", "--write", env, "--config", target)
    assert done.returncode == 1
    assert "--force" in done.stderr
    assert target.read_bytes() == before
    assert ctl("import-env", "--write", "--force", env, "--config", target).returncode == 0
    is_good(target.read_text())
    kept = tmp_path / "config.toml.bak"
    assert kept.read_bytes() == before
    assert rights(kept) & 0o137 == 0


def test_write_where_nothing_can_be_written(env: Path, tmp_path: Path) -> None:
    """No folder, or a folder or FIFO of that name: 1, and what stands there stays."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for target, what in ((tmp_path / "no/config.toml", "No such file"), (tmp_path, "a folder"), (fifo, "a FIFO")):
        done = ctl("import-env", "--write", env, "--config", target)
        assert done.returncode == 1
        assert what in done.stderr
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_file_that_is_printed_into_is_taken_from_others(env: Path, tmp_path: Path) -> None:
    """`import-env FILE > new` makes a file with the shell's umask."""
    target = tmp_path / "new"
    with target.open("w") as file:
        os.fchmod(file.fileno(), 0o644)
        words = python("heartbeatd.ctl", "import-env", env)
        subprocess.run(
            words, cwd=CHECKOUT, env=environment(), stdout=file, stderr=subprocess.DEVNULL, timeout=60, check=True
        )
    assert rights(target) == 0o640
    is_good(target.read_text())


@given(st.from_regex(r"[!-~]{1,40}", fullmatch=True))
def test_any_key_gets_through(key: str) -> None:
    """In single quotes, and in double ones with its \\ " and $ escaped."""
    double = key.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    texts = [f'SECRET_KEY="{double}"'] + ([f"SECRET_KEY='{key}'"] if "'" not in key else [])
    for text in texts:
        assert dotenv.parse(text).values["SECRET_KEY"] == kind_of("heartbeat.secret_key").check(key)
