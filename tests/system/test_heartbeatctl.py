"""heartbeatctl as root uses it on an installed host."""

import json

import pytest

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import configure, reporting
from tests.system.host import BootedHost


def test_check_tries_what_the_agent_would_use(installed: BootedHost, receiver: Receiver) -> None:
    """`check` finds Worker and webhook in order before anything runs, and sends the Worker one heartbeat with the key."""
    configure(installed, reporting(receiver, "k"))
    said = installed.out("heartbeatctl check")
    assert "error" not in said
    assert [beat.authorization for beat in receiver.received(WORKER)] == ["Bearer k"]
    assert receiver.received(WEBHOOK) == []
    assert not installed.path("/var/lib/heartbeat/metrics.db").exists()


def test_check_fails_where_the_worker_refuses(installed: BootedHost, receiver: Receiver) -> None:
    """`check` exits with 1 and names the status when the Worker does not take the key."""
    configure(installed, reporting(receiver, "k"))
    receiver.answer(WORKER, 401)
    done = installed.run("heartbeatctl check", check=False)
    assert done.returncode == 1
    assert "401" in done.stdout


def test_check_names_all_mistakes_at_once(installed: BootedHost) -> None:
    """`check` exits with 78 and lists each mistake with its key; for a misspelt one the nearest real key."""
    configure(installed, '[agent]\nintervall_seconds = 10\n[storage]\nkeep_days = "for ever"\n')
    done = installed.run("heartbeatctl check --offline", check=False)
    assert done.returncode == 78
    for text in ("intervall_seconds", "interval_seconds", "storage.keep_days"):
        assert text in done.stdout


def test_once_prints_a_cycle_and_leaves_no_trace(installed: BootedHost, receiver: Receiver) -> None:
    """`once --json` prints one cycle's figures; nothing is stored and nothing sent."""
    configure(installed, reporting(receiver, "k"))
    cycle = json.loads(installed.out("heartbeatctl once --json"))
    assert "cpu_percent" in json.dumps(cycle)
    assert receiver.received(WORKER) == []
    assert not installed.path("/var/lib/heartbeat/metrics.db").exists()


def test_status_tells_a_stopped_agent_from_a_running_one(installed: BootedHost, receiver: Receiver) -> None:
    """`status` exits with 3 while the service is down and with 0 while it runs; `--json` says the same as data."""
    configure(installed, reporting(receiver, "k"))
    assert installed.run("heartbeatctl status", check=False).returncode == 3
    installed.run("systemctl start heartbeatd")
    installed.wait_for("heartbeats", lambda: len(receiver.received(WORKER)) >= 2)
    assert "200" in installed.out("heartbeatctl status")
    assert json.loads(installed.out("heartbeatctl status --json"))
    installed.run("systemctl stop heartbeatd")


@pytest.mark.parametrize(("language", "title"), [("en", "test alert from"), ("es", "alerta de prueba de")])
def test_test_alert_arrives(installed: BootedHost, receiver: Receiver, language: str, title: str) -> None:
    """`test-alert` goes by the notifier to the webhook, as an event of its own kind, in the language that is set."""
    configure(installed, reporting(receiver, "k").replace("[alerts]\n", f'[alerts]\nlanguage = "{language}"\n'))
    installed.run("systemctl restart heartbeatd")
    installed.run("heartbeatctl test-alert")
    installed.wait_for("the alert", lambda: receiver.received(WEBHOOK))
    (alert,) = receiver.received(WEBHOOK)
    assert alert.body["details"]["event"] == "test"
    assert alert.body["title"] == f"host-under-test: {title} heartbeatd"
    installed.run("systemctl stop heartbeatd")


def test_users_without_rights_are_told(installed: BootedHost) -> None:
    """Somebody who may not read the configuration is told so in a line, not by a traceback."""
    done = installed.run("setpriv --reuid=nobody --clear-groups heartbeatctl check --offline", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    assert "/etc/heartbeat/config.toml" in done.stderr + done.stdout


def test_files_that_root_owns_are_named_with_the_cure(installed: BootedHost, receiver: Receiver) -> None:
    """A database copied in by root: `check` is an error with the command that helps, and goes on with the other lines."""
    configure(installed, reporting(receiver, "k"))
    installed.run("install -d -o heartbeat -g heartbeat /var/lib/heartbeat; touch /var/lib/heartbeat/metrics.db")
    installed.run("chown root:root /var/lib/heartbeat/metrics.db; chmod 600 /var/lib/heartbeat/metrics.db")
    done = installed.run("heartbeatctl check", check=False)
    assert done.returncode == 1
    assert "→ chown -R heartbeat:heartbeat /var/lib/heartbeat\n" in done.stdout
    assert " clock " in done.stdout
    installed.run("rm -r /var/lib/heartbeat")


def test_a_folder_that_cannot_be_entered_is_an_error_line(installed: BootedHost, receiver: Receiver) -> None:
    """A database in root's home: said as any other finding."""
    configure(installed, reporting(receiver, "k") + '[storage]\npath = "/root/data/metrics.db"\n')
    done = installed.run("chmod 700 /root; heartbeatctl check", check=False)
    assert done.returncode == 1
    assert "error    storage" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_status_answers_while_the_file_is_refused(installed: BootedHost, receiver: Receiver) -> None:
    """An agent that goes on with the configuration it had is told of; the mistake is named, and the exit status is 78."""
    configure(installed, reporting(receiver, "k"))
    installed.run("systemctl restart heartbeatd")
    installed.wait_for("heartbeats", lambda: len(receiver.received(WORKER)) >= 2)
    configure(installed, reporting(receiver, "k") + '[storage]\npaht = ""\n')
    done = installed.run("heartbeatctl status", check=False)
    assert done.returncode == 78
    assert "service     active (running)" in done.stdout
    assert "last cycle" in done.stdout
    assert "storage.path" in done.stderr
    assert installed.run("systemctl reload heartbeatd", check=False).returncode != 0
    said = installed.journal("--unit=heartbeatd", "--priority=err", "--output=cat", "--lines=5")
    assert "storage.paht" in said
    installed.run("systemctl stop heartbeatd")


def test_who_may_not_read_the_configuration_is_told_what_to_do(installed: BootedHost) -> None:
    """Nobody in particular needs sudo, and nothing else is claimed. Where the agent may not read it, root is told what helps."""
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups heartbeatctl check --offline"
    configure(installed, "")
    for mode in ("600", "640"):
        installed.run(f"chown root:heartbeat /etc/heartbeat/config.toml; chmod {mode} /etc/heartbeat/config.toml")
        done = installed.run(nobody, check=False)
        assert done.returncode == 77
        assert done.stderr.startswith("heartbeatctl: not allowed: run it with sudo (/etc/heartbeat/config.toml: ")
    installed.run("chmod 600 /etc/heartbeat/config.toml")
    advice = "chown root:heartbeat /etc/heartbeat/config.toml; chmod 640 /etc/heartbeat/config.toml"
    assert advice in installed.run("heartbeatctl check --offline", check=False).stdout
    installed.run(f"{advice}; heartbeatctl check --offline")


def test_an_agent_that_may_not_read_the_configuration_says_what_it_needs(installed: BootedHost) -> None:
    """Which owner and rights, word for word, and with them it starts; whoever else may not read the file is told to use sudo."""
    config = "/etc/heartbeat/config.toml"
    configure(installed, "")
    installed.run(f"systemctl stop heartbeatd; chown root:root {config}; chmod 600 {config}")
    assert installed.run("systemctl start heartbeatd", check=False).returncode != 0
    advice = f"chown root:heartbeat {config}; chmod 640 {config}"
    assert (
        f"Permission denied (see to it that root and the group heartbeat may read it: {advice})" in installed.journal()
    )
    installed.run(f"{advice}; systemctl reset-failed heartbeatd; systemctl start heartbeatd")
    run = "setpriv --reuid=nobody --regid=nogroup --clear-groups heartbeatd"
    assert "only root and the group heartbeat may read it: run this with sudo" in installed.run(run, check=False).stderr


def test_a_mistake_is_shown_on_a_terminal_and_not_to_everybody(installed: BootedHost) -> None:
    """`check` shows the line without what may be a secret; the journal and STATUS=, which others may read, say where it is."""
    configure(installed, "[heartbeat]\nsecret_key = \u201chidden-key\u201d\n")
    said = installed.run("heartbeatctl check", check=False).stdout
    assert "line 2: is not TOML: it has typographic quotes: secret_key = \u201c\u2026\u201d" in said
    installed.run("systemctl restart heartbeatd", check=False)
    status = installed.out("systemctl show heartbeatd --property=StatusText --value")
    assert status.startswith("configuration refused: /etc/heartbeat/config.toml, line 2; ")
    assert "hidden-key" not in said + status + installed.journal("--output=export")
