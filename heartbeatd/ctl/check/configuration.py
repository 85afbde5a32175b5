"""Who can read the configuration and the secrets, and settings that do not go together well."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from heartbeatd.config import Config
from heartbeatd.credentials import NAMES, PLAIN, STORE
from heartbeatd.ctl import service
from heartbeatd.ctl.check.finding import Finding, error, ok, warning


def misplaced() -> Iterator[Finding]:
    """Credentials that would keep the service from starting. Only root may look for them."""
    for name in NAMES if os.access(STORE, os.X_OK) else ():
        if (STORE / name).exists():
            yield error(
                "secrets",
                f"{STORE / name} is not encrypted: systemd will not start the service with it (status 243)",
                f"mv {STORE / name} {STORE / name}{PLAIN}",
            )


def look(config: Config, path: Path) -> Iterator[Finding]:
    """All that needs no try."""
    if not os.access(path, os.R_OK):
        yield error(
            "configuration",
            f"the user {service.USER} cannot read {path}",
            f"chown root:{service.USER} {path}; chmod 640 {path}",
        )
    for file in (path, Path(config.heartbeat.secret_from)):
        if config.heartbeat.secret and _readable_by_all(file):
            yield warning("secrets", f"everybody on this host can read {file}", f"chmod o-rwx {file}")
    if config.heartbeat.url:
        yield ok("secrets", f"the key comes from {config.heartbeat.secret_from}")
    if config.alerts.webhook_from.startswith(("systemd", "/etc/credstore")):
        yield ok("secrets", f"the webhook's URL comes from {config.alerts.webhook_from}")
        if urlsplit(config.heartbeat.url).scheme == "http" and not _is_loopback(config.heartbeat.url):
            yield warning("heartbeat", "the key goes over the network in the clear", "use https:// in heartbeat.url")
    if config.longest_cycle_s >= config.agent.interval_seconds:
        yield warning(
            "configuration",
            f"a cycle may wait {config.longest_cycle_s:g} s, agent.interval_seconds is {config.agent.interval_seconds}",
            "lower heartbeat.timeout_seconds, internet.timeout_seconds or docker.timeout_seconds, or slots will be missed",
        )


def _readable_by_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # no file, or in a folder that is not for us, and so not for all
        return False


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
