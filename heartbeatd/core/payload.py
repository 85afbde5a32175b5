"""The heartbeat's body, as JSON text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from heartbeatd.core.locale import IN_ENGLISH, Locale
from heartbeatd.core.metrics import values
from heartbeatd.core.sample import Sample
from heartbeatd.core.timefmt import rfc3339, to_lima

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """Who sends: the host's name, the agent's version, when it started (wall clock, ns), and who reads what is told."""

    host: str
    version: str
    started_ns: int
    locale: Locale = IN_ENGLISH


def heartbeat_body(agent: AgentInfo, sample: Sample, row_id: str, sequence: int) -> bytes:
    """The heartbeat of one cycle: JSON with `host`, `timestamp` (UTC, RFC 3339), `sequence`, `agent`, `metrics`, `services`.

    `metrics` has the row's values under the row's names; the two that come to be known only later, `worker_status` and
    `cycle_duration_ms`, are not in it. `services` has those that have been looked at.
    """
    return json_text(
        {
            "host": agent.host,
            "timestamp": rfc3339(sample.taken_ns),
            "sequence": sequence,
            "agent": {"version": agent.version, "started_at": rfc3339(agent.started_ns)},
            "metrics": {
                "id": row_id,
                "timestamp_lima": to_lima(sample.taken_ns),
                **values(sample),
            },
            "services": {check.name: {"status": check.told} for check in sample.services},
        }
    ).encode()


def json_text(value: JsonObject) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
