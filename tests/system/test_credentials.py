"""The key as a systemd credential: stored by heartbeatctl, decrypted by systemd, and taken by the agent."""

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import configure, reporting, state, wait_active, wait_cycle
from tests.system.host import BootedHost

KEY = "credential-key-4711"


def without_key(receiver: Receiver) -> str:
    """A configuration in which the key is missing."""
    return reporting(receiver, "x").replace('secret_key = "x"\n', "")


def beats_with(host: BootedHost, receiver: Receiver) -> str | None:
    """How the next heartbeat after a restart is authorized."""
    host.run("systemctl restart heartbeatd")
    wait_active(host)
    seen = len(receiver.received(WORKER))
    host.wait_for("heartbeats", lambda: len(receiver.received(WORKER)) > seen + 1)
    return receiver.received(WORKER)[-1].authorization


def test_an_encrypted_credential_is_taken(installed: BootedHost, receiver: Receiver) -> None:
    """`set-secret` from standard input: encrypted on the disk, named by `check` before the service runs, used once it does."""
    configure(installed, without_key(receiver))
    assert "is missing" in installed.run("heartbeatctl check --offline", check=False).stdout
    said = installed.out(f"echo {KEY} | heartbeatctl set-secret")
    assert "/etc/credstore.encrypted/heartbeat.secret_key" in said
    assert KEY not in said
    assert installed.run(f"grep -r {KEY} /etc", check=False).stdout == ""
    assert installed.out("stat --format='%U %a' /etc/credstore.encrypted/heartbeat.secret_key") == "root 600"
    assert "the key comes from /etc/credstore.encrypted/heartbeat.secret_key" in installed.out(
        "heartbeatctl check --offline"
    )
    assert beats_with(installed, receiver) == f"Bearer {KEY}"
    assert "the key comes from systemd credential heartbeat.secret_key" in installed.out("heartbeatctl check")
    assert KEY not in installed.journal()


def test_a_reload_knows_the_credential(installed: BootedHost, receiver: Receiver) -> None:
    """`systemctl reload` takes a good file whose key is a credential, and fails on a bad one."""
    configure(installed, without_key(receiver))
    installed.run("systemctl restart heartbeatd")
    wait_active(installed)
    installed.run("systemctl reload heartbeatd")
    installed.wait_for("the reload", lambda: "configuration reloaded" in installed.journal("--unit=heartbeatd"))
    configure(installed, without_key(receiver) + "nonsense\n")
    assert installed.run("systemctl reload heartbeatd", check=False).returncode != 0
    configure(installed, without_key(receiver))
    installed.run("chmod 600 /etc/heartbeat/config.toml")
    assert installed.run("systemctl reload heartbeatd", check=False).returncode != 0
    installed.run("chmod 640 /etc/heartbeat/config.toml")
    assert state(installed, "ActiveState") == "active"


def test_a_reload_fails_while_the_agent_lacks_the_credential(installed: BootedHost, receiver: Receiver) -> None:
    """Stored while the agent runs, and then taken out of the file: the reload fails, for the agent gets it at a restart only."""
    installed.run("heartbeatctl set-secret --remove")
    configure(installed, reporting(receiver, "in-the-file"))
    assert beats_with(installed, receiver) == "Bearer in-the-file"
    installed.run(f"echo {KEY} | heartbeatctl set-secret")
    installed.run("systemctl reload heartbeatd")
    configure(installed, without_key(receiver))
    assert installed.run("systemctl reload heartbeatd", check=False).returncode != 0
    assert "heartbeat.secret_key: is missing" in installed.journal("--unit=heartbeatd", "--lines=5")
    assert beats_with(installed, receiver) == f"Bearer {KEY}"
    installed.run("systemctl reload heartbeatd")


def test_a_reload_fails_for_what_only_the_agent_cannot_read(installed: BootedHost, receiver: Receiver) -> None:
    """A key file for root alone: the reload fails, as the next start would."""
    installed.run(
        "heartbeatctl set-secret --remove; install -m 600 /dev/null /etc/heartbeat/key; echo k > /etc/heartbeat/key"
    )
    configure(installed, reporting(receiver, "in-the-file"))
    installed.run("systemctl restart heartbeatd")
    named = without_key(receiver).replace("[heartbeat]\n", '[heartbeat]\nsecret_key_file = "/etc/heartbeat/key"\n')
    configure(installed, named)
    assert installed.run("systemctl reload heartbeatd", check=False).returncode != 0
    installed.run("chown root:heartbeat /etc/heartbeat/key; chmod 640 /etc/heartbeat/key; systemctl reload heartbeatd")
    installed.run("rm /etc/heartbeat/key")


def test_a_plain_credential_is_taken(installed: BootedHost, receiver: Receiver) -> None:
    """`set-secret --plain`: for root alone; it takes the place of the encrypted one."""
    configure(installed, without_key(receiver))
    said = installed.out("echo plain-key | heartbeatctl set-secret --plain")
    assert "/etc/credstore/heartbeat.secret_key.plain" in said
    assert installed.out("stat --format='%U %a' /etc/credstore/heartbeat.secret_key.plain") == "root 600"
    assert not installed.path("/etc/credstore.encrypted/heartbeat.secret_key").exists()
    assert beats_with(installed, receiver) == "Bearer plain-key"


def test_a_drop_in_wins(installed: BootedHost, receiver: Receiver) -> None:
    """A credential of that name passed by a drop-in, as any service's, wins over the stores."""
    configure(installed, without_key(receiver))
    installed.run(
        "mkdir -p /etc/systemd/system/heartbeatd.service.d; echo of-the-drop-in > /root/key; "
        "printf '[Service]\\nLoadCredential=heartbeat.secret_key:/root/key\\n'"
        " > /etc/systemd/system/heartbeatd.service.d/key.conf; systemctl daemon-reload"
    )
    assert beats_with(installed, receiver) == "Bearer of-the-drop-in"
    installed.run("rm -r /etc/systemd/system/heartbeatd.service.d; systemctl daemon-reload")


def test_the_webhook_is_a_credential_too(installed: BootedHost, receiver: Receiver) -> None:
    """`set-secret webhook_url` while the agent runs: alerts go there at once, and the agent cannot read the address."""
    url = receiver.url(WEBHOOK)
    configure(installed, without_key(receiver).replace(f'webhook_url = "{url}"\n', ""))
    assert beats_with(installed, receiver) == "Bearer plain-key"
    said = installed.run("heartbeatctl test-alert", check=False, timeout_s=90)
    assert (said.returncode, "alerts.webhook_url: is not set" in said.stderr) == (78, True)
    said = installed.run(f"echo {url} | heartbeatctl set-secret webhook_url")
    assert "the next alert is sent with it" in said.stdout
    assert "restart" not in said.stdout
    installed.run("heartbeatctl test-alert", timeout_s=90)
    assert receiver.received(WEBHOOK)[-1].body["details"]["event"] == "test"
    installed.run("systemctl restart heartbeatd")
    wait_active(installed)
    assert installed.out("ls /run/credentials/heartbeatd.service") == "heartbeat.secret_key.plain"
    readable = "setpriv --reuid=heartbeat --regid=heartbeat --clear-groups grep -rs webhook/heartbeat /etc /run"
    assert installed.run(readable, check=False).stdout == ""


def test_what_is_to_be_told_is_kept_until_the_notifier_can_tell(installed: BootedHost, receiver: Receiver) -> None:
    """A notifier that is not passed the credentials cannot know that there is no webhook: the alert waits for one that is."""
    drop_in = "/run/systemd/system/heartbeatd-notify@.service.d"
    installed.run(
        f"mkdir -p {drop_in}; printf '[Service]\\nLoadCredential=\\n' > {drop_in}/none.conf; systemctl daemon-reload"
    )
    url = receiver.url(WEBHOOK)
    installed.run(f"echo {url} | heartbeatctl set-secret webhook_url")
    without_url = without_key(receiver).replace(f'webhook_url = "{url}"\n', "gap_alert_seconds = 1\n")
    configure(installed, without_url)
    installed.run("systemctl restart heartbeatd")
    wait_cycle(installed)
    installed.run("systemctl stop heartbeatd; sleep 3; systemctl start heartbeatd")
    installed.wait_for("an alert that waits", lambda: "webhook_url: is not set" in installed.out("heartbeatctl alerts"))
    installed.run(f"rm -r {drop_in}; systemctl daemon-reload")
    installed.run("heartbeatctl alerts retry", check=False)  # which may have been tried by itself just now
    installed.wait_for(
        "the alert", lambda: [x for x in receiver.received(WEBHOOK) if x.body["details"]["event"] == "gap"]
    )


def test_without_any_channel_nothing_waits(installed: BootedHost, receiver: Receiver) -> None:
    """The first try says that there is nowhere to send it, and that is logged."""
    installed.run(
        "heartbeatctl set-secret --remove webhook_url; systemctl stop heartbeatd; sleep 3; systemctl start heartbeatd"
    )
    said = "alert not sent, there is nowhere to send it"
    installed.wait_for("the line", lambda: said in installed.journal("--unit=heartbeatd", "--output=cat"))
    wait_cycle(installed)
    installed.wait_for("the status", lambda: "queued" not in installed.out("systemctl show -P StatusText heartbeatd"))


def test_what_would_keep_the_service_from_starting_is_said(installed: BootedHost) -> None:
    """An unencrypted credential under the name of the encrypted one: `check` is an error, with the command that mends it."""
    installed.run("echo k > /etc/credstore/heartbeat.secret_key")
    done = installed.run("heartbeatctl check --offline", check=False)
    assert done.returncode == 1
    assert "mv /etc/credstore/heartbeat.secret_key /etc/credstore/heartbeat.secret_key.plain" in done.stdout
    installed.run("rm /etc/credstore/heartbeat.secret_key")


def test_where_systemd_cannot_encrypt_the_key_goes_into_a_file(installed: BootedHost) -> None:
    """Without systemd-creds: a file for root and the agent's group, and the line that names it."""
    installed.run("mv /usr/bin/systemd-creds /usr/bin/systemd-creds.away")
    said = installed.out("echo key-in-a-file | heartbeatctl set-secret")
    installed.run("mv /usr/bin/systemd-creds.away /usr/bin/systemd-creds")
    assert 'secret_key_file = "/etc/heartbeat/secret_key"' in said
    assert not installed.path("/etc/credstore/heartbeat.secret_key.plain").exists()  # the old key would win
    assert installed.out("stat --format='%U:%G %a' /etc/heartbeat/secret_key") == "root:heartbeat 640"


def test_many_at_once_do_not_disturb_each_other(installed: BootedHost) -> None:
    """Each says that it stored its key, the last one's counts, in one place and whole; and a restart is named, not a reload."""
    one = "sh -c 'echo key-$0 | heartbeatctl set-secret $([ $(($0 % 2)) = 0 ] || echo --plain)'"
    said = installed.out(f"seq 8 | xargs -P 8 -n 1 {one}")
    assert said.count("stored in /etc/credstore") == 8
    assert "systemctl restart heartbeatd" in said
    kept = installed.out("find /etc/credstore /etc/credstore.encrypted -name '*heartbeat.secret_key*'").splitlines()
    assert len(kept) == 1
    installed.run("heartbeatctl check --offline")


def test_a_credential_that_is_no_file_is_named_at_once(installed: BootedHost, receiver: Receiver) -> None:
    """A FIFO in systemd's stores would have `check` wait for a writer. Where the key is missing for it, the file is refused."""
    installed.run("heartbeatctl set-secret --remove")  # whichever of the eight above was the last
    configure(installed, reporting(receiver, "in-the-file"))
    webhook, key = "/etc/credstore/heartbeat.webhook_url.plain", "/etc/credstore.encrypted/heartbeat.secret_key"
    assert _checked_with_fifo(installed, webhook) == 1
    assert _checked_with_fifo(installed, key) == 1
    configure(installed, without_key(receiver))
    assert _checked_with_fifo(installed, key) == 78


def _checked_with_fifo(host: BootedHost, place: str) -> int:
    """The exit status of a `check` that finds a FIFO there."""
    host.run(f"systemctl stop heartbeatd; rm -f {place}; mkfifo {place}")
    done = host.run("timeout 10 heartbeatctl check --offline", check=False)
    host.run(f"rm {place}")
    assert f"{place}: it is a FIFO, not a regular file" in done.stdout
    return done.returncode


def test_bad_input_is_refused(installed: BootedHost) -> None:
    """Nothing, two words, too much, not root: a line that says so, and nothing is stored."""
    for text, code in (("", 78), ("two words", 78), ("$(head -c 9000 /dev/zero | tr '\\\\0' k)", 78)):
        done = installed.run(f'echo "{text}" | heartbeatctl set-secret', check=False)
        assert done.returncode == code
        assert "two words" not in done.stderr
        assert done.stderr.count("\n") == 1
    done = installed.run("echo k | setpriv --reuid=nobody --clear-groups heartbeatctl set-secret", check=False)
    assert done.returncode == 77
    assert "sudo" in done.stderr


def test_removed_and_purged(installed: BootedHost, receiver: Receiver) -> None:
    """`--remove` forgets a credential; a purge leaves none behind."""
    installed.run("echo k | heartbeatctl set-secret")
    assert "removed /etc/credstore.encrypted/heartbeat.secret_key" in installed.out("heartbeatctl set-secret --remove")
    installed.run("echo SECRET_KEY=k | heartbeatctl import-env --write --force -")
    assert installed.path("/etc/heartbeat/config.toml.bak").exists()
    installed.run("echo 'A: b' | heartbeatctl set-secret --plain webhook_headers")
    for option in ("", "--plain"):
        installed.run(f"echo json://x/ | heartbeatctl set-secret {option} channel.phone{option.replace('--', '-')}")
    installed.run("echo k | heartbeatctl set-secret; apt-get purge --yes heartbeatd", timeout_s=120)
    assert (
        installed.out("find /etc -path '*heartbeat*' -not -path '/etc/systemd/*'; ls /var/cache | grep heartbeat || :")
        == ""
    )
