"""The sandbox, the unit, the credentials that wait."""

import errno
from dataclasses import replace

from heartbeatd.config.secrets import SECRET_KEY, Credential, Origin, OriginKind
from heartbeatd.ctl import check
from heartbeatd.ctl.check import (
    registry,
    sandbox,
    unit,
)
from heartbeatd.ctl.check.situation import Situation
from tests.ctl.check.conftest import unit as in_state
from tests.ctl.check.findings.shared import ERROR, HERE, HIDING, KNOWN, OK, RESTART, RUNNING, WARNING, Made, Row, one

VERIFY = "`systemd-analyze verify heartbeatd.service` says what is wrong in them; then `sudo systemctl daemon-reload`"
OLD_HELPER = "/usr/lib/python3/dist-packages/heartbeatd/containers/helper.py"


def outside(given: Situation, *, is_root: bool = True) -> Made:
    """Why the checks are not made in the sandbox."""
    found = check.why_outside(given, is_root=is_root)
    return lambda: () if found is None else (found,)


def waiting(stored: bytes | None, loaded: bytes | None) -> Made:
    """A credential as it is stored, and as the running service has it."""
    given, has = (
        {} if data is None else {SECRET_KEY: Credential(Origin(OriginKind.CREDENTIAL, "s"), data)}
        for data in (stored, loaded)
    )
    return lambda: unit.waiting_credentials(given, has)


def unit_is(load: str = "loaded", *, outdated: bool = False, status: int = 0, restarts: int = 0) -> Made:
    """The service as systemd has it."""
    state = ("activating", "auto-restart") if status else ("active", "running")
    service = replace(in_state(*state, status, restarts=restarts, outdated=outdated), load=load)
    return lambda: unit.check(replace(KNOWN, service=service))


CHECK: list[Row] = [
    (one(check.IN_SANDBOX), "sandbox", OK, "tried as the user heartbeat, in the sandbox of heartbeatd.service", ""),
    (one(check.NOT_LOOKED_AT), "storage", WARNING, "only root can tell what the user", "run it with sudo"),
    (outside(replace(KNOWN, path=HERE)), "sandbox", OK, "the service does not run by /dev/null", ""),
    (outside(KNOWN), "sandbox", OK, "systemd does not answer here", ""),
    (outside(RUNNING), "sandbox", OK, "there is no heartbeatd.service here", ""),
    (outside(replace(RUNNING, service=replace(in_state(), load="masked"))), "sandbox", WARNING, "is masked", ""),
    (outside(HIDING, is_root=False), "sandbox", WARNING, "only root can go in", "run it with sudo"),
    (lambda: (sandbox.read(b"?"),), "sandbox", WARNING, "what is said inside is not understood: ?", ""),
    (one(registry.not_tried("clock", OSError(errno.EIO, "I/O"))), "clock", ERROR, "cannot be tried: I/O", ""),
]

UNIT: list[Row] = [
    (unit_is("masked"), "service", ERROR, "is masked: systemd will not start it", "`sudo systemctl unmask heartbeatd`"),
    (unit_is("bad-setting"), "service", ERROR, "systemd cannot use the files of heartbeatd.service (Load", VERIFY),
    (
        *(unit_is(outdated=True), "service", WARNING, "the unit's files have changed since systemd read them"),
        "`systemctl daemon-reload`, then restart it",
    ),
    (
        lambda: (replace(unit.cannot_start(226, replace(KNOWN, service=in_state(restarts=1))), hint=""),),
        *("service", ERROR, "tried 2 times", ""),  # the hints are start_failure's: test_unit
    ),
    (
        lambda: unit.moved_helper((("ExecStart", f"{OLD_HELPER} /a /b"),)),
        *("docker", WARNING, f"starts {OLD_HELPER}, which is no more: containers are not counted"),
        "`sudo systemctl edit heartbeatd-containers`: ExecStart=/usr/libexec/heartbeatd/containers /a /b",
    ),
    (
        *(lambda: unit.webhook_to_agent((("LoadCredential", "heartbeat.webhook_url:/root/url"),)), "secrets", WARNING),
        "a drop-in passes the credential heartbeat.webhook_url to heartbeatd.service, which does not use it",
        "pass it to the notifier instead: `sudo systemctl edit heartbeatd-notify@`; and take it out of heartbeatd.service",
    ),
    (waiting(None, b"a"), "secrets", WARNING, "was removed, and the running service goes on with the one it", RESTART),
    (waiting(b"a", None), "secrets", WARNING, "is stored, and the running service does not have it yet", RESTART),
    (waiting(b"a", b"b"), "secrets", WARNING, "was changed, and the running service goes on with the one", RESTART),
]
