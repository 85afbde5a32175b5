"""`heartbeatctl silence`, `silences` and `unsilence`, as a user runs them."""

import json
import os
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.core.silence import Silence
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from tests.support.agent import AS_NOBODY, CHECKOUT, environment, python, run_python
from tests.support.wait import wait_until

READY = "echo ready; exec sleep 600"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a database that is not there yet."""
    file = tmp_path / "config.toml"
    file.write_text(f'[agent]\ntimezone = "Europe/Madrid"\n[storage]\npath = "{database(file)}"\n')
    return file


def database(config: Path) -> Path:
    """Where it is."""
    return config.with_name("metrics.db")


def ctl(verb: str, config: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to its end."""
    done = run_python("-m", "heartbeatd.ctl", verb, "--config", config, *words, **more)
    assert "Traceback" not in done.stderr
    return done


def silences(config: Path) -> list[dict[str, str]]:
    """For programs."""
    found: list[dict[str, str]] = json.loads(ctl("silences", config, "--json").stdout)
    return found


def patterns(config: Path) -> list[str]:
    """Of those there are, straight from the file."""
    with closing(Reader.open(database(config))) as reader:
        return sorted(silence.pattern for silence in reader.silences())


def test_there_and_back_again(config: Path) -> None:
    """Also where the agent has never run. People are told until when, in their time zone, programs as in the table `metrics`."""
    done = ctl(
        "silence", config, "disk:/srv", "container:*", "--for", "1h 30min", "--comment", "a new disk", SUDO_USER="ana"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nobody is told of ") == 2 and "(Europe/Madrid)" in done.stdout
    one, other = silences(config)
    assert {one["pattern"], other["pattern"]} == {"disk:/srv", "container:*"}
    assert (one["who"], one["comment"], one["until"][-6:]) == ("ana", "a new disk", "-05:00")
    shown = ctl("silences", config).stdout
    assert "disk:/srv until " in shown and ": a new disk" in shown
    assert ctl("unsilence", config, "disk:/srv").stdout.startswith("1 silence ended")
    assert patterns(config) == ["container:*"]
    assert ctl("unsilence", config, "all").returncode == 0
    assert ctl("silences", config).stdout == "nothing is silenced\n"


def test_what_there_is_not_cannot_be_ended(config: Path) -> None:
    """The pattern counts as it was given; what else was meant is ended all the same."""
    ctl("silence", config, "disk:*", "worker", "--for", "1h")
    done = ctl("unsilence", config, "disk:/srv", "worker")
    assert (done.returncode, patterns(config)) == (1, ["disk:*"])
    assert "no such silence: disk:/srv" in done.stdout


def test_the_longest_of_a_pattern_counts_and_what_has_ended_goes(config: Path) -> None:
    """A shorter one beside it changes nothing."""
    with closing(Database.open(database(config), time.time_ns())) as opened:
        opened.change_silences([Silence("old", 2, created_ns=1, id="old")], ())
    first = ctl("silence", config, "worker", "--for", "2h").stdout
    assert ctl("silence", config, "worker", "--for", "1min").stdout == first
    assert patterns(config) == ["worker", "worker"]
    assert ctl("unsilence", config, "worker").stdout.startswith("2 silences ended")


def test_the_status_shows_them(config: Path) -> None:
    """In a line, and as data."""
    ctl("silence", config, "disk:/srv", "--for", "1h", "--comment", "a new disk")
    assert "silenced    disk:/srv until " in ctl("status", config).stdout
    (shown,) = json.loads(ctl("status", config, "--json").stdout)["silences"]
    assert (shown["pattern"], shown["comment"]) == ("disk:/srv", "a new disk")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--for", "1h"], 2, "whom"),
        (["worker"], 2, "--for"),
        (["worker", "--for", "3"], 2, "write its unit, too"),
        (["worker", "--for", "0s"], 2, "no time at all"),
        (["worker", "--for", "2 years"], 2, "366 days at the most"),
        (["worker", "--for", "367d"], 2, "out of range"),
        (["a\nb", "--for", "1h"], 2, "printable"),
        (["--for", "1h", "--"], 2, "while what"),
        (["dsk:/srv", "--for", "1h"], 2, "no kind of subject 'dsk' (is it disk?)"),
    ],
)
def test_what_makes_no_sense_is_refused(config: Path, words: list[str], status: int, said: str) -> None:
    """And nothing is written."""
    done = ctl("silence", config, *words)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert not database(config).exists()


def test_who_may_not_write_is_told(config: Path, tmp_path: Path) -> None:
    """With 77 where sudo would help; the command is not run."""
    ctl("silence", config, "worker", "--for", "1h")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    config.chmod(0o600)
    words = ["-m", "heartbeatd.ctl", "silence", "--config", str(config), "--for", "1h", "--", "echo", "ran"]
    done = run_python(*words, prefix=AS_NOBODY)
    assert (done.returncode, done.stdout) == (77, "")
    assert "sudo" in done.stderr


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_its_exit_status_is_given_on(config: Path, command: str, status: int) -> None:
    """And the silence, which was there while it ran, of everything, is over."""
    show = " ".join(python("heartbeatd.ctl", "silences", "--config", config))
    done = ctl("silence", config, "--for", "1h", "--", "sh", "-c", f"{show}; {command}")
    assert (done.returncode, done.stdout.splitlines()[0][:8]) == (status, "* until ")
    assert "while this runs: sh -c" in done.stdout
    assert patterns(config) == []


@pytest.mark.parametrize(("command", "status"), [("/no/such/file", 127), ("/", 126)])
def test_what_cannot_be_run(config: Path, command: str, status: int) -> None:
    """As a shell says it."""
    done = ctl("silence", config, "worker", "--for", "1h", "--", command)
    assert (done.returncode, patterns(config)) == (status, [])
    assert command in done.stderr


def test_only_its_own_silence_ends_with_a_command(config: Path) -> None:
    """Another one of the same pattern goes on."""
    ctl("silence", config, "worker", "--for", "1h")
    ctl("silence", config, "worker", "--for", "1h", "--", "true")
    assert patterns(config) == ["worker"]


def test_what_needs_doing_is_done_all_the_same(config: Path) -> None:
    """Where the database cannot be used: a backup is more than an alert too many."""
    database(config).write_bytes(b"no database" * 1000)
    done = ctl("silence", config, "--for", "1h", "--", "sh", "-c", "echo ran; exit 3")
    assert (done.returncode, done.stdout) == (3, "ran\n")
    assert "nothing is silenced: " in done.stderr


@pytest.mark.parametrize(
    ("number", "to_all", "status"),
    [
        (signal.SIGTERM, False, 143),
        (signal.SIGHUP, False, 129),
        (signal.SIGINT, True, 130),
        (signal.SIGTERM, True, 143),
    ],
)
def test_the_silence_ends_however_the_command_is_ended(
    config: Path, number: signal.Signals, status: int, *, to_all: bool
) -> None:
    """By a signal to heartbeatctl, by Ctrl-C in a terminal, by systemd, which ends the whole unit."""
    words = python("heartbeatd.ctl", "silence", "--config", config, "--for", "1h", "--", "sh", "-c", READY)
    with subprocess.Popen(
        words, cwd=CHECKOUT, env=environment(), stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        assert patterns(config) == ["*"]
        (os.killpg if to_all else os.kill)(process.pid, number)
        assert process.wait(timeout=60) == status
    assert patterns(config) == []


def test_a_command_that_is_killed(config: Path, tmp_path: Path) -> None:
    """By whatever has its id."""
    pid = tmp_path / "pid"
    words = python("heartbeatd.ctl", "silence", "--config", config, "--for", "1h", "--")
    with subprocess.Popen(
        [*words, "sh", "-c", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 600"], cwd=CHECKOUT, env=environment()
    ) as process:
        wait_until(pid.exists)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        assert process.wait(timeout=60) == 137
    assert patterns(config) == []
