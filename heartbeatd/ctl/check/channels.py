"""Whether alerts would reach each channel: the notifier is asked, which has the sandbox and the credentials. Nobody is told.

Where its socket does not answer, a child of this process looks in its place, from outside of its sandbox, and that is said.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from heartbeatd import components
from heartbeatd.config.alerts import WEBHOOK, ChannelConfig
from heartbeatd.config.notified import has_credentials_elsewhere
from heartbeatd.config.secrets import (
    ENCRYPTED_STORE,
    WEBHOOK_HEADERS,
    WEBHOOK_URL,
    channel_credential,
    credential_paths,
)
from heartbeatd.core.heartbeat import Cause
from heartbeatd.ctl import service
from heartbeatd.ctl.check import webhook
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.start_failure import EXAMPLES
from heartbeatd.errors import ConfigError
from heartbeatd.notify.asking import ask_all
from heartbeatd.notify.client import Notifier, SocketNotifier, SpawningNotifier
from heartbeatd.notify.protocol import Check, Reached, Report
from heartbeatd.runtime import Runtime

IN_SANDBOX = ok("channels", "this was tried by heartbeatd-notify@.service, in its own sandbox and with its credentials")
OUTSIDE = warning(
    "channels",
    "what follows was looked at from outside the sandbox of heartbeatd-notify@.service, without its credentials",
)

_NO_CONNECTION: dict[Cause, str] = {
    Cause.DNS: "look at the host in its URL",
    Cause.REFUSED: "nothing takes connections there: look at the host and port in its URL",
    Cause.TIMEOUT: "is there a firewall in between? Else raise its timeout_seconds",
    Cause.TLS: "look at the certificate there, at this host's clock, and at the scheme of its URL",
    Cause.RESET: "does what listens there speak TLS as the scheme of its URL says?",
}


def by_unit(situation: Situation) -> Iterator[Finding]:
    """What the notifier finds as systemd starts it, for root. The last is IN_SANDBOX, unless it cannot be started."""
    with service.notifier_socket():
        reports = _reports(situation, SocketNotifier(None))
    lost = {said for said in reports.values() if isinstance(said, str)}
    if lost:
        yield not_started(lost.pop())
        return
    yield from findings(situation, reports)
    yield IN_SANDBOX


def from_outside(situation: Situation) -> Iterator[Finding]:
    """What a child of this process finds."""
    config, stands_in = situation.config, has_credentials_elsewhere(situation.path)
    known = {channel.name for channel in config.channels if channel.url or channel.url_file}
    if config.alerts.webhook_url:
        known.add(WEBHOOK)
    reports = _reports(situation, SpawningNotifier(situation.path, stands_in=stands_in), known if stands_in else None)
    yield from findings(situation, reports)
    unknown = [channel.name for channel in components.channels(config, situation.path) if channel.name not in known]
    if unknown and stands_in:
        yield not_looked_at(unknown)


def not_looked_at(names: Sequence[str]) -> Finding:
    """Only the notifier knows where they are."""
    return warning("channels", f"not looked at: {', '.join(names)}; the URL is a credential, if there is one")


def _reports(situation: Situation, notifier: Notifier, names: Collection[str] | None = None) -> dict[str, Report | str]:
    """Of the channels with these names; of all without."""
    asked = {
        channel.name: Check(channel.name, channel.timeout_s)
        for channel in components.channels(situation.config, situation.path)
        if names is None or channel.name in names
    }
    runtime = Runtime()
    try:
        return ask_all(notifier, asked, Report.parse, runtime.cancel)
    finally:
        runtime.close()


def findings(situation: Situation, reports: Mapping[str, Report | str]) -> Iterator[Finding]:
    """Of each channel, what was said of it, or why nothing was."""
    for name, said in reports.items():
        if isinstance(said, str):
            yield error("channels", f"{name}: {said}")
        elif name == WEBHOOK:
            yield from webhook.findings(situation.config, said)
        else:
            yield classify(name, said)


def not_started(reason: str) -> Finding:
    """The agent makes every other try by a child of its own, which reaches those whose URL is no credential."""
    return error(
        "channels",
        f"{reason}. Alerts leave by a child of the agent, and only to channels whose URL is no credential",
        "`sudo journalctl -u 'heartbeatd-notify@*'` has systemd's own words; drop-ins for hosts that forbid its sandbox are "
        f"in {EXAMPLES}",
    )


def classify(name: str, report: Report) -> Finding:
    """Apprise has no question of its own: only a message shows more than a connection does."""
    hint = f"only a message shows whether it arrives: `heartbeatctl test-alert --channel {name}`"
    match report.reached:
        case Reached.NOTHING if report.cause is None:
            return error("channels", f"{name}: {report.reason}")
        case Reached.NOTHING:
            what = _NO_CONNECTION.get(report.cause or Cause.RESET, "")
            return error("channels", f"{name}: {report.address}: {report.reason}", what)
        case Reached.UNDERSTOOD:
            return ok("channels", f"{name}: Apprise understands its URL ({report.address}), and tries nothing", hint)
        case Reached.SECURED:
            text = f"{report.address} takes a connection, and its certificate is trusted"
        case _:
            text = f"{report.address} takes a connection"
    return ok("channels", f"{name}: {text} ({report.took_ms:.0f} ms)", hint)


def offline(channels: Sequence[ChannelConfig], *, has_apprise: bool) -> Iterator[Finding]:
    """Apprise is recommended by the package, and may not be there."""
    if channels and not has_apprise:
        names = ", ".join(channel.name for channel in channels)
        yield error("channels", f"apprise is not installed, so no alert reaches {names}", "`apt install apprise`")


def undecryptable() -> Iterator[Finding]:
    """Credentials of channels that are of no use to them. Only root may look."""
    folder = credential_paths(channel_credential("x"))[0].parent
    try:
        names = [channel_credential(file.name) for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError:
        names = []
    for name in (WEBHOOK_URL, WEBHOOK_HEADERS, *sorted(names)):
        for path in credential_paths(name):
            yield from _of_no_use(path, name)


def _of_no_use(path: Path, name: str) -> Iterator[Finding]:
    try:
        service.refuse_what_is_no_file(path, name)
        if path.is_relative_to(ENCRYPTED_STORE):
            service.decrypted(path, name, so=service.NOT_SENT)
    except ConfigError as refused:
        yield from (error("channels", f"{p.where}: {p.what}", p.hint) for p in refused.problems)
