"""The notifier as systemd runs it: who is answered, what it can reach, that nothing is left behind, and where its secrets are."""

import json
from collections.abc import Iterator

import pytest

from heartbeatd.notify.protocol import Answer
from tests.support.notifier import about
from tests.support.receiver import WEBHOOK, Receiver
from tests.support.scripted import Scripted, silent
from tests.system.conftest import MEASURE_ONLY, configure, exposure, wait_active
from tests.system.host import BootedHost

SOCKET = "/run/heartbeatd-notify.sock"
UNIT = "heartbeatd-notify@.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d"
# Sends what is in the file, and prints what comes back.
ASK = """
import socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.settimeout(60)
try:
    asking.connect(sys.argv[1])
    asking.sendall(open(sys.argv[2], "rb").read())
    print(asking.recv(65536).decode() or "nothing")
except ConnectionError:
    print("nothing")
"""
# In place of the program: what each attempt comes to, as JSON in the journal.
ATTEMPTS = """
import json, os, socket, subprocess, sys

def listen():
    with socket.socket() as server:
        server.listen()

def run_in_tmp():
    with open("/tmp/planted", "w") as file:
        file.write("#!/bin/sh\\n")
    os.chmod("/tmp/planted", 0o755)
    subprocess.run(["/tmp/planted"], check=True)

tries = {
    "database": lambda: open("/var/lib/heartbeat/metrics.db"),
    "state": lambda: os.listdir("/var/lib/heartbeat"),
    "notes": lambda: os.listdir("/run/heartbeatd"),
    "encrypted": lambda: os.listdir("/etc/credstore.encrypted"),
    "root_home": lambda: os.listdir("/root"),
    "write": lambda: open("/etc/heartbeat/planted", "w"),
    "listen": listen,
    "run_in_tmp": run_in_tmp,
    "configuration": lambda: open("/etc/heartbeat/config.toml").close(),
}
came_to = {}
for name, attempt in tries.items():
    try:
        attempt()
        came_to[name] = "ok"
    except OSError:
        came_to[name] = "refused"
print("CAME TO " + json.dumps(came_to), file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def ready(installed: BootedHost) -> None:
    """The agent measures, so that there is a database, and the means to ask."""
    installed.path("/usr/local/lib/ask.py").write_text(ASK)
    configure(installed, MEASURE_ONLY)
    installed.run("systemctl start heartbeatd")
    wait_active(installed)
    installed.wait_for("a database", lambda: installed.path("/var/lib/heartbeat/metrics.db").exists())


@pytest.fixture
def told(installed: BootedHost, receiver: Receiver) -> Iterator[Receiver]:
    """A webhook that the configuration names, and nothing left over once the test is done."""
    configure(installed, f'{MEASURE_ONLY}[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    yield receiver
    installed.run(f"rm -rf {DROP_IN}; systemctl daemon-reload")
    installed.wait_for("no instance", lambda: instances(installed) == "")
    assert installed.out("systemctl --failed --plain --no-legend") == ""
    assert installed.out("systemctl is-active heartbeatd-notify.socket") == "active"


def ask(
    host: BootedHost, channel: str, user: str = "heartbeat", group: str = "heartbeat", timeout_s: float = 20
) -> str:
    """What the notifier says to this user."""
    host.path("/usr/local/lib/asked").write_bytes(about(channel, timeout_s).encode())
    command = f"python3 /usr/local/lib/ask.py {SOCKET} /usr/local/lib/asked"
    return host.run(f"setpriv --reuid={user} --regid={group} --clear-groups {command}", check=False).stdout.strip()


def instances(host: BootedHost) -> str:
    """Units of tries, in whatever state."""
    return host.out("systemctl list-units --all --plain --no-legend 'heartbeatd-notify@*'")


def override(host: BootedHost, *lines: str) -> None:
    """Other settings for the service, until the test is over."""
    host.run(f"mkdir -p {DROP_IN}")
    host.path(f"{DROP_IN}/test.conf").write_text("\n".join(["[Service]", *lines]) + "\n")
    host.run("systemctl daemon-reload")


def test_a_try_is_a_process_of_its_own(installed: BootedHost, told: Receiver) -> None:
    """The agent and root are answered, each by a process that is gone then; its user is neither of them."""
    for user in ("heartbeat", "root"):
        assert (
            Answer.parse(ask(installed, "webhook", user, "root" if user == "root" else "heartbeat").encode()).status
            == 200
        )
    assert [got.body["details"]["event"] for got in told.received(WEBHOOK)] == ["problem", "problem"]
    installed.wait_for("no instance", lambda: instances(installed) == "")
    assert installed.out(f"systemctl show --property=User --value {UNIT.replace('@', '@1-1-0')}") == "heartbeat-notify"
    assert installed.out(f"stat --format='%U %G %a' {SOCKET}") == "root heartbeat 660"


def test_nobody_else_is_answered(installed: BootedHost, told: Receiver) -> None:
    """Others cannot connect; who can, being in the agent's group, is sent away, the notifier's own user among them."""
    assert ask(installed, "webhook", "nobody", "nogroup") == ""
    for user in ("nobody", "heartbeat-notify", "heartbeat-containers"):
        assert ask(installed, "webhook", user) == "nothing"
    assert told.received(WEBHOOK) == []
    assert "asked and was sent away" in installed.journal("--unit='heartbeatd-notify@*'", "--output=cat")


def test_it_is_confined(installed: BootedHost, told: Receiver) -> None:
    """systemd rates it at 1.1 of 10 at most; of what the agent keeps it sees nothing, and it is nobody's server."""
    instance = UNIT.replace("@", "@1-1-0")
    verified = installed.run(f"systemd-analyze verify --man=no {instance} heartbeatd-notify.socket")
    assert verified.stdout + verified.stderr == ""
    assert exposure(installed, instance) <= 1.1
    installed.path("/usr/local/lib/attempts.py").write_text(ATTEMPTS)
    override(installed, "ExecStart=", "ExecStart=/usr/bin/python3 -I /usr/local/lib/attempts.py")
    assert ask(installed, "webhook") == "nothing"
    installed.wait_for(
        "attempts", lambda: "CAME TO" in installed.journal("--unit='heartbeatd-notify@*'", "--output=cat")
    )
    (line,) = (
        line
        for line in installed.journal("--unit='heartbeatd-notify@*'", "--output=cat").splitlines()
        if line.startswith("CAME TO")
    )
    came_to = json.loads(line.removeprefix("CAME TO"))
    assert {name for name, how in came_to.items() if how == "ok"} == {"configuration"}


def test_a_try_that_is_killed_leaves_nothing(installed: BootedHost, told: Receiver) -> None:
    """By SIGKILL, by SIGSEGV, and by systemd when its time is over: no unit stays, none counts as failed, the next try works."""
    for line in (
        "ExecStart=/bin/sh -c 'kill -KILL $$$$'",
        "ExecStart=/bin/sh -c 'kill -SEGV $$$$'",
        "ExecStart=/bin/sleep 3600",
        "ExecStart=/bin/false",
        "ExecStart=/nonexistent",
    ):
        override(installed, "ExecStart=", line, "RuntimeMaxSec=1s")
        assert ask(installed, "webhook") == "nothing"
        installed.wait_for("no instance", lambda: instances(installed) == "")
        assert installed.out("systemctl --failed --plain --no-legend") == ""
    installed.run(f"rm -r {DROP_IN}; systemctl daemon-reload")
    assert Answer.parse(ask(installed, "webhook").encode()).status == 200


def test_a_webhook_that_hangs_ends_with_the_deadline(installed: BootedHost, told: Receiver) -> None:
    """The answer says so, and the process is gone."""
    with Scripted(silent) as server:
        configure(installed, f'{MEASURE_ONLY}[alerts]\nwebhook_url = "{server.url}"\n')
        said = Answer.parse(ask(installed, "webhook", timeout_s=1).encode())
    assert said.reason.startswith("it was sent and not answered within 1 s")


@pytest.mark.parametrize("name", ["no-user-namespaces", "lxc-no-nesting"])
def test_it_works_with_less_of_a_sandbox(installed: BootedHost, told: Receiver, name: str) -> None:
    """With the drop-ins for hosts that cannot set all of it up: delivered, and nobody else is answered then either."""
    example = f"/usr/share/doc/heartbeatd/examples/systemd/{name}.conf"
    installed.run(f"mkdir -p {DROP_IN}; cp {example} {DROP_IN}/example.conf")
    override(installed, *(["InaccessiblePaths="] if name == "lxc-no-nesting" else []))
    assert "heartbeatd-notify@.service.d" in installed.out(f"cat {example}")
    assert Answer.parse(ask(installed, "webhook").encode()).status == 200
    assert ask(installed, "webhook", "nobody") == "nothing"


def test_a_flood_of_connections(installed: BootedHost, told: Receiver) -> None:
    """However many come at once, so many are started as may run, and it goes on listening."""
    flood = (
        "import socket\n"
        "for _ in range(600):\n"
        "    with socket.socket(socket.AF_UNIX) as one:\n"
        f"        one.settimeout(20)\n        one.connect({SOCKET!r})\n"
    )
    installed.path("/usr/local/lib/flood.py").write_text(flood)
    override(installed, "ExecStart=", "ExecStart=/bin/sleep 1")
    installed.run("python3 /usr/local/lib/flood.py")
    assert len(instances(installed).splitlines()) <= 16
    installed.run(f"rm -r {DROP_IN}; systemctl daemon-reload")
    # Once those that still wait to be let in are through.
    installed.wait_for("an answer", lambda: "200" in ask(installed, "webhook"))


def test_the_secrets_are_the_notifiers_alone(installed: BootedHost, told: Receiver) -> None:
    """Stored by `set-secret`, encrypted or as they are; used at once, seen by nobody else, and forgotten."""
    said = installed.out("printf 'Authorization: Bearer hidden-header\\n' | heartbeatctl set-secret webhook_headers")
    assert "/etc/credstore.encrypted/heartbeat.webhook_headers" in said
    assert "restart" not in said
    assert Answer.parse(ask(installed, "webhook").encode()).status == 200
    assert told.received(WEBHOOK)[-1].authorization == "Bearer hidden-header"
    configure(installed, installed.path("/etc/heartbeat/config.toml").read_text() + '[[channel]]\nname = "phone"\n')
    assert "set-secret channel.phone" in Answer.parse(ask(installed, "phone").encode()).reason
    for option, place in (
        ("--plain", "/etc/credstore/heartbeat.channel.plain/phone"),
        ("", "/etc/credstore.encrypted/heartbeat.channel/phone"),
    ):
        said = installed.out(f"echo json://127.0.0.1:9/hidden-path | heartbeatctl set-secret {option} channel.phone")
        assert f"stored in {place}" in said
        assert (
            installed.out(f"stat --format='%U %a' {place}; stat --format='%U %a' $(dirname {place})")
            == "root 600\nroot 700"
        )
        assert "no alert reaches phone" in installed.run("heartbeatctl check --offline", check=False).stdout
        # What a run that was killed may have left beside it.
        installed.run(f"echo rubbish > $(dirname {place})/.phone.0123456789abcdef")
        assert Answer.parse(ask(installed, "phone").encode()).reason == "apprise is not installed: apt install apprise"
    assert not installed.path("/etc/credstore/heartbeat.channel.plain/phone").exists()
    assert installed.run("grep -r hidden /etc /run/credentials", check=False).stdout == ""
    seen = "setpriv --reuid=heartbeat --regid=heartbeat --clear-groups ls /run/credentials /etc/credstore.encrypted"
    assert "heartbeatd-notify" not in installed.run(seen, check=False).stdout
    wrong = installed.run("echo jsn://x | heartbeatctl set-secret channel.phone", check=False)
    assert (wrong.returncode, "did you mean json://?" in wrong.stderr) == (78, True)
    assert installed.run("echo x | heartbeatctl set-secret channel.A_b", check=False).returncode == 2
    installed.run("echo of another machine > /etc/credstore.encrypted/heartbeat.channel/phone")
    assert Answer.parse(ask(installed, "webhook").encode()).status == 200
    assert "heartbeat.channel_phone: cannot be decrypted" in Answer.parse(ask(installed, "phone").encode()).reason
    journal = installed.journal("--unit='heartbeatd-credentials@*'", "--output=cat")
    assert "/etc/credstore.encrypted/heartbeat.channel/phone is of no use" in journal
    checked = installed.run("heartbeatctl check --offline", check=False).stdout
    assert "`heartbeatctl set-secret --remove channel.phone` forgets it" in checked
    installed.run("heartbeatctl set-secret --remove channel.phone; heartbeatctl set-secret --remove webhook_headers")
    assert "set-secret channel.phone" in Answer.parse(ask(installed, "phone").encode()).reason


def test_apprise_works_in_the_sandbox(installed: BootedHost, told: Receiver) -> None:
    """Debian's own version, with all that it loads: a message by JSON, and one to the system's log."""
    installed.run("apt-get update -qq && apt-get install --yes --no-install-recommends apprise", timeout_s=300)
    url = told.url("/hook").replace("http:", "json:")
    configure(
        installed,
        f'{MEASURE_ONLY}[[channel]]\nname = "phone"\nurl = "{url}"\n[[channel]]\nname = "log"\nurl = "syslog://"\n',
    )
    said = Answer.parse(ask(installed, "phone").encode())
    assert said == Answer(), said
    assert told.received("/hook")[-1].body["title"] == "nas: the Worker is unreachable"
    said = Answer.parse(ask(installed, "log").encode())
    assert said == Answer(), said
    installed.wait_for("the log", lambda: "It does not answer." in installed.journal("--output=cat"))
    lines = installed.out("heartbeatctl test-alert", timeout_s=90).splitlines()
    assert [line.split() for line in lines] == [["phone", "delivered"], ["log", "delivered"]]  # no webhook is missed


def test_it_goes_with_the_agent(installed: BootedHost) -> None:
    """Stopping heartbeatd takes the socket away, and starting it brings it back."""
    installed.run("systemctl stop heartbeatd")
    active = "systemctl list-units --plain --no-legend 'heartbeatd*'"
    installed.wait_for("no unit of ours", lambda: installed.out(active) == "")
    assert installed.out("find /run -name 'heartbeatd*.sock'") == ""
    started = installed.run("systemctl start heartbeatd", check=False)
    assert started.returncode == 0, installed.journal("-n", "60")
    assert installed.out("systemctl is-active heartbeatd-notify.socket") == "active"
