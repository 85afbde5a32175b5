"""What systemd says of the service, and what `check` and `status` say of that."""

from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.config.secrets import Credential, Origin, OriginKind
from heartbeatd.ctl import start_failure, unit_file
from heartbeatd.ctl.check import sandbox, unit
from heartbeatd.ctl.check.finding import Verdict
from heartbeatd.ctl.start_failure import Facts, explain
from tests.ctl.check.conftest import situation
from tests.ctl.check.conftest import unit as in_state

WELL = Facts()


@pytest.mark.parametrize(
    ("status", "host", "what", "hint"),
    [
        (217, replace(WELL, has_user=False), "no user heartbeat", "systemd-sysusers"),
        (216, replace(WELL, has_group=False), "no group heartbeat", "systemd-sysusers"),
        (217, replace(WELL, user_namespaces=False), "max_user_namespaces is 0", "PrivateUsers"),
        (216, WELL, "SupplementaryGroups=", "systemctl edit heartbeatd"),
        (217, WELL, "no user namespace can be made", "journalctl"),
        (226, replace(WELL, missing=("/nonexistent",)), "what is not there: /nonexistent", "write - before the path"),
        (226, replace(WELL, container="lxc"), "this container (lxc)", "nesting"),
        (226, WELL, "mounts of its sandbox", "journalctl"),
        (243, WELL, "encrypted on another machine", "set-secret"),
        (200, WELL, "working directory", "systemctl edit heartbeatd"),
        (203, WELL, "cannot be executed", "--reinstall"),
        (218, WELL, "capabilities", "journalctl"),
        (231, WELL, "the step that its status names", "journalctl"),
    ],
)
def test_why_it_does_not_start(status: int, host: Facts, what: str, hint: str) -> None:
    """The step, the cause as far as it is known, and what to do."""
    problem = explain(status, host)
    assert problem.where.startswith(f"status {status}")
    assert what in problem.what
    assert hint in problem.hint or hint in problem.what


@pytest.mark.parametrize(
    ("active", "sub", "status", "wrong"),
    [
        ("activating", "auto-restart", 226, True),
        ("activating", "auto-restart-queued", 217, True),
        ("failed", "failed", 243, True),
        ("active", "running", 0, False),
        ("reloading", "reload", 226, False),
        ("inactive", "dead", 226, False),
        ("failed", "failed", 78, False),
        ("activating", "start", 0, False),
    ],
)
def test_when_that_is_said(active: str, sub: str, status: int | None, wrong: bool) -> None:
    """While it does not come up, and systemd is at fault: our own statuses are below 200."""
    given = in_state(active, sub, status)
    assert (start_failure.of_service(given) is not None) is wrong
    assert [finding.verdict for finding in unit.check(situation(service=given))] == [Verdict.ERROR] * wrong


@pytest.mark.parametrize(
    ("result", "what", "hint"),
    [
        ("watchdog", "cycles stopped finishing", "stack of each thread"),
        ("oom-kill", "MemoryMax=", "journalctl -k"),
        ("timeout", "become ready in time", "storage.path"),
        ("signal", "it was killed", "journalctl"),
        ("core-dump", "it crashed", "journalctl"),
        ("exit-code", "it ended by itself", "journalctl"),
    ],
)
def test_why_it_does_not_stay_up(result: str, what: str, hint: str) -> None:
    """systemd starts it again and again: by how it ended."""
    (finding,) = unit.check(situation(service=in_state("activating", "auto-restart", None, result=result)))
    assert finding.verdict is Verdict.ERROR
    assert what in finding.text
    assert f"result {result}" in finding.text
    assert hint in finding.hint


def test_how_often_it_was_tried() -> None:
    """So that a loop is known for one."""
    (finding,) = unit.check(situation(service=in_state("activating", "auto-restart", 226, restarts=12)))
    assert "status 226/NAMESPACE, tried 13 times" in finding.text


def test_files_that_systemd_has_not_read_again() -> None:
    """What is on the disk is not what runs."""
    (finding,) = unit.check(situation(service=in_state(outdated=True)))
    assert finding.verdict is Verdict.WARNING
    assert "daemon-reload" in finding.hint


@pytest.mark.parametrize(
    ("load", "text", "hint"),
    [
        ("masked", "is masked", "`sudo systemctl unmask heartbeatd`"),
        ("bad-setting", "LoadState=bad-setting", "systemd-analyze verify"),
        ("error", "LoadState=error", "systemd-analyze verify"),
    ],
)
def test_a_unit_that_systemd_will_not_start(load: str, text: str, hint: str) -> None:
    """An error, stopped or still running from before: the next start fails."""
    for given in (in_state("inactive", "dead"), in_state()):
        (finding,) = unit.check(situation(service=replace(given, load=load)))
        assert finding.verdict is Verdict.ERROR
        assert text in finding.text
        assert hint in finding.hint


def test_paths_that_have_to_be_there(tmp_path: Path) -> None:
    """The one that is not there is named; one with a minus, and those that an empty value drops, need not be."""
    settings = (
        ("ReadWritePaths", "/dropped"),
        ("ReadWritePaths", ""),
        ("ReadWritePaths", f"{tmp_path} -/not-needed /gone +/gone-too"),
        ("BindPaths", "/gone-source:/target"),
        ("StateDirectory", "not-made-yet"),
        ("NoExecPaths", "/var/lib/not-made-yet"),
        ("Environment", "/no=/path"),
    )
    assert start_failure.facts(settings).missing == ("/gone", "/gone-too", "/gone-source")


UNIT = """\
# /usr/lib/systemd/system/heartbeatd.service
[Unit]
After=network.target

[Service]
Type=notify
ExecStart=/usr/bin/heartbeatd
StateDirectory=heartbeat more
StateDirectoryMode=0700
RuntimeDirectory=heartbeatd
; a comment
ReadWritePaths=/srv/a \\
# between
    %S/b
PrivateTmp = yes
NoExecPaths=/var/lib/heartbeat /tmp
SetCredential=x:hidden
Environment=KEY=hidden
NoExecPaths=/
ExecPaths=/usr /odd%%S

# /etc/systemd/system/heartbeatd.service.d/override.conf
[Service]
MemoryMax=1M
ReadWritePaths=
ProtectHome=tmpfs
[Install]
WantedBy=multi-user.target
"""


def test_the_files_of_a_unit() -> None:
    """Only [Service], in order; lines that go on; specifiers that mean the same for all."""
    settings = tuple(unit_file.parse(UNIT))
    assert ("ReadWritePaths", "/srv/a /var/lib/b") in settings
    assert ("PrivateTmp", "yes") in settings
    assert ("After", "network.target") not in settings
    assert settings[-1] == ("ProtectHome", "tmpfs")


SHIPPED = "ExecStart=/usr/libexec/heartbeatd/containers /run/docker.sock heartbeat\n"
OLD_COMMAND = (
    "/usr/bin/python3 -IS /usr/lib/python3/dist-packages/heartbeatd/docker_reader.py /run/other.sock heartbeat"
)


@pytest.mark.parametrize(
    ("drop_in", "hint"),
    [
        ("", None),
        ("MemoryMax=1M\n", None),
        ("ExecStart=\nExecStart=/usr/libexec/heartbeatd/containers /run/other.sock heartbeat\n", None),
        (
            f"ExecStart=\nExecStart={OLD_COMMAND}\n",
            "ExecStart=/usr/libexec/heartbeatd/containers /run/other.sock heartbeat",
        ),
    ],
)
def test_a_drop_in_of_version_0_1_names_a_program_that_has_moved(drop_in: str, hint: str | None) -> None:
    """What is to be written instead is said in full, with the engine that the drop-in names."""
    found = list(unit.moved_helper(tuple(unit_file.parse(f"[Service]\n{SHIPPED}{drop_in}"))))
    assert [finding.hint.partition(": ")[2] for finding in found] == ([hint] if hint else [])


def test_what_of_it_the_tries_are_run_with() -> None:
    """The sandbox, and not how the daemon is run; its folders are only opened, not made; nothing secret is on a command line."""
    taken = list(sandbox.taken(tuple(unit_file.parse(UNIT))))
    assert taken == [
        ("ReadWritePaths", "/srv/a /var/lib/b"),
        ("PrivateTmp", "yes"),
        ("NoExecPaths", "-/var/lib/heartbeat /tmp"),
        ("NoExecPaths", "/"),
        ("ExecPaths", "/usr /odd%S"),
        ("ReadWritePaths", ""),
        ("ProtectHome", "tmpfs"),
        ("ReadWritePaths", "-/var/lib/heartbeat"),
        ("ReadWritePaths", "-/var/lib/more"),
        ("ReadWritePaths", "-/run/heartbeatd"),
    ]


def test_a_unit_that_cannot_be_followed() -> None:
    """A specifier that only systemd can resolve: not guessed."""
    given = replace(situation(), settings=(("ReadWritePaths", "/srv/%i"),))
    with pytest.raises(sandbox.NoSandbox, match="ReadWritePaths=/srv/%i"):
        next(sandbox.findings(given))


def test_what_is_said_inside_is_not_believed_blindly() -> None:
    """The user of the sandbox may have written it: a line that is no finding is shown as that."""
    for line in (b"{}\n", b"\xff\n", b'{"verdict": "fine", "subject": "", "text": "", "hint": ""}\n', b"[1]\n"):
        assert sandbox.read(line).verdict is Verdict.WARNING


KEY, URL = "heartbeat.secret_key", "heartbeat.webhook_url"
STORED = Origin(OriginKind.CREDENTIAL, "/etc/credstore/x")
ONE, OTHER = Credential(STORED, b"one"), Credential(STORED, b"other")


@pytest.mark.parametrize(
    ("given", "loaded", "said"),
    [
        ({KEY: ONE}, None, ()),  # it does not run
        ({KEY: ONE}, {KEY: ONE}, ()),
        ({}, {}, ()),
        ({KEY: ONE}, {}, (f"{KEY} is stored, and the running service does not have it yet",)),
        ({KEY: ONE}, {KEY: OTHER}, (f"{KEY} was changed",)),
        ({}, {KEY: ONE}, (f"{KEY} was removed",)),
        ({KEY: ONE, URL: ONE}, {}, (KEY,)),  # the other is for the notifier
    ],
)
def test_credentials_that_wait_for_a_restart(
    given: dict[str, Credential], loaded: dict[str, Credential] | None, said: tuple[str, ...]
) -> None:
    """Each that the running service has not, or has another of."""
    findings = list(unit.waiting_credentials(given, loaded))
    assert len(findings) == len(said)
    for finding, text in zip(findings, said, strict=True):
        assert text in finding.text
        assert "reload is not enough" in finding.text
        assert finding.hint == "`systemctl restart heartbeatd`"


@pytest.mark.parametrize(
    ("drop_in", "found"),
    [
        ("", 0),
        ("LoadCredential=heartbeat.webhook_url:/root/url", 1),
        ("LoadCredentialEncrypted=heartbeat.webhook_url", 1),
        ("SetCredential=heartbeat.webhook_url.plain:http://x/", 1),
        ("LoadCredential=heartbeat.webhook_url:/root/url\nLoadCredential=", 0),
        ("LoadCredential=heartbeat.secret_key:/root/key", 0),
    ],
)
def test_a_webhook_passed_to_the_agent(drop_in: str, found: int) -> None:
    """As before the notifier; the shipped unit passes none."""
    shipped = (Path(__file__).parents[3] / "systemd/heartbeatd.service").read_text()
    settings = tuple(unit_file.parse(f"{shipped}\n[Service]\n{drop_in}\n"))
    assert len(list(unit.webhook_to_agent(settings))) == found
