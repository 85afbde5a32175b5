"""An agent that fails, and that systemd may start again for ever: people are told once, and once more when it runs again."""

import os
from collections.abc import Iterator

import pytest

from tests.support.receiver import WEBHOOK, Receiver
from tests.system.conftest import COPY, configure, reporting, state, wait_copied, wait_cycle
from tests.system.host import BootedHost

DROP_INS = "/run/systemd/system/{}.d"
FALLBACK, BARE, NOTIFIER = "heartbeatd-failed", "heartbeatd-failed-bare", "heartbeatd-notify@"
SOCKETS = tuple(f"heartbeatd-{name}.socket" for name in ("notify", "credentials", "containers", "filesystems"))
CREDENTIAL = "/etc/credstore.encrypted/heartbeat.{}"


def drop_in(host: BootedHost, unit: str, name: str, text: str) -> None:
    """Add it to the unit; systemd is not told yet."""
    host.path(DROP_INS.format(unit)).mkdir(parents=True, exist_ok=True)
    host.path(f"{DROP_INS.format(unit)}/{name}.conf").write_text(text)


@pytest.fixture
def watched(installed: BootedHost, receiver: Receiver) -> Iterator[BootedHost]:
    """A host whose agent has done cycles; it is looked after every two seconds in place of every two minutes."""
    drop_in(
        installed, "heartbeatd-failed.timer", "soon", "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nAccuracySec=10ms\n"
    )
    for unit in (FALLBACK, BARE):
        drop_in(installed, f"{unit}.service", "soon", "[Service]\nEnvironment=LASTING_SECONDS=5\n")
    drop_in(installed, "heartbeatd.service", "soon", "[Service]\nRestartSec=1s\n")
    configure(installed, reporting(receiver, "k"))
    installed.run("systemctl daemon-reload; systemctl restart heartbeatd")
    wait_cycle(installed)
    yield installed
    installed.run(
        f"systemctl stop heartbeatd; rm -f {DROP_INS.format('heartbeatd*')}/bad.conf {CREDENTIAL.format('*')}"
    )


def titles(receiver: Receiver) -> list[str]:
    """Of the alerts received."""
    return [alert.body["title"] for alert in receiver.received(WEBHOOK)]


@pytest.mark.parametrize(
    ("status", "text", "broken"),
    [
        (226, "ReadWritePaths=/nonexistent", ()),
        (226, "ReadWritePaths=/nonexistent", (FALLBACK,)),
        (217, "User=nobody-of-that-name", (FALLBACK, NOTIFIER)),
        (243, "", ()),
        (226, "ReadWritePaths=/nonexistent", (FALLBACK, NOTIFIER)),
    ],
)
def test_a_sandbox_that_cannot_be_set_up_is_told_once(
    watched: BootedHost, receiver: Receiver, status: int, text: str, broken: tuple[str, ...]
) -> None:
    """A path that is not there, no such user, credentials that cannot be decrypted: one alert; after the repair, one more.

    `broken` are the units that cannot be started for the same reason.
    """
    units = [f"{unit}.service" for unit in ("heartbeatd", *broken)]
    if text:
        for unit in units:
            drop_in(watched, unit, "bad", f"[Service]\n{text}\n")
    else:
        for name in ("secret_key", "webhook_url"):  # the second gives way to the address in the file
            watched.run(f"mkdir -p -m 700 /etc/credstore.encrypted; echo rubbish > {CREDENTIAL.format(name)}")
    watched.run("systemctl daemon-reload; systemctl restart --no-block heartbeatd")
    watched.wait_for("the alert", lambda: titles(receiver))
    watched.wait_for("the note of it", lambda: os.path.lexists(watched.path("/run/heartbeatd-failed/told")))
    watched.wait_for("the end of the look", lambda: not looking(watched))
    first, cursor = int(state(watched, "NRestarts")), watched.journal("--lines=0", "--show-cursor").split("cursor: ")[1]
    watched.wait_for("more tries", lambda: int(state(watched, "NRestarts")) > first + 3)
    assert titles(receiver) == [f"host-under-test: heartbeatd does not come up (exit-code {status})"]
    assert watched.journal("--unit='heartbeatd-failed*'", f"--after-cursor='{cursor}'") == ""
    for unit in units:
        watched.run(f"rm -f {DROP_INS.format(unit)}/bad.conf {CREDENTIAL.format('*')}")
    watched.run("systemctl daemon-reload; systemctl restart heartbeatd")
    watched.wait_for("the recovery", lambda: len(titles(receiver)) > 1)
    assert titles(receiver)[1:] == ["host-under-test: heartbeatd runs again"]
    assert receiver.received(WEBHOOK)[-1].body["details"]["cause"] == "failure"
    watched.wait_for("the notes' end", lambda: watched.out("ls /run/heartbeatd-failed") == "")


def looking(host: BootedHost) -> bool:
    """True while one of the fallbacks runs, or is about to."""
    active = host.run(f"systemctl is-active {FALLBACK} {BARE}", check=False).stdout.split()
    return {*active} - {"inactive", "failed"} != set() or FALLBACK in host.out("systemctl list-jobs --no-legend")


def since(host: BootedHost) -> list[str]:
    """The moment from which on each socket has been there."""
    return [host.out(f"systemctl show --property=ActiveEnterTimestampMonotonic --value {unit}") for unit in SOCKETS]


def test_nothing_that_systemd_restarts_ends_a_try(watched: BootedHost, receiver: Receiver) -> None:
    """A webhook that is down at first, on a busy host: the sockets outlive each try to start the agent, and one alert arrives."""
    receiver.answer(WEBHOOK, 503, 404, 503, 200)
    listening = since(watched)
    drop_in(watched, "heartbeatd.service", "bad", "[Service]\nReadWritePaths=/nonexistent\n")
    watched.run("systemctl daemon-reload; systemctl restart --no-block heartbeatd")
    watched.run("for n in 1 2 3 4; do timeout 20 sh -c 'while :; do :; done' & done; wait || :")
    watched.wait_for("the note of it", lambda: os.path.lexists(watched.path("/run/heartbeatd-failed/told")))
    assert int(state(watched, "NRestarts")) > 5
    assert since(watched) == listening
    received = receiver.received(WEBHOOK)
    assert [(one.body["details"]["attempt"], one.answered) for one in received] == [
        *((1, 503), (2, 404), (3, 503), (4, 200))
    ]
    assert len({one.body["details"]["event_id"] for one in received}) == 1
    watched.run(f"rm {DROP_INS.format('heartbeatd.service')}/bad.conf; systemctl daemon-reload")
    watched.run("systemctl restart heartbeatd")
    watched.wait_for("the recovery", lambda: len(receiver.received(WEBHOOK)) > 4)
    assert titles(receiver)[4:] == ["host-under-test: heartbeatd runs again"]
    watched.run("systemctl stop heartbeatd")
    watched.wait_for("no socket", lambda: watched.out("find /run -name 'heartbeatd*.sock'") == "")


@pytest.mark.parametrize("spoilt", ["nonsense =\n", "[alerts]\n", "[[channel]]\n"])
def test_a_configuration_that_is_refused_is_told_by_the_last_good_one(
    watched: BootedHost, receiver: Receiver, spoilt: str
) -> None:
    """It is kept where only the notifier's user can read it, since the agent's start; the agent is not started again."""
    good = reporting(receiver, "k")
    wait_copied(watched)
    assert (
        watched.out(f"stat --format='%U %a' {COPY} $(dirname {COPY})") == "heartbeat-notify 600\nheartbeat-notify 700"
    )
    configure(watched, good.replace(receiver.url(WEBHOOK), "http://127.0.0.1:9/elsewhere") + spoilt)
    watched.run("systemctl restart heartbeatd", check=False)
    watched.wait_for("the alert", lambda: titles(receiver))
    watched.wait_for("the end of the look", lambda: not looking(watched))
    assert state(watched, "ActiveState") == "failed"
    watched.wait_for("no socket", lambda: watched.out("find /run -name 'heartbeatd*.sock'") == "")
    assert watched.path(COPY).read_text() == good
    configure(watched, good)
    watched.run("systemctl restart heartbeatd")
    watched.wait_for("the recovery", lambda: len(titles(receiver)) > 1)
    assert titles(receiver) == [
        "host-under-test: heartbeatd has failed (configuration refused)",
        "host-under-test: heartbeatd runs again",
    ]


def test_while_the_agent_works_nothing_is_started(watched: BootedHost, receiver: Receiver) -> None:
    """The timer goes off, the condition holds: no process, no line in the journal. Stopped with the agent, it is no failure."""
    unit = "systemctl show --property={} --value heartbeatd-failed.service"
    before = watched.out(unit.format("ExecMainStartTimestampMonotonic"))
    cursor = watched.journal("--lines=0", "--show-cursor").rpartition("cursor: ")[2]
    looked = watched.out(unit.format("ConditionTimestampMonotonic"))
    watched.wait_for("a look", lambda: watched.out(unit.format("ConditionTimestampMonotonic")) != looked)
    assert watched.out(unit.format("ConditionResult")) == "no"
    assert watched.out(unit.format("ExecMainStartTimestampMonotonic")) == before
    assert watched.journal("--unit='heartbeatd-failed*'", f"--after-cursor='{cursor}'") == ""
    watched.run("systemctl stop heartbeatd")
    watched.wait_for(
        "the timer's end", lambda: watched.run("systemctl is-active heartbeatd-failed.timer", check=False).returncode
    )
    assert titles(receiver) == []


@pytest.mark.parametrize(("unit", "own"), [(FALLBACK, {"mnt", "user", "ipc", "uts"}), (BARE, set())])
def test_only_the_bare_fallback_does_without_namespaces(watched: BootedHost, unit: str, own: set[str]) -> None:
    """The fallback has namespaces of its own, the bare one runs in those of PID 1; systemd has nothing to remark on them."""
    look = "for n in mnt user ipc uts net pid cgroup; do echo $$n $$(readlink /proc/self/ns/$$n); done"
    show = f"ExecStart=/bin/sh -c '{look} >/run/heartbeatd-failed/ns'"
    drop_in(watched, f"{unit}.service", "shown", f"[Unit]\nConditionPathExists=\n[Service]\nExecStart=\n{show}\n")
    watched.wait_for("the end of the looks before the first cycle", lambda: not looking(watched))
    watched.run(f"systemctl daemon-reload; systemctl start {unit}")
    watched.wait_for("all seven", lambda: watched.out("cat /run/heartbeatd-failed/ns || :").count("\n") == 6)
    said = dict(line.split() for line in watched.out("cat /run/heartbeatd-failed/ns").splitlines())
    assert {name for name in said if said[name] != watched.out(f"readlink /proc/1/ns/{name}")} == own
    watched.run(
        f"rm /run/heartbeatd-failed/ns {DROP_INS.format(f'{unit}.service')}/shown.conf; systemctl daemon-reload"
    )
    verified = watched.run(f"systemd-analyze verify --man=no {unit}.service heartbeatd-failed.timer")
    assert verified.stdout + verified.stderr == ""
