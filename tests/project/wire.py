"""A heartbeat and an alert as the code makes them, for the documents that show them and for the tests that hold those."""

import json
from dataclasses import replace
from typing import Any

from heartbeatd import __version__
from heartbeatd.core import notification, payload
from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.notification import Notification
from heartbeatd.core.policy import Policy
from heartbeatd.core.queued import for_this_try, to_queue
from heartbeatd.core.sample import Sample
from heartbeatd.core.subject import Observation
from heartbeatd.core.worker import WorkerState
from heartbeatd.notify.n8n import body_of
from heartbeatd.rules.worker import observation
from tests.support.states import notified, replay

MS = 1_000_000
AT_NS = 1_795_540_060_000_192_000  # 2026-11-24T17:07:40.000192Z
AGENT = payload.AgentInfo("nas", __version__, AT_NS - 115_337 * MS)
URL = "https://name.account.workers.dev/api/heartbeat"

OK = observation(WorkerState.OK, AT_NS, 200)
SILENT = observation(WorkerState.UNREACHABLE, AT_NS + 13_004 * MS, None, Cause.TIMEOUT, "gave up while connecting")
SILENT_STILL = observation(WorkerState.UNREACHABLE, AT_NS + 23_006 * MS, None, Cause.TIMEOUT, SILENT.detail)
FAILING = observation(WorkerState.ERROR, AT_NS + 30_087 * MS, 503, None, "the Worker could not process it")
OK_AGAIN = observation(WorkerState.OK, AT_NS + 850_091 * MS, 200)


def heartbeat(sample: Sample | None = None) -> bytes:
    """The body of a heartbeat: of a host with everything to be read, or of `sample`."""
    full = Sample(AT_NS, 7.6, 22.3, 877.9, 22.1, 4, True, 14.4)
    return payload.heartbeat_body(AGENT, sample or full, uuid7(AT_NS, _noise(1)), 12)


def alerts(*history: Observation, patience: Policy | None = None) -> list[bytes]:
    """What arrives at the webhook when the Worker was found so, each at the first try."""
    _, changes = replay(None, history, patience or Policy())
    made = [notified(AGENT, c, uuid7(c.observed.at_ns, _noise(2)), URL) for c in changes]
    return [_delivered(alert) for alert in made]


def problem() -> bytes:
    """The alert for a Worker that has been silent for two cycles, with `alert_after = 2`."""
    (alert,) = alerts(OK, SILENT, SILENT_STILL, patience=Policy(for_cycles=2))
    return alert


def reminder() -> bytes:
    """The alert for a Worker that has been failing for hours."""
    later = replace(FAILING, at_ns=FAILING.at_ns + 4 * 3_600_000 * MS)
    return alerts(OK, FAILING, later, patience=Policy(remind_s=3600))[-1]


def test_alert(heartbeat_url: str) -> bytes:
    """What `heartbeatctl test-alert` sends."""
    return _delivered(notification.of_test(AGENT, AT_NS, uuid7(AT_NS, _noise(3)), heartbeat_url))


def gap_alert(kind: GapKind) -> bytes:
    """What is told after a start, when nothing ran for two and a half hours."""
    gap = Gap(kind, AT_NS - 8_880_000 * MS, AT_NS, "watchdog" if kind is GapKind.CRASH else "")
    return _delivered(notification.of_gap(AGENT, gap, uuid7(AT_NS, _noise(4)), URL))


def last_alert() -> bytes:
    """What `heartbeatd-failed.service` has told, at its first try."""
    return _delivered(notification.of_failure(AGENT, AgentFailure("exit-code", "78"), AT_NS, uuid7(AT_NS, _noise(5))))


def fields(body: bytes) -> dict[str, str]:
    """The type of each field in a body by its path: `{"metrics": "object", "metrics.id": "string", …}`."""
    return dict(_fields(json.loads(body), ""))


def _fields(value: dict[str, Any], path: str) -> list[tuple[str, str]]:
    found = []
    for name, inner in value.items():
        found.append((path + name, _TYPES[type(inner)]))
        if isinstance(inner, dict):
            found += _fields(inner, f"{path}{name}.")
    return found


def _delivered(alert: Notification) -> bytes:
    queued = to_queue(alert)
    return body_of(for_this_try(queued, 1, queued.queued_ns + 21 * MS))


def _noise(seed: int) -> bytes:
    """Ten bytes that look like an id's random part, the same each time."""
    return bytes((seed * 151 + i * 89) % 256 for i in range(RANDOM_BYTES))


_TYPES = {str: "string", int: "integer", float: "number", dict: "object", type(None): "null"}
