"""What follows from the code: config.toml, and the settings, tables, diagram and wire examples in the manual and README.

`make generate` writes them; test_generated.py holds what is committed against what is made here.
"""

import argparse
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from heartbeatd.config.model import Config
from heartbeatd.config.options import Value
from heartbeatd.config.schema import REQUIRED, groups_of, options_of
from heartbeatd.core.alerting import TRANSITIONS
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.metrics import METRICS, OF_SUBJECT, READ_SELDOM
from heartbeatd.core.worker import STATES, StateRule, WorkerState, rule_for
from heartbeatd.journal import MessageId
from tests.project import told, wire

TOP = Path(__file__).resolve().parents[2]
CONFIG = TOP / "etc/heartbeat/config.toml"
MANUAL = TOP / "debian/man/heartbeat-config.toml.5.scd"
PROTOCOL = TOP / "debian/man/heartbeat-protocol.7.scd"
README = TOP / "README.md"
_HEAD = """\
# heartbeatd's configuration; see heartbeat-config.toml(5).
#
# It works as it is: the agent measures and stores, and sends nothing. A line that begins with # shows a default.
# After a change: heartbeatctl check, then systemctl reload heartbeatd.
"""


def config_toml(root: type[object] = Config) -> str:
    """The shipped /etc/heartbeat/config.toml: every key as a comment with its range and default.

    An array of tables is a comment as a whole, for each heading would be a table.
    """
    lines = [_HEAD]
    for group in groups_of(root):
        lines += [
            *(f"# {line}" for line in _wrapped(group.about, 100)),
            f"#{group.heading}" if group.many else group.heading,
            "",
        ]
        for name, option in options_of(group.type).items():
            lines += [f"# {line}" for line in _wrapped(f"{option.about} Allowed: {option.kind.allowed}.", 100)]
            shown = option.example if option.default is REQUIRED or option.suggested else option.default
            if option.example and shown is not option.example:
                lines.append(f"# Example: {name} = {_toml(option.example)}")
            lines += [f"#{name} = {_toml(shown)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def manual_settings(root: type[object] = Config) -> str:
    """The settings as scdoc, for config.toml(5)."""
    lines = []
    for group in groups_of(root):
        lines += [f"## {group.heading}", "", _scdoc(group.about), ""]
        for name, option in options_of(group.type).items():
            default = "" if option.default is REQUIRED else f" = _{_scdoc(_toml(option.default))}_"
            lines += [
                f"*{_scdoc(name)}*{default}",
                f"\t{_scdoc(option.about)} Allowed: {_scdoc(option.kind.allowed)}.",
                "",
            ]
    return "\n".join(lines)


# What each state says, in a few words; heartbeat-protocol(7) has the meaning of each status.
_STATES: dict[WorkerState, str] = {
    WorkerState.OK: "the heartbeat is recorded",
    WorkerState.DEGRADED: "received, but recoveries may not be announced",
    WorkerState.REJECTED: "wrong key, wrong address, too many requests, or stopped before the Worker",
    WorkerState.ERROR: "the Worker could not process it, or could not be run",
    WorkerState.UNREACHABLE: f"no answer, with the cause: {', '.join(Cause)}",
}


def answers() -> str:
    """The states of the Worker, and the statuses that lead to each, as a Markdown table."""
    ranges: dict[WorkerState, list[str]] = {state: [] for state in WorkerState}
    for state, statuses in itertools.groupby(range(200, 600), lambda status: _rule(status).state):
        first, *_, last = [*statuses] * 2
        ranges[state].append(str(first) if first == last else f"{first}–{last}")
    ranges[WorkerState.UNREACHABLE] = ["none"]
    lines = ["| answer | state | meaning |", "|---|---|---|"]
    return "\n".join(lines + [f"| {', '.join(ranges[state])} | {state} | {_STATES[state]} |" for state in WorkerState])


def _rule(status: int) -> StateRule:
    rule = rule_for(status)
    assert rule is not None, f"{status} is an HTTP status"
    return rule


def manual_answers() -> str:
    """The Worker's answers as scdoc, for heartbeat-protocol(7)."""
    return "\n".join(f"{numbers}\n\t*{state}*: {meaning}\n" for numbers, state, meaning in _answers())


def heartbeat_request() -> str:
    """A whole heartbeat as it goes over the wire, for the README."""
    body = wire.heartbeat().decode()
    return "\n".join(
        [
            "```http",
            "POST /api/heartbeat HTTP/1.1",
            "Host: name.account.workers.dev",
            f"User-Agent: heartbeatd/{wire.AGENT.version}",
            "Accept-Encoding: identity",
            "Accept: */*",
            "Connection: keep-alive",
            "Authorization: Bearer YOUR-KEY",
            "Content-Type: application/json",
            f"Content-Length: {len(body.encode())}",
            "",
            body,
            "```",
        ]
    )


def manual_heartbeat() -> str:
    """A heartbeat's body in several lines, for heartbeat-protocol(7)."""
    return _literal(wire.heartbeat(), "")


def alert() -> str:
    """An alert in several lines, its message cut short, for the README."""
    return _literal(_cut_short(wire.problem()), "json")


def manual_alert() -> str:
    """The same for heartbeat-protocol(7)."""
    return _literal(_cut_short(wire.problem()), "")


def diagram() -> str:
    """The alert diagram in Mermaid's notation, drawn from the table of transitions."""
    names = {True: "ok", False: "bad"}
    lines = [
        "```mermaid",
        "stateDiagram-v2",
        "    bad : degraded, rejected, error or unreachable",
        "    [*] --> ok : first answer, recorded without an alert",
        "    [*] --> bad : first answer, recorded without an alert",
    ]
    for t in TRANSITIONS:
        lines.append(f"    {names[t.ok_before]} --> {names[t.ok_now]} : {t.event} ({t.says})")
    return "\n".join([*lines, "```"])


def columns() -> str:
    """The columns of table `metrics`, as a Markdown table."""
    moment = "moment of sampling, ISO 8601, always in Lima's time, `-05:00`, so that times from different hosts can be compared"
    rows = [
        ("id", "TEXT", "a UUID (version 7: rows arrive in order)"),
        ("timestamp_lima", "TEXT", moment),
        *((metric.name, str(metric.kind), metric.help) for metric in METRICS),
        ("worker_status", "INTEGER", "HTTP status of the heartbeat"),
        ("cycle_duration_ms", "REAL", "from waking to the row being ready to store"),
    ]
    return "\n".join(["| column | type | meaning |", "|---|---|---|", *(f"| `{n}` | {k} | {m} |" for n, k, m in rows)])


def seldom() -> str:
    """What is read once a minute, as a Markdown table."""
    rows = (f"| `{metric.name}` | {metric.unit} | {metric.help} |" for metric in READ_SELDOM)
    return "\n".join(["| metric | unit | meaning |", "|---|---|---|", *rows])


def manual_metrics() -> str:
    """What a rule can watch, as scdoc."""
    return "\n".join(
        f"*{_scdoc(metric.name)}*\n\tIn {_scdoc(metric.unit)}: {_scdoc(metric.help)}.\n"
        for metric in OF_SUBJECT.values()
    )


def message_ids() -> dict[str, str]:
    """The MESSAGE_ID of each kind of entry, for the catalog: id → name."""
    return {str(member): member.name for member in MessageId}


def between(text: str, mark: str, comment: str) -> re.Match[str]:
    """The place in `text` between the two comment lines that name `mark`."""
    start, end = (re.escape(comment.format(f"{word} {mark}")) for word in ("begin", "end"))
    found = re.search(f"(?<={start}\n)(.*?)(?={end})", text, re.DOTALL)
    if found is None:
        raise SystemExit(f"no place for {mark}")
    return found


PLACES = (
    (MANUAL, "settings", "; {}", manual_settings),
    (MANUAL, "metrics", "; {}", manual_metrics),
    (PROTOCOL, "heartbeat", "; {}", manual_heartbeat),
    (PROTOCOL, "answers", "; {}", manual_answers),
    (PROTOCOL, "alert", "; {}", manual_alert),
    (README, "heartbeat", "<!-- {} -->", heartbeat_request),
    (README, "alert", "<!-- {} -->", alert),
    (README, "answers", "<!-- {} -->", answers),
    (README, "diagram", "<!-- {} -->", diagram),
    (README, "columns", "<!-- {} -->", columns),
    (README, "seldom", "<!-- {} -->", seldom),
    (README, "told", "<!-- {} -->", told.page),
)


def _answers() -> list[tuple[str, str, str]]:
    """Statuses, state and meaning of each answer, and of none."""
    rows = []
    for rule in STATES:
        numbers = str(rule.first) if rule.first == rule.last else f"{rule.first}–{rule.last}"
        if rule.header:
            numbers += f" with {rule.header}{f': {rule.value}' if rule.value else ''}"
        rows.append((numbers, str(rule.state), rule.meaning))
    return [*rows, ("none", str(WorkerState.UNREACHABLE), f"with the cause: {', '.join(Cause)}")]


def _cut_short(body: bytes) -> bytes:
    message = json.loads(body)
    message["message"] = f"{message['message'][:50]}…"
    return json.dumps(message).encode()


def _literal(body: bytes, language: str) -> str:
    return f"```{language}\n{json.dumps(json.loads(body), indent=2, ensure_ascii=False)}\n```"


def _toml(value: Value | None) -> str:
    if value is REQUIRED:
        return ""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(one)}' for name, one in value.items())} }}" if value else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _scdoc(text: str) -> str:
    return re.sub(r"([\\_*#~])", r"\\\1", text)


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def main() -> None:
    """Write everything anew."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    CONFIG.write_text(config_toml())
    for path, mark, comment, make in PLACES:
        text = path.read_text()
        found = between(text, mark, comment)
        path.write_text(text[: found.start()] + make() + "\n" + text[found.end() :])


if __name__ == "__main__":
    main()
