"""What keeps the notifier from reaching a channel, as far as that shows without a message being sent."""

from collections.abc import Iterator, Sequence

from heartbeatd.config.model import ChannelConfig
from heartbeatd.config.secrets import WEBHOOK_HEADERS, channel_credential, credential_paths
from heartbeatd.ctl import service
from heartbeatd.ctl.check.finding import Finding, error
from heartbeatd.errors import ConfigError


def check(channels: Sequence[ChannelConfig], *, has_apprise: bool) -> Iterator[Finding]:
    """Apprise is recommended by the package, and may not be there."""
    if channels and not has_apprise:
        names = ", ".join(channel.name for channel in channels)
        yield error("channels", f"apprise is not installed, so no alert reaches {names}", "`apt install apprise`")


def undecryptable() -> Iterator[Finding]:
    """Credentials with which systemd would not start the notifier, whichever channel it is for. Only root may look."""
    folder = credential_paths(channel_credential("x"))[0].parent
    try:
        names = [channel_credential(file.name) for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError:
        names = []
    for name in (WEBHOOK_HEADERS, *sorted(names)):
        try:
            service.decrypted(credential_paths(name)[0], name)
        except ConfigError as refused:
            yield from (error("channels", f"{p.where}: {p.what}", p.hint) for p in refused.problems)
