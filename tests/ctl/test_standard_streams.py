"""What heartbeatctl is connected to: a terminal that is not UTF-8, a full disk, a pipe nobody reads, nothing; and Ctrl-C."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import CHECKOUT, environment, python
from tests.support.receiver import WORKER, Receiver

pytestmark = pytest.mark.slow  # many processes
ODD_NAME = "größe-→-日本-\x1b[31m"


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver) -> Path:
    """A configuration in a file whose name no terminal is safe from, with a Worker that refuses."""
    file = tmp_path / f"{ODD_NAME}.toml"
    file.write_text(
        f'[docker]\nsocket = ""\n[storage]\npath = "{tmp_path}/metrics.db"\n[internet]\nurl = "{receiver.url("/")}"\n'
        f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\n'
    )
    file.chmod(0o640)
    receiver.answer(WORKER, 401)
    return file


def run(
    *words: str | Path, stdout: int = subprocess.PIPE, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run heartbeatctl; it never ends in a traceback, not even at the very end."""
    done = subprocess.run(
        python("heartbeatd.ctl", *words),
        cwd=CHECKOUT,
        env=environment(**(more or {})),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Exception ignored" not in done.stderr, done.stderr
    return done


OLD = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("encoding", "shown", "arrow"),
    [
        ({**OLD, "LC_ALL": "C"}, b"?[31m.toml is valid", b" -> "),
        ({**OLD, "LC_ALL": "POSIX"}, b"?[31m.toml is valid", b" -> "),
        ({"PYTHONIOENCODING": "ascii:strict"}, b"gr??e-->-??-?[31m.toml is valid", b" -> "),
        ({"PYTHONIOENCODING": "latin-1"}, b"gr\xf6\xdfe-->-??-?[31m.toml is valid", b" -> "),
        ({"PYTHONIOENCODING": "utf-8"}, "größe-→-日本-?[31m.toml is valid".encode(), " → ".encode()),
    ],
    ids=["C", "POSIX", "ASCII", "Latin-1", "UTF-8"],
)
def test_a_terminal_that_is_not_utf_8(config: Path, encoding: dict[str, str], shown: bytes, arrow: bytes) -> None:
    """What its encoding lacks is spelled, or a question mark: an arrow, a name; on both outputs."""
    done = run("check", "--config", config, more=encoding)
    assert done.returncode == 1
    assert b"HTTP 401" in done.stdout
    assert shown in done.stdout
    assert arrow in done.stdout
    config.write_text("[agent]\nintervall = 1\n")
    refused = run("history", "--config", config, more=encoding)
    assert refused.returncode == 78
    assert b"?[31m.toml" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("once",),
        ("check",),
        ("history",),
        ("--help",),
        ("--version",),
        ("import-env", "ENV"),
    ],
    ids=" ".join,
)
def test_a_full_disk(config: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Not 0, and the reason in a line."""
    env = tmp_path / ".env"
    env.write_text(
        "SECRET_KEY=k\nHEARTBEAT_URL=https://beat.example/\nN8N_WEBHOOK_URL=http://127.0.0.1:5678/webhook/h\n"
    )
    run("once", "--store", "--config", config)
    given = [env if word == "ENV" else word for word in words]
    with Path("/dev/full").open("wb") as full:
        done = run(
            *given,
            *(() if words[0] in ("--help", "--version", "import-env") else ("--config", config)),
            stdout=full.fileno(),
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"heartbeatctl: standard output: No space left on device"


def test_nothing_to_print_to(config: Path, tmp_path: Path) -> None:
    """Started with its outputs closed, it does what it was asked for."""
    words = python("heartbeatd.ctl", "once", "--store", "--config", config)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *words], cwd=CHECKOUT, env=environment(), check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "metrics.db").exists()


def test_an_error_that_nobody_can_read(tmp_path: Path) -> None:
    """The exit status still says it."""
    words = python("heartbeatd.ctl", "history", "--config", tmp_path / "none.toml")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", *words], cwd=CHECKOUT, env=environment(), check=False
    )
    assert done.returncode == 78


def test_a_pipe_that_nobody_reads(config: Path) -> None:
    """As other commands do: ended by SIGPIPE, without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run("check", "--config", config, stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize("words", [("once", "--send"), ("test-alert",), ("check",)], ids=" ".join)
def test_ctrl_c(tmp_path: Path, words: tuple[str, ...]) -> None:
    """While it waits for a server that says nothing: 130 at once, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        config = tmp_path / "config.toml"
        config.write_text(
            f'[docker]\nsocket = ""\n[storage]\npath = "{tmp_path}/metrics.db"\n[internet]\nurl = "{url}"\ntimeout_seconds = 50\n'
            f'[heartbeat]\nurl = "{url}"\nsecret_key = "k"\ntimeout_seconds = 50\n[alerts]\nwebhook_url = "{url}"\n'
            "timeout_seconds = 50\n"
        )
        config.chmod(0o640)
        process = subprocess.Popen(
            # Whoever runs the tests in the background may have had SIGINT ignored.
            ["env", "--default-signal=INT", *python("heartbeatd.ctl", *words, "--config", config)],
            cwd=CHECKOUT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=40)
    assert process.returncode == 128 + signal.SIGINT
    assert errors == b""
