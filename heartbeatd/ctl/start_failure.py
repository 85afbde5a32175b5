"""Why systemd cannot start the service: the step that failed, its likely cause on this host, and what to do.

Theory of operation. When systemd fails to set a service's sandbox up, the main process ends with a status of 200 and more that
names the step (systemd.exec(5), "Process Exit Codes"), and with Restart=always it is tried again for ever: the unit is never
`failed`. `facts` looks at what the known causes have in common with this host; `explain` is pure.
"""

import grp
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.ctl.service import UNIT, USER, Service
from heartbeatd.ctl.unit_file import Settings, own_directories, service_settings
from heartbeatd.errors import Problem

EXAMPLES = "/usr/share/doc/heartbeatd/examples/systemd"
FIRST_SETUP_STATUS = 200  # from here on it is systemd that failed, before our program began: systemd.exec(5)
NAMESPACE_LIMIT = Path("/proc/sys/user/max_user_namespaces")
CONTAINER = Path("/run/systemd/container")  # systemd notes there what it runs in
CHDIR, EXEC, GROUP, SET_USER, CAPABILITIES, NAMESPACE, SECCOMP, CREDENTIALS = 200, 203, 216, 217, 218, 226, 228, 243
STEPS: dict[int, str] = {
    CHDIR: "CHDIR",
    EXEC: "EXEC",
    GROUP: "GROUP",
    SET_USER: "USER",
    CAPABILITIES: "CAPABILITIES",
    219: "CGROUP",
    NAMESPACE: "NAMESPACE",
    227: "NO_NEW_PRIVILEGES",
    SECCOMP: "SECCOMP",
    233: "RUNTIME_DIRECTORY",
    235: "CHOWN",
    238: "STATE_DIRECTORY",
    CREDENTIALS: "CREDENTIALS",
}
_JOURNAL = "`sudo journalctl -u heartbeatd -b -p notice` has systemd's own words"
_DROP_IN = "`sudo systemctl edit heartbeatd`"
_PATHS = (
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "ExecPaths",
    "NoExecPaths",
    "BindPaths",
    "BindReadOnlyPaths",
)

# Service results (systemd.exec(5), $SERVICE_RESULT) of a service that had been started.
_ENDINGS: dict[str, tuple[str, str]] = {
    "watchdog": ("its cycles stopped finishing, and systemd ended it", f"{_JOURNAL}, and the stack of each thread"),
    "oom-kill": (
        "it used more memory than there is, or than MemoryMax= allows",
        "`sudo journalctl -k -b` says which it was",
    ),
    "timeout": ("it did not become ready in time", f"is the disk of storage.path very slow, or away? {_JOURNAL}"),
    "signal": ("it was killed", _JOURNAL),
    "core-dump": ("it crashed", _JOURNAL),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What this host is like: users, name spaces, and the paths the unit names that are not there."""

    has_user: bool = True
    has_group: bool = True
    user_namespaces: bool = True
    container: str = ""
    missing: tuple[str, ...] = ()


def facts(settings: Settings) -> Facts:
    """As they are now."""
    return Facts(
        has_user=_is_known(pwd.getpwnam),
        has_group=_is_known(grp.getgrnam),
        user_namespaces=user_namespaces(),
        container=_read(CONTAINER),
        missing=tuple(_missing(settings)),
    )


def user_namespaces() -> bool:
    """False where the kernel has been told to allow none (Debian's package hardening-runtime does so)."""
    return _read(NAMESPACE_LIMIT) != "0"


def setup_status(unit: Service) -> int | None:
    """The status of the step that failed, while the unit does not come up for that; None if it is not that."""
    if unit.running or unit.active == "inactive" or unit.exit_status is None:
        return None
    return unit.exit_status if unit.exit_status >= FIRST_SETUP_STATUS else None


def of_service(unit: Service) -> Problem | None:
    """Why the unit does not come up, or does not stay up, if that is what its state says."""
    status = setup_status(unit)
    return ending(unit) if status is None else explain(status, facts(service_settings(UNIT)))


def ending(unit: Service) -> Problem | None:
    """Why systemd is about to start it once more, if it had come up before."""
    if not unit.sub.startswith("auto-restart") or setup_status(unit) is not None:
        return None
    what, hint = _ENDINGS.get(unit.result, ("it ended by itself", _JOURNAL))
    return Problem(f"result {unit.result or 'unknown'}", f"systemd is about to start the service again: {what}", hint)


def explain(status: int, host: Facts) -> Problem:
    """The step that failed with `status`, and what to do about it. `where` is e.g. `status 226/NAMESPACE`."""
    step = f"/{STEPS[status]}" if status in STEPS else ""
    where = f"status {status}{step}"
    what, hint = _explained(status, host)
    return Problem(where, f"systemd cannot start the service: {what}", hint)


# By the status, where nothing that is known of the host explains it.
_WHATEVER_THE_HOST: dict[int, tuple[str, str]] = {
    200: ("its working directory, or the root directory of its unit, is not there", f"{_DROP_IN} shows the drop-in"),
    203: ("its program cannot be executed", "install the package again: `sudo apt install --reinstall heartbeatd`"),
    216: ("a group in SupplementaryGroups= or Group= of its unit does not exist", f"{_DROP_IN} shows the drop-in"),
    217: ("it cannot become the user of its unit, or no user namespace can be made for it", _JOURNAL),
    218: ("its capabilities cannot be set, which a container may forbid", _JOURNAL),
    226: ("the mounts of its sandbox cannot be made", _JOURNAL),
    243: (
        "a credential cannot be passed: it was encrypted on another machine or TPM, or its file is not as it should be",
        "`sudo heartbeatctl check` says which; store it anew: `sudo heartbeatctl set-secret`; "
        f"or the drop-in {EXAMPLES}/without-credentials.conf",
    ),
}


def _explained(status: int, host: Facts) -> tuple[str, str]:
    match status:
        case 217 if not host.has_user:
            return f"there is no user {USER}", "`sudo systemd-sysusers` makes it"
        case 216 | 217 if not host.has_group:
            return f"there is no group {USER}", "`sudo systemd-sysusers` makes it"
        case 217 if not host.user_namespaces:
            return (
                f"{NAMESPACE_LIMIT} is 0, so that there are no user namespaces, and the unit has PrivateUsers=yes",
                f"allow them (sysctl user.max_user_namespaces), or the drop-in {EXAMPLES}/no-user-namespaces.conf",
            )
        case 226 if host.missing:
            return (
                f"its unit names what is not there: {', '.join(host.missing)}",
                f"make it, or write - before the path in the drop-in: {_DROP_IN}",
            )
        case 226 if host.container:
            return (
                f"its sandbox needs mounts that this container ({host.container}) does not allow",
                f"allow nesting for the container (LXC: features nesting=1), or the drop-in {EXAMPLES}/lxc-no-nesting.conf",
            )
        case _:
            return _WHATEVER_THE_HOST.get(status, ("the step that its status names has failed", _JOURNAL))


def _missing(settings: Settings) -> Iterator[str]:
    """Paths of the unit that have to be there. An empty value drops those before it."""
    own = own_directories(settings)
    named: dict[str, list[str]] = {name: [] for name in _PATHS}
    for name, value in settings:
        if name in named:
            named[name] = (
                [*named[name], *(word.lstrip("+").partition(":")[0] for word in value.split())] if value else []
            )
    for paths in named.values():
        yield from (path for path in paths if path.startswith("/") and path not in own and not os.path.lexists(path))


def _is_known(look_up: object) -> bool:
    assert callable(look_up)
    try:
        look_up(USER)
    except KeyError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
