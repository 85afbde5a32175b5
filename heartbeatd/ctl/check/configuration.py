"""What the configuration and the credential stores show without a try."""

import os
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.config.notified import may_tell
from heartbeatd.config.remarks import remarks
from heartbeatd.config.secrets import NAMES, PLAIN, STORE, WEBHOOK_HEADERS, WEBHOOK_URL
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import host_name


def misplaced() -> Iterator[Finding]:
    """Credentials under the name that encrypted ones have. Only root may look for them."""
    for name in (*NAMES, WEBHOOK_URL, WEBHOOK_HEADERS) if os.access(STORE, os.X_OK) else ():
        if (STORE / name).exists():
            yield unencrypted(STORE / name, is_agents=name in NAMES)


def unencrypted(file: Path, *, is_agents: bool) -> Finding:
    """A credential where systemd expects an encrypted one, or, if it is none of the agent's, where nobody looks."""
    so = "systemd will not start the service with it (status 243)" if is_agents else "it is not used under this name"
    return error("secrets", f"{file} is not encrypted: {so}", f"mv {file} {file}{PLAIN}")


def check(situation: Situation) -> Iterator[Finding]:
    """Where the secrets come from, and what is allowed but questionable."""
    config = situation.config
    yield ok("configuration", f"{situation.path} is valid")
    if config.heartbeat.url:
        yield ok("secrets", f"the key comes from {config.heartbeat.secret_key.origin}")
    for remark in remarks(config, host_name(config), tells=may_tell(config, situation.path)):
        yield warning(remark.where.partition(".")[0], f"{remark.where}: {remark.what}", remark.hint)
