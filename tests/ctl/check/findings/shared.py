"""What the tables of findings share."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.config.secrets import Origin, OriginKind, Secret
from heartbeatd.ctl.check import (
    registry,
)
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import Runtime
from tests.ctl.check.conftest import situation
from tests.ctl.check.conftest import unit as in_state

OK, WARNING, ERROR = Verdict.OK, Verdict.WARNING, Verdict.ERROR
Made = Callable[[], Iterable[Finding]]
# What is looked at; then of the one finding meant its subject, its verdict, a part of its text, and its hint as a whole.
Row = tuple[Made, str, Verdict, str, str]
HERE, NOT_HERE = Path("/dev/null"), Path("/nonexistent")
KNOWN = situation(DEFAULT_PATH)
RUNNING = replace(KNOWN, service=in_state())
HIDING = replace(RUNNING, settings=(("ProtectHome", "yes"), ("PrivateTmp", "yes")), folder=(1, 1))
RESTART = "`systemctl restart heartbeatd`"


def one(finding: Finding) -> Made:
    """As if a check had found it."""
    return lambda: (finding,)


def checked(made: registry.Check, given: Situation) -> Made:
    """By one of the checks as it is, which asks nobody."""

    def findings() -> Iterator[Finding]:
        runtime = Runtime()
        yield from made(given, runtime)
        runtime.close()

    return findings


STORED = Origin(OriginKind.CREDENTIAL, "/etc/credstore/hook")


def configured(key_file: str = "/etc/key") -> Situation:
    """A Worker whose key is in that file, and a webhook whose URL is a credential."""
    made = situation(DEFAULT_PATH, heartbeat={"url": "https://worker.example/", "secret_key": "k"})
    heartbeat = replace(made.config.heartbeat, secret_key=Secret("k", Origin(OriginKind.FILE, key_file)))
    alerts = replace(made.config.alerts, webhook_url=Secret("https://n8n.example/hook", STORED))
    return replace(made, config=replace(made.config, heartbeat=heartbeat, alerts=alerts))
