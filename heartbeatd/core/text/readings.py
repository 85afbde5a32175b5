"""What was read and has no column, in a line for each metric."""

from collections.abc import Iterator, Mapping

from heartbeatd.core.metrics import KEPT_SELDOM, Metric, Series
from heartbeatd.core.plain import plain

LONGEST_LABEL = 60
_UNITS = {"percent": "%", "°C": " °C"}


def reading_lines(values: Mapping[Series, float]) -> Iterator[str]:
    """Filesystems first, e.g. `disk        / 63.0%, /srv 91.2%`; labels may be anything, and come out fit for a terminal."""
    for metric in KEPT_SELDOM:
        found = [
            _one(metric, series.label, value)
            for series, value in sorted(values.items())
            if series.metric == metric.name
        ]
        if found:
            yield f"{metric.subject:<11} {', '.join(found)}"


def _one(metric: Metric, label: str, value: float) -> str:
    figure = f"{value:.{metric.digits}f}{_UNITS.get(metric.unit, '')}"
    return f"{plain(label, LONGEST_LABEL)} {figure}" if label else figure
