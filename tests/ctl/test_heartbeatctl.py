"""heartbeatctl as a user runs it, against a Worker, a webhook and a database that are there, and ones that are not."""

import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from heartbeatd import __version__
from heartbeatd.core.sample import Row
from heartbeatd.core.timefmt import to_lima
from heartbeatd.core.worker import WorkerState
from heartbeatd.ctl.__main__ import VERBS
from heartbeatd.store.database import Database
from heartbeatd.store.migrations import METRICS
from tests.support.agent import run_python
from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.support.states import announced

NOW_NS = 1_790_000_000_000_000_000

ALERTS = f"{WEBHOOK}?token=hidden-token"


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver) -> Path:
    """A configuration that reports to `receiver`, its database in a folder of the test's."""
    file = tmp_path / "config.toml"
    file.write_text(
        f'[agent]\nhostname = "under-test"\n[docker]\nsocket = ""\n[storage]\npath = "{tmp_path}/metrics.db"\n'
        f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "hidden-key"\ntimeout_seconds = 5\n'
        f'[internet]\nurl = "{receiver.url("/")}"\n[alerts]\nalert_after = 2\n'
        f'webhook_url = "{receiver.url(ALERTS)}"\n'
    )
    file.chmod(0o640)
    return file


def ctl(*words: str | Path, stdin: str = "", prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run heartbeatctl; no output of it ever shows a traceback or a secret."""
    done = run_python("-m", "heartbeatd.ctl", *words, stdin=stdin, prefix=prefix)
    for shown in (done.stdout, done.stderr):
        assert "Traceback" not in shown
        assert "hidden-key" not in shown
        assert "hidden-token" not in shown
    return done


def test_version_help_and_usage() -> None:
    """As every command: 0, 0 and 2."""
    assert ctl("--version").stdout == f"heartbeatctl {__version__}\n"
    assert "test-alert" in ctl("--help").stdout
    for words in ((), ("nonsense",), ("check", "--nonsense"), ("import-env",)):
        done = ctl(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: heartbeatctl")


def test_alone_it_lists_its_verbs() -> None:
    """As help, on standard error, and 2: nothing was done."""
    done = ctl()
    assert done.returncode == 2
    assert done.stdout == ""
    for verb in VERBS:
        assert f"\n    {verb}" in done.stderr


def test_once_has_nowhere_to_send_to(tmp_path: Path) -> None:
    """`--send` without a Worker is refused before anything is measured or stored."""
    (tmp_path / "config.toml").write_text(f'[storage]\npath = "{tmp_path}/metrics.db"\n')
    done = ctl("once", "--send", "--store", "--config", tmp_path / "config.toml")
    assert done.returncode == 78
    assert "heartbeat.url: is not set (set it: there is nowhere to send to)" in done.stderr
    assert not (tmp_path / "metrics.db").exists()


def test_a_test_alert_says_what_came_back(config: Path, receiver: Receiver) -> None:
    """A line for each channel, from one try to each; 1 as soon as one of them did not take it."""
    done = ctl("test-alert", "--config", config)
    assert (done.returncode, done.stdout) == (0, "webhook  delivered (HTTP 200)\n")
    with config.open("a") as file:
        file.write('[[channel]]\nname = "phone"\nurl = "json://127.0.0.1:9/"\n')
    receiver.answer(ALERTS, 404)
    done = ctl("test-alert", "--config", config)
    webhook, phone = done.stdout.splitlines()
    assert done.returncode == 1
    assert webhook.startswith("webhook  not delivered: HTTP 404")
    assert phone.startswith("phone    not delivered: ")
    assert len(receiver.received(ALERTS)) == 2


def test_a_test_alert_to_one_channel(config: Path, receiver: Receiver) -> None:
    """That one only; a name that is none says which there are."""
    assert ctl("test-alert", "--channel", "webhook", "--config", config).returncode == 0
    done = ctl("test-alert", "--channel", "phone", "--config", config)
    assert done.returncode == 78
    assert "channel phone: is not configured (there is webhook)" in done.stderr
    assert len(receiver.received(ALERTS)) == 1


@pytest.mark.parametrize("wrong", ["0", "-1", "abc", "nan", "inf", "10001", "1e9"])
def test_a_number_of_days_says_what_it_may_be(wrong: str) -> None:
    """Zero is not "from 0"."""
    done = ctl("history", "--days", wrong)
    assert done.returncode == 2
    assert "argument --days: must be a number more than 0 and at most 10000, e.g. 7 or 0.5" in done.stderr


@pytest.mark.parametrize("verb", ["check", "status", "once", "test-alert"])
def test_a_file_that_is_not_there(verb: str, tmp_path: Path) -> None:
    """78, and which file."""
    done = ctl(verb, "--config", tmp_path / "none.toml")
    assert done.returncode == 78
    assert "none.toml" in done.stdout + done.stderr


# Where a package is built, there is often no filesystem with a disk of its own, for the built-in limits; a load there is.
LIMITS = """
[[rule]]
metric = "load_per_core"
above = 900
[[rule]]
metric = "load_per_core"
above = 970
severity = "critical"
"""


def test_check_when_all_is_well(config: Path, receiver: Receiver) -> None:
    """Every line is ok, but for the clock of a machine without timedated; the Worker got one heartbeat, the webhook nothing."""
    config.write_text(config.read_text() + LIMITS)
    done = ctl("check", "--config", config)
    assert done.returncode == 0
    lines = [line.split()[:2] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert {subject for verdict, subject in lines if verdict != "ok"} <= {"clock"}
    assert {subject for _, subject in lines} == {
        *(
            "configuration",
            "host",
            "sandbox",
            "secrets",
            "names",
            "worker",
            "webhook",
            "internet",
            "docker",
            "rules",
            "storage",
            "clock",
        )
    }
    assert len(receiver.received(WORKER)) == 1
    assert receiver.received(WEBHOOK) == []
    assert ctl("check", "--config", config, "--quiet").stdout == ""


def test_check_offline_asks_nobody(config: Path, receiver: Receiver) -> None:
    """Only the file; as `systemctl reload` does."""
    assert ctl("check", "--config", config, "--offline").returncode == 0
    assert receiver.received(WORKER) == []


@pytest.mark.parametrize("status", [220, 302, 401, 500])
def test_check_when_the_worker_minds(config: Path, receiver: Receiver, status: int) -> None:
    """1, with the status and its meaning."""
    receiver.answer(WORKER, status)
    done = ctl("check", "--config", config, "--quiet")
    assert done.returncode == 1
    assert f"HTTP {status}" in done.stdout


@pytest.mark.parametrize(
    ("status", "headers", "says", "key"),
    [
        (401, {}, "not authorized: wrong key", True),
        (403, {"CF-Mitigated": "challenge", "Server": "cloudflare"}, "bot protection stopped the heartbeat", False),
        (403, {"Server": "cloudflare"}, "by the Worker (wrong key?) or by a rule of Cloudflare's firewall", True),
        (429, {"Retry-After": "3600", "Server": "cloudflare"}, "resets it at 00:00 UTC", False),
        (530, {"Server": "cloudflare"}, "Cloudflare could not reach the Worker or run it", False),
    ],
)
def test_check_tells_who_answered(
    config: Path, receiver: Receiver, status: int, headers: dict[str, str], says: str, *, key: bool
) -> None:
    """The key, and where it is from, is named where it explains the answer, and nowhere else."""
    receiver.answer(WORKER, status, headers={status: headers})
    done = ctl("check", "--config", config, "--quiet")
    assert says in done.stdout
    assert ("The key comes from" in done.stdout) == key


def test_check_when_nobody_is_there(config: Path, tmp_path: Path) -> None:
    """An error for the Worker, the webhook and the folder, a warning for the internet; each with what to do."""
    text = config.read_text()
    for line in text.splitlines():
        if "http://" in line:
            text = text.replace(line, line.split(" = ")[0] + ' = "http://127.0.0.1:9/"')
    config.write_text(text.replace(f"{tmp_path}/metrics.db", f"{tmp_path}/no/metrics.db"))
    done = ctl("check", "--config", config)
    assert done.returncode == 1
    verdicts = {tuple(line.split()[:2]) for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert {("error", "worker"), ("error", "webhook"), ("error", "storage"), ("warning", "internet")} <= verdicts
    assert done.stdout.count("→") >= 4
    assert "refused: Connection refused" not in done.stdout


def test_check_of_a_damaged_database(config: Path, tmp_path: Path) -> None:
    """It is said before anything runs."""
    (tmp_path / "metrics.db").write_bytes(b"garbage\n" * 4096)
    done = ctl("check", "--config", config)
    assert done.returncode == 1
    assert "damaged" in done.stdout + done.stderr


def test_once(config: Path, receiver: Receiver, tmp_path: Path) -> None:
    """Printed only; sent with --send; stored with --store; --json has the columns of the database."""
    done = ctl("once", "--config", config)
    assert done.returncode == 0
    assert done.stdout.startswith("cpu ")
    assert receiver.received(WORKER) == []
    assert not (tmp_path / "metrics.db").exists()
    printed = json.loads(ctl("once", "--config", config, "--json", "--send", "--store").stdout)
    assert list(printed)[: len(METRICS)] == [name for name, _ in METRICS]
    (beat,) = receiver.received(WORKER)
    assert beat.body["metrics"]["id"] == printed["id"]
    assert printed["worker_status"] == 200
    with closing(sqlite3.connect(tmp_path / "metrics.db")) as reader:
        assert reader.execute("SELECT id, worker_status FROM metrics").fetchall() == [(printed["id"], 200)]
    receiver.answer(WORKER, 401)
    assert ctl("once", "--config", config, "--send").returncode == 1
    assert receiver.received(WEBHOOK) == []


def test_what_the_rules_make_of_now(config: Path, tmp_path: Path) -> None:
    """`check` and `once --rules` say it of each subject; nobody is told, and nothing is stored."""
    limits = """
[[rule]]
metric = "ram_percent"
above = 0.1
for = "5 minutes"
[[rule]]
metric = "disk_used_percent"
label = "/nowhere"
above = 50
"""
    config.write_text(config.read_text() + LIMITS + limits)
    said = ctl("check", "--config", config).stdout
    assert re.search(
        r"^warning +rules +ram: RAM is [0-9.]+ % full: warning, announced if it lasts for 5 min$", said, re.MULTILINE
    )
    assert re.search(
        r"^ok +rules +load: [0-9.]+, alerts at 900\.00 \(warning\) and 970\.00 \(critical\)$", said, re.MULTILINE
    )
    assert "disk_used_percent of /nowhere: nothing of the kind is read here" in said
    shown = ctl("once", "--rules", "--config", config)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"^warning +ram: RAM is [0-9.]+ % full", shown.stdout, re.MULTILINE)
    found = json.loads(ctl("once", "--rules", "--json", "--config", config).stdout)["rules"]
    (ram,) = (one for one in found if one["subject"] == "ram")
    assert (ram["state"], ram["severity"], ram["limit"]) == ("warning", "warning", 0.1)
    assert not (tmp_path / "metrics.db").exists()


def test_test_alert(config: Path, receiver: Receiver) -> None:
    """It arrives, as event `test`; if it does not, that is said, and why."""
    done = ctl("test-alert", "--config", config, "--direct")
    assert done.returncode == 0, done.stdout
    (alert,) = receiver.received(f"{WEBHOOK}?token=hidden-token")
    assert alert.body["details"]["event"] == "test"
    receiver.answer(f"{WEBHOOK}?token=hidden-token", 404)
    done = ctl("test-alert", "--config", config, "--direct")
    assert done.returncode == 1
    assert "HTTP 404" in done.stdout
    config.write_text("")
    assert ctl("test-alert", "--config", config).returncode == 78


def test_status_of_an_agent_that_never_ran(config: Path) -> None:
    """Not 0; and the database that is not there is said to be not there."""
    done = ctl("status", "--config", config)
    assert done.returncode != 0
    assert "metrics.db" in done.stdout
    assert json.loads(ctl("status", "--config", config, "--json").stdout)["last_cycle"] is None


def test_status_reads_what_is_stored(config: Path, tmp_path: Path) -> None:
    """The last row, what was announced, the queue; and how long ago the last cycle was."""
    ctl("once", "--config", config, "--store", "--send")
    with closing(Database.open(tmp_path / "metrics.db", NOW_NS)) as store:
        store.record((), (announced(WorkerState.REJECTED, NOW_NS),), (), flush=True)
    told = json.loads(ctl("status", "--config", config, "--json").stdout)
    assert told["worker"]["announced"] == "rejected"
    assert told["last_cycle"]["worker_status"] == 200
    assert told["alerts"] == {"queued": 0, "last_error": None}
    with closing(sqlite3.connect(tmp_path / "metrics.db")) as other, other:
        other.execute("UPDATE metrics SET timestamp_lima = '2026-01-01T00:00:00.000000-05:00'")
    done = ctl("status", "--config", config)
    assert re.search(r"last cycle +\d+ d \d* ?h? ?ago", done.stdout)  # whether that is late, systemd has to say, too
    assert "rejected" in done.stdout


def test_what_is_no_regular_file_is_refused_at_once(config: Path, tmp_path: Path) -> None:
    """A FIFO as configuration, key, authorities or .env file: 78 with its name, where opening it would wait for ever."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    key = tmp_path / "key.toml"
    key.write_text(f'[heartbeat]\nsecret_key_file = "{fifo}"\n')
    for words in (("check", "--config", fifo), ("check", "--config", key), ("import-env", fifo)):
        done = ctl(*words)
        assert done.returncode == 78
        assert f"{fifo}" in done.stdout + done.stderr
        assert "it is a FIFO, not a regular file" in done.stdout + done.stderr
    config.write_text(config.read_text().replace("[heartbeat]\n", f'[heartbeat]\nca_file = "{fifo}"\n'))
    done = ctl("check", "--config", config)
    assert done.returncode
    assert "it is a FIFO, not a regular file" in done.stdout + done.stderr


def test_history_tells_hours_and_days(config: Path, tmp_path: Path) -> None:
    """The last day by the hour, or more by the day; means, what was most, and shares; --json has every column."""
    assert "no database yet (the agent makes it at its first start)" in ctl("history", "--config", config).stderr
    now_ns = time.time_ns()
    with closing(Database.open(tmp_path / "metrics.db", now_ns)) as store:
        for hours, cpu in ((0, 10.0), (0, 30.0), (100, 50.0)):
            stamp = to_lima(now_ns - hours * 3_600_000_000_000 - len(str(cpu)))
            row = Row(f"{hours}-{cpu}", stamp, cpu, 1.0, 2.0, 3.0, 4, 1, 5.0, 200 if cpu < 20 else 503, 6.0)
            store.record([row], (), (), flush=False)
    day = ctl("history", "--config", config)
    assert day.returncode == 0
    _, *lines = day.stdout.splitlines()
    assert any("20.0 (30.0)" in line and "100.0%" in line and "50.0%" in line for line in lines)
    assert "from (America/Lima)" in day.stdout
    config.write_text(config.read_text().replace("[agent]", '[agent]\ntimezone = "Asia/Kolkata"'))
    there = ctl("history", "--config", config).stdout
    hour = datetime.fromtimestamp((now_ns - 10) // 3_600_000_000_000 * 3600, ZoneInfo("Asia/Kolkata"))
    assert there.startswith("from (Asia/Kolkata)")
    assert f"\n{hour:%Y-%m-%d %H:%M} " in there
    assert "midnight in Lima" in ctl("history", "--config", config, "--days", "30").stdout
    week = json.loads(ctl("history", "--config", config, "--days", "30", "--json").stdout)
    assert sum(found["cycles"] for found in week) == 3
    assert max(found["cpu_percent_max"] for found in week) == 50.0
    assert all(found["start"].endswith("T00:00:00-05:00") for found in week)
    by_hour = json.loads(ctl("history", "--config", config, "--days", "30", "--by", "hour", "--json").stdout)
    assert len(by_hour) == 2
