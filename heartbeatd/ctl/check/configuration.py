"""What the configuration and the credential stores show without a try."""

import os
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.config.remarks import remarks
from heartbeatd.config.secrets import NAMES, PLAIN, STORE, WEBHOOK_HEADERS, OriginKind
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import host_name


def misplaced() -> Iterator[Finding]:
    """Credentials that would keep the service from starting. Only root may look for them."""
    for name in (*NAMES, WEBHOOK_HEADERS) if os.access(STORE, os.X_OK) else ():
        if (STORE / name).exists():
            yield unencrypted(STORE / name)


def unencrypted(file: Path) -> Finding:
    """A credential that systemd finds where it expects an encrypted one."""
    return error(
        "secrets",
        f"{file} is not encrypted: systemd will not start the service with it (status 243)",
        f"mv {file} {file}{PLAIN}",
    )


def check(situation: Situation) -> Iterator[Finding]:
    """Where the secrets come from, and what is allowed but questionable."""
    config = situation.config
    yield ok("configuration", f"{situation.path} is valid")
    if config.heartbeat.url:
        yield ok("secrets", f"the key comes from {config.heartbeat.secret_key.origin}")
    webhook = config.alerts.webhook_url.origin
    if webhook is not None and webhook.kind is OriginKind.CREDENTIAL:
        yield ok("secrets", f"the webhook's URL comes from {webhook}")
    for remark in remarks(config, host_name(config)):
        yield warning(remark.where.partition(".")[0], f"{remark.where}: {remark.what}", remark.hint)
