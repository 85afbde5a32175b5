"""What the tests of the checks share: a situation made of a configuration, and what is found in it."""

import json
import os
import pickle
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.config.load import parse
from heartbeatd.config.model import Config
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.ctl.check.registry import Check
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.service import Service
from heartbeatd.files import identity
from heartbeatd.runtime import Runtime
from tests.support.agent import AS_NOBODY, checkout_for_all, environment, python

Found = Callable[[Check, Situation], list[Finding]]


def config(**sections: Mapping[str, object]) -> Config:
    """A configuration with these settings, that asks nobody outside."""
    quiet: dict[str, Mapping[str, object]] = {
        "internet": {"url": "http://127.0.0.1:9/"},
        "docker": {"socket": ""},
        "alerts": {"alert_after": 2},
    }
    return parse({name: {**quiet.get(name, {}), **sections.get(name, {})} for name in {**quiet, **sections}})


def situation(
    path: Path = Path("/dev/null"), service: Service | None = None, **sections: Mapping[str, object]
) -> Situation:
    """As heartbeatctl makes it."""
    made = config(**sections)
    return Situation(made, path, service, identity(Path(made.storage.path).parent))


@pytest.fixture
def found() -> Iterator[Found]:
    """What a check finds."""
    process = Runtime()
    yield lambda look, given: list(look(given, process))
    process.close()


def found_by_nobody(given: Situation, *, prefix: Sequence[str | Path] = ()) -> dict[str, list[Finding]]:
    """By subject, what the user nobody finds, as the sandbox starts it."""
    assert os.geteuid() == 0
    done = subprocess.run(
        [*map(str, prefix), *AS_NOBODY, *python("heartbeatd.ctl.check.in_sandbox")],
        cwd=checkout_for_all(),
        env=environment(),
        input=pickle.dumps(given),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    by_subject: dict[str, list[Finding]] = {}
    for line in done.stdout.splitlines():
        finding = _finding(line)
        by_subject.setdefault(finding.subject, []).append(finding)
    return by_subject


def _finding(line: bytes) -> Finding:
    read = json.loads(line)
    return replace(Finding(**read), verdict=Verdict(read["verdict"]))


def unit(
    active: str = "active",
    sub: str = "running",
    exit_status: int | None = 0,
    *,
    restarts: int = 0,
    result: str = "success",
    outdated: bool = False,
) -> Service:
    """The service in a state."""
    return Service(active, sub, "enabled", "", restarts, "", 0, 1, exit_status, result, outdated)
