"""The page that says what tells people what: each shipped rule, when it tells, how bad that is, and how it is turned off."""

import re
from itertools import groupby

from heartbeatd.config.alerts import AlertsConfig
from heartbeatd.config.schema import Option, options_of
from heartbeatd.config.services import ServiceConfig
from heartbeatd.core.limit import BUILT_IN, Limit
from heartbeatd.core.metrics import OF_NAME, OF_SUBJECT, Metric
from heartbeatd.core.policy import CHANGE_CYCLES
from heartbeatd.core.text.container import ContainerState
from heartbeatd.core.text.threshold import figure
from heartbeatd.core.timefmt import format_duration
from heartbeatd.rules.container import FOR_S
from heartbeatd.rules.unit import READINGS

OF_MANY = {"temperature_celsius": ":SENSOR"}
Row = tuple[str, str, str, str, str]


def rows() -> list[Row]:
    """Each: what it is about, its subject in alerts and silences, when it is told, how bad that is, and what turns it off."""
    alerts, services = options_of(AlertsConfig), options_of(ServiceConfig)
    after, gap_s = alerts["alert_after"].default, int(str(alerts["gap_alert_seconds"].default))
    others = _not_built_in()
    stopped, again = FOR_S[ContainerState.STOPPED], FOR_S[ContainerState.RESTARTING]
    return [
        (
            "the Worker",
            "`worker`",
            f"it is not ok in {after} cycles one after the other, {CHANGE_CYCLES} while the host has no internet",
            "critical, degraded a warning",
            '`heartbeat.url = ""`',
        ),
        (
            "the agent, the host",
            "`agent`, `host`",
            f"no cycle ran for {format_duration(gap_s)}: with the next start, and why",
            "warning",
            "`alerts.gap_alert_seconds = 0`",
        ),
        (
            "the agent has failed",
            "`agent`, never silenced",
            "its configuration is refused, or it does not come up for 100 s",
            "critical",
            "`systemctl mask heartbeatd-failed.service`",
        ),
        *(_of_limits(metric, list(limits)) for metric, limits in groupby(BUILT_IN, lambda limit: limit.metric)),
        (
            "any container",
            "`container:NAME`",
            f"its health check calls it unhealthy, or it restarts again and again for {format_duration(again)}",
            "warning",
            "`containers.any_unhealthy = false`",
        ),
        (
            "containers that are named",
            "`container:NAME`",
            f"the same, or it has not run for {format_duration(stopped)}; nothing is named as shipped",
            "critical",
            "`containers.watch = []`",
        ),
        (
            "services that are named",
            "`service:NAME`",
            f"it is not healthy for {_length(services['for'])}, looked at every {_length(services['every'])}",
            f"{services['severity'].default}; unknown a warning",
            "no section `[[service]]`",
        ),
        (
            "their certificates",
            "`certificate:NAME`",
            f"they end within {services['certificate_days'].default} days",
            "warning",
            "`certificate_days = 0`",
        ),
        (
            "units of systemd",
            "`unit:NAME`",
            f"one has failed, in {READINGS} readings a minute apart",
            "warning",
            "`units.watch = []`",
        ),
        (
            "other limits",
            ", ".join(f"`{metric.subject}{OF_MANY.get(metric.name, '')}`" for metric in others),
            f"a section `[[rule]]` sets one, on {', '.join(f'`{metric.name}`' for metric in others)}",
            "as it says",
            "no such section",
        ),
    ]


def page() -> str:
    """As a Markdown table, and what holds for all of them."""
    lines = [
        "| about | subject | told when | severity | off with |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows()),
    ]
    return "\n".join(lines)


def _of_limits(metric: str, limits: list[Limit]) -> Row:
    kind = OF_NAME[metric].subject
    values = " or ".join(f"{figure(kind, limit.value)} ({limit.severity})" for limit in limits)
    lasting = format_duration(limits[0].for_s)
    if len(limits) == 1:
        when, severity = f"it is so for {lasting}", str(limits[0].severity)
    else:
        when = f"{values} is reached for {lasting}; good again {limits[0].value - limits[0].clear:g} points below"
        severity = " or ".join(limit.severity for limit in limits)
    return (
        f"`{metric}`",
        f"`{kind}:FOLDER`",
        when,
        severity,
        f'`[[rule]]` with `metric = "{metric}"`, `enabled = false`',
    )


def _not_built_in() -> list[Metric]:
    built_in = {limit.metric for limit in BUILT_IN}
    return [metric for metric in OF_SUBJECT.values() if metric.name not in built_in]


def _length(option: Option) -> str:
    """Its default, as lengths are written in what people read."""
    return re.sub(r"(?<=\d)(?=[a-z])", " ", str(option.default))
