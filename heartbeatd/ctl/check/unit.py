"""The service as systemd has it: whether it comes up, and with which credentials it runs."""

from collections.abc import Iterator

from heartbeatd.config.secrets import NAMES, PLAIN, WEBHOOK_URL, Credentials
from heartbeatd.core.timefmt import plural
from heartbeatd.ctl import start_failure
from heartbeatd.ctl.check.finding import Finding, error, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.unit_file import Settings, is_on

# LoadState of a unit that systemd will not start whatever it is asked: the text, and what helps.
_NOT_LOADED: dict[str, tuple[str, str]] = {
    "masked": ("heartbeatd.service is masked: systemd will not start it", "`sudo systemctl unmask heartbeatd`"),
    **{
        state: (
            f"systemd cannot use the files of heartbeatd.service (LoadState={state}), and will not start it",
            "`systemd-analyze verify heartbeatd.service` says what is wrong in them; then `sudo systemctl daemon-reload`",
        )
        for state in ("bad-setting", "error")
    },
}


def check(situation: Situation) -> Iterator[Finding]:
    """What keeps it from starting, and what systemd has not taken in yet."""
    unit = situation.service
    if unit is None:
        return
    if unit.load in _NOT_LOADED:
        yield error("service", *_NOT_LOADED[unit.load])
    if unit.outdated:
        yield warning(
            "service",
            "the unit's files have changed since systemd read them",
            "`systemctl daemon-reload`, then restart it",
        )
    status, ending = start_failure.setup_status(unit), start_failure.ending(unit)
    if ending is not None:
        yield error("service", f"{ending.what} ({ending.where})", ending.hint)
    if status is not None:
        yield cannot_start(status, situation)
    elif not unit.running and is_on(situation.setting("PrivateUsers")) and not start_failure.user_namespaces():
        yield cannot_start(start_failure.SET_USER, situation)


def cannot_start(status: int, situation: Situation) -> Finding:
    """Why, with the step's `status`, and how often it was tried."""
    problem = start_failure.explain(status, start_failure.facts(situation.settings))
    restarts = situation.service.restarts if situation.service is not None else 0
    tried = f", tried {plural(restarts + 1, 'time')}" if restarts else ""
    return error("service", f"{problem.what} ({problem.where}{tried})", problem.hint)


def moved_helper(settings: Settings) -> Iterator[Finding]:
    """A drop-in, among the `settings` of heartbeatd-containers.service, that starts the helper where version 0.1 had it."""
    command = next((value for name, value in reversed(settings) if name == "ExecStart"), "")
    words = command.split()
    old = next((word for word in words if word.startswith("/usr/lib/python3/dist-packages/heartbeatd/")), None)
    if old is not None:
        yield warning(
            "docker",
            f"a drop-in of heartbeatd-containers.service starts {old}, which is no more: containers are not counted",
            f"`sudo systemctl edit heartbeatd-containers`: ExecStart=/usr/libexec/heartbeatd/containers {' '.join(words[-2:])}",
        )


def webhook_to_agent(settings: Settings) -> Iterator[Finding]:
    """A drop-in, among the `settings` of heartbeatd.service, that passes the webhook's URL to it, as with version 0.1."""
    passed: set[str] = set()
    for name, value in settings:
        if name.removesuffix("Encrypted") in ("LoadCredential", "SetCredential"):
            passed = passed | {value.partition(":")[0]} if value else set()
    if passed & {WEBHOOK_URL, WEBHOOK_URL + PLAIN}:
        yield warning(
            "secrets",
            f"a drop-in passes the credential {WEBHOOK_URL} to heartbeatd.service, which does not use it",
            "pass it to the notifier instead: `sudo systemctl edit heartbeatd-notify@`; and take it out of heartbeatd.service",
        )


def in_force(given: Credentials, loaded: Credentials | None) -> Credentials:
    """`given`, each as the running service has it where that is the same."""
    have = loaded or {}
    return {name: have[name] if name in have and have[name].data == one.data else one for name, one in given.items()}


def waiting_credentials(given: Credentials, loaded: Credentials | None) -> Iterator[Finding]:
    """Credentials that were stored, changed or removed while the service ran: it has those of its start until the next."""
    for name in NAMES if loaded is not None else ():
        stored, running = given.get(name), (loaded or {}).get(name)
        if (stored and stored.data) == (running and running.data):
            continue
        how = "was removed" if stored is None else "is stored" if running is None else "was changed"
        kept = "does not have it yet" if running is None else "goes on with the one it started with"
        yield warning(
            "secrets",
            f"the credential {name} {how}, and the running service {kept}: it waits for a restart, a reload is not enough",
            "`systemctl restart heartbeatd`",
        )
