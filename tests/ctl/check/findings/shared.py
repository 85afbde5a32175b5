"""What the tables of findings share."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from heartbeatd.config.load import DEFAULT_PATH, Secret
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


def configured(secret_from: str = "/etc/key", webhook_from: str = "/etc/credstore/hook") -> Situation:
    """A Worker and a webhook, with their secrets from there."""
    made = situation(DEFAULT_PATH, heartbeat={"url": "https://worker.example/", "secret_key": "k"})
    heartbeat = replace(made.config.heartbeat, secret_from=secret_from)
    alerts = replace(made.config.alerts, webhook_url=Secret("https://n8n.example/hook"), webhook_from=webhook_from)
    return replace(made, config=replace(made.config, heartbeat=heartbeat, alerts=alerts))
