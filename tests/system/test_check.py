"""`heartbeatctl check` says before anything runs what the service will meet: the same user, sandbox and credentials."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import MEASURE_ONLY, configure, reporting, state, wait_active
from tests.system.host import BootedHost

DROP_IN = "/etc/systemd/system/heartbeatd.service.d/test.conf"


@dataclass(frozen=True, slots=True)
class Said:
    """What `check --json` printed, and its exit status."""

    status: int
    findings: list[dict[str, str]]

    def bad(self, subject: str, verdict: str = "error") -> dict[str, str]:
        """The one finding about `subject` with this verdict."""
        (found,) = (f for f in self.findings if f["subject"] == subject and f["verdict"] == verdict)
        return found

    @property
    def errors(self) -> set[str]:
        """What has one."""
        return {finding["subject"] for finding in self.findings if finding["verdict"] == "error"}


def check(host: BootedHost, *options: str) -> Said:
    """Run it."""
    done = host.run(f"heartbeatctl check --json {' '.join(options)}", check=False)
    assert done.stdout, f"exit {done.returncode}: {done.stderr}"
    return Said(done.returncode, json.loads(done.stdout))


@pytest.fixture
def stopped(installed: BootedHost) -> Iterator[BootedHost]:
    """A host on which the service does not run, and which each test leaves as it was."""
    configure(installed, MEASURE_ONLY)
    yield installed
    installed.run(
        f"rm -f {DROP_IN}; systemctl daemon-reload; systemctl stop heartbeatd; systemctl reset-failed; "
        "rm -rf /etc/credstore.encrypted/heartbeat.* /srv/heartbeat /var/lib/heartbeat"
    )


def drop_in(host: BootedHost, lines: str) -> None:
    """Add to the service's unit."""
    host.path(DROP_IN).parent.mkdir(parents=True, exist_ok=True)
    host.path(DROP_IN).write_text(f"[Service]\n{lines}\n")
    host.run("systemctl daemon-reload")


def test_all_is_well_and_nothing_is_left(stopped: BootedHost) -> None:
    """It is tried in the sandbox, before the first start too; no folder is made, no unit stays."""
    said = check(stopped)
    assert said.status == 0
    assert "in the sandbox" in said.bad("sandbox", "ok")["text"]
    assert not stopped.path("/var/lib/heartbeat").exists()
    assert "heartbeatd-check" not in stopped.out("systemctl list-units --all --plain 'heartbeatd-check*'")


def test_the_channels_are_tried_by_the_notifier(stopped: BootedHost, receiver: Receiver) -> None:
    """With its credentials, before the first start, too: nobody is told anything, and its socket listens no longer then."""
    stopped.run(f"echo {receiver.url(WEBHOOK)} | heartbeatctl set-secret webhook_url")
    stopped.run("echo json://127.0.0.1:9/x | heartbeatctl set-secret channel.phone")
    configure(stopped, MEASURE_ONLY + '[[channel]]\nname = "phone"\n')
    said = check(stopped)
    assert said.errors == {"channels"}
    assert said.bad("webhook", "ok")["text"].startswith(f"{receiver.url(WEBHOOK)} is reachable (HTTP 204")
    assert "systemd credential heartbeat.webhook_url" in said.bad("secrets", "ok")["text"]
    assert said.bad("channels")["text"] == "phone: apprise is not installed: apt install apprise"
    assert "in its own sandbox" in said.bad("channels", "ok")["text"]
    assert receiver.received(WEBHOOK) == []
    listening = "systemctl is-active heartbeatd-notify.socket heartbeatd-credentials.socket"
    stopped.wait_for("their end", lambda: stopped.run(listening, check=False).stdout == "inactive\ninactive\n")
    stopped.run(
        "echo of another machine > /etc/credstore.encrypted/heartbeat.channel/phone; systemctl start heartbeatd"
    )
    for options in ((), ("--offline",)):
        said = check(stopped, *options)
        (found,) = (found for found in said.findings if "cannot be decrypted" in found["text"])
        assert (found["verdict"], found["subject"]) == ("error", "channels")
        assert "set-secret channel.phone" in found["text"] + found["hint"]
    assert stopped.out(listening) == "active\nactive"


def test_a_notifier_that_cannot_be_started(stopped: BootedHost, receiver: Receiver) -> None:
    """Said, with where to look; a child looks in its place, and does not claim to be it."""
    configure(stopped, f'{MEASURE_ONLY}[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    folder = "/run/systemd/system/heartbeatd-notify@.service.d"
    stopped.run(
        f"mkdir -p {folder}; printf '[Service]\\nUser=nobody-here\\n' > {folder}/test.conf; systemctl daemon-reload"
    )
    said = check(stopped)
    stopped.run(f"rm -r {folder}; systemctl daemon-reload")
    assert "the notifier ended without an answer" in said.bad("channels")["text"]
    assert "looked at from outside the sandbox of heartbeatd-notify@.service" in said.bad("channels", "warning")["text"]
    assert "is reachable" in said.bad("webhook", "ok")["text"]


def test_a_key_that_only_root_can_read(stopped: BootedHost, receiver: Receiver) -> None:
    """An error here, a refusal at the start; what check advises makes both well. The Worker is asked all the same."""
    configure(stopped, reporting(receiver, "k").replace('secret_key = "k"', 'secret_key_file = "/etc/heartbeat/key"'))
    stopped.run("umask 077; echo k > /etc/heartbeat/key")
    for options in ((), ("--offline",)):
        said = check(stopped, *options)
        assert said.status == 1
        assert "the user heartbeat cannot read /etc/heartbeat/key" in said.bad("secrets")["text"]
    assert [beat.authorization for beat in receiver.received(WORKER)] == ["Bearer k"]
    assert stopped.run("systemctl start heartbeatd", check=False).returncode != 0
    assert state(stopped, "ExecMainStatus") == "78"
    stopped.run(said.bad("secrets")["hint"])
    assert check(stopped).status == 0
    stopped.run("systemctl start heartbeatd")
    stopped.run("rm /etc/heartbeat/key")


def test_a_database_outside_of_what_the_sandbox_lets_write(stopped: BootedHost) -> None:
    """Its folder is the agent's, and the service could not write there: the drop-in is named, and makes it well."""
    stopped.run("install -d -o heartbeat -g heartbeat -m 750 /srv/heartbeat")
    configure(stopped, MEASURE_ONLY + '[storage]\npath = "/srv/heartbeat/metrics.db"\n')
    wrong = check(stopped).bad("storage")
    assert "ReadWritePaths=/srv/heartbeat" in wrong["hint"]
    assert "chown" not in wrong["hint"]
    drop_in(stopped, "ReadWritePaths=/srv/heartbeat")
    said = check(stopped)
    assert said.status == 0
    assert "will be created" in said.bad("storage", "ok")["text"]
    stopped.run("systemctl start heartbeatd")
    stopped.wait_for("the database", lambda: stopped.path("/srv/heartbeat/metrics.db").exists())


def test_a_drop_in_that_waits_for_a_restart(stopped: BootedHost) -> None:
    """systemd has read it, and the running service has the sandbox of its start: a reload is refused, and check says so."""
    stopped.run("systemctl start heartbeatd; install -d -o heartbeat -g heartbeat -m 750 /srv/heartbeat")
    configure(stopped, MEASURE_ONLY + '[storage]\npath = "/srv/heartbeat/metrics.db"\n')
    drop_in(stopped, "ReadWritePaths=/srv/heartbeat")
    assert "waits for `systemctl restart heartbeatd`" in check(stopped).bad("storage", "warning")["text"]
    stopped.run("systemctl restart heartbeatd")
    assert [finding for finding in check(stopped).findings if "waits for" in finding["text"]] == []


def test_a_masked_unit(stopped: BootedHost) -> None:
    """systemd will not start it: an error, with the command."""
    stopped.run("systemctl mask heartbeatd")
    try:
        said = check(stopped)
    finally:
        stopped.run("systemctl unmask heartbeatd")
    assert said.status == 1
    assert said.bad("service")["hint"] == "`sudo systemctl unmask heartbeatd`"


@pytest.mark.parametrize(
    ("path", "lines", "setting"),
    [
        ("/var/tmp/hb/metrics.db", "", "PrivateTmp=yes"),
        ("/home/hb/metrics.db", "ProtectHome=tmpfs", "ProtectHome=tmpfs"),
        ("/home/hb/metrics.db", "ProtectHome=yes", "ProtectHome=yes"),
    ],
)
def test_a_database_that_the_sandbox_hides(stopped: BootedHost, path: str, lines: str, setting: str) -> None:
    """A folder that exists, is the agent's, and is another one for the service."""
    folder = path.rpartition("/")[0]
    stopped.run(f"install -d -o heartbeat -g heartbeat -m 750 {folder}")
    configure(stopped, MEASURE_ONLY + f'[storage]\npath = "{path}"\n')
    drop_in(stopped, lines)
    wrong = check(stopped).bad("storage")
    assert setting in wrong["text"]
    assert "/srv/heartbeat" in wrong["hint"]
    stopped.run(f"rm -r {folder}")


def test_a_sandbox_that_cannot_be_set_up(stopped: BootedHost) -> None:
    """A path that is not there: named before the first start, and by `check` and `status` while systemd tries again and again."""
    drop_in(stopped, "ReadWritePaths=/not-there")
    said = check(stopped)
    assert said.errors == {"service"}
    assert "/not-there" in said.bad("service")["text"]
    assert "status 226/NAMESPACE" in said.bad("service")["text"]
    assert "from outside" in said.bad("sandbox", "warning")["text"]
    stopped.run("systemctl start --no-block heartbeatd")
    stopped.wait_for("a try", lambda: state(stopped, "ExecMainStatus") == "226")
    assert "/not-there" in check(stopped).bad("service")["text"]
    # Between two tries there is a moment in which systemd has forgotten the last one.
    words = "its unit names what is not there: /not-there (status 226/NAMESPACE)"
    stopped.wait_for("its cause", lambda: words in stopped.run("heartbeatctl status", check=False).stdout)
    assert stopped.run("heartbeatctl status", check=False).returncode == 3


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("User=nobody-of-that-name", "status 217/USER"),
        ("SupplementaryGroups=no-group-of-that-name", "status 216/GROUP"),
        ("WorkingDirectory=/not-there", "status 200/CHDIR"),
        ("LoadCredentialEncrypted=heartbeat.other:/etc/hostname", "status 243/CREDENTIALS"),
    ],
)
def test_other_steps_that_fail(stopped: BootedHost, lines: str, text: str) -> None:
    """Each is met by a try, before the first start."""
    drop_in(stopped, lines)
    assert text in check(stopped).bad("service")["text"]


def test_no_user_namespaces(stopped: BootedHost) -> None:
    """As hardening-runtime sets it (here a file in its place: the limit itself is all machines' of this kernel)."""
    stopped.run("echo 0 > /run/none; mount --bind /run/none /proc/sys/user/max_user_namespaces")
    wrong = check(stopped).bad("service")
    stopped.run("umount /proc/sys/user/max_user_namespaces")
    assert "max_user_namespaces is 0" in wrong["text"]
    assert "no-user-namespaces.conf" in wrong["hint"]


def test_a_credential_that_waits_for_a_restart(stopped: BootedHost, receiver: Receiver) -> None:
    """Stored while the service runs: not missing, and a reload is not enough; after the restart there is nothing to say."""
    configure(stopped, MEASURE_ONLY)
    stopped.run("systemctl start heartbeatd")
    wait_active(stopped)
    stopped.run("echo key | heartbeatctl set-secret")
    configure(stopped, reporting(receiver, "x").replace('secret_key = "x"\n', ""))
    said = check(stopped)
    assert said.status == 0
    assert "heartbeat.secret_key is stored" in said.bad("secrets", "warning")["text"]
    assert said.bad("secrets", "warning")["hint"] == "`systemctl restart heartbeatd`"
    stopped.run("systemctl restart heartbeatd")
    assert all(finding["verdict"] == "ok" for finding in check(stopped).findings if finding["subject"] == "secrets")


def test_a_credential_of_another_machine(stopped: BootedHost) -> None:
    """Said as that, with what to do; all else is tried."""
    stopped.run("echo key | heartbeatctl set-secret")
    stopped.run("rm /var/lib/systemd/credential.secret; systemd-creds setup")
    said = check(stopped)
    assert said.status == 1
    assert "status 243" in said.bad("secrets")["text"]
    assert "set-secret" in said.bad("secrets")["hint"]
    assert any(finding["subject"] == "clock" for finding in said.findings)


def test_a_second_agent(stopped: BootedHost) -> None:
    """The service's own database is nothing to remark on; an agent started by hand that holds it is named, with its pid."""
    stopped.run("systemctl start heartbeatd")
    wait_active(stopped)
    assert "storage" not in check(stopped).errors
    stopped.run("systemctl stop heartbeatd; systemd-run --unit=by-hand --uid=heartbeat /usr/bin/heartbeatd")
    stopped.wait_for("its lock", lambda: stopped.run("grep FLOCK /proc/locks", check=False).stdout)
    pid = stopped.out("systemctl show --property=MainPID --value by-hand")
    stopped.wait_for("it to be named", lambda: f"(pid {pid})" in json.dumps(check(stopped).findings))
    stopped.run("systemctl stop by-hand")
    assert "storage" not in check(stopped).errors


def test_somebody_who_may_read_the_configuration(stopped: BootedHost) -> None:
    """A member of the agent's group is not the agent: what that may do is not known, and nobody is told to give files away."""
    as_member = "setpriv --reuid=4242 --regid=4242 --groups=$(getent group heartbeat | cut -d: -f3)"
    done = stopped.run(f"{as_member} heartbeatctl check --json", check=False)
    said = Said(done.returncode, json.loads(done.stdout))
    assert said.status == 0
    assert "only root can tell" in said.bad("storage", "warning")["text"]
    assert "chown" not in done.stdout


def test_docker_before_the_first_start(stopped: BootedHost) -> None:
    """There is an engine, and nobody to ask yet: nothing is wrong."""
    configure(stopped, MEASURE_ONLY.replace('[docker]\nsocket = ""\n', ""))
    script = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/run/docker.sock'); s.close()"
    stopped.run(f'systemctl stop heartbeatd-containers.socket; python3 -c "{script}"; chmod 660 /run/docker.sock')
    assert "once the agent runs" in check(stopped).bad("docker", "ok")["text"]
    stopped.run("rm /run/docker.sock")
