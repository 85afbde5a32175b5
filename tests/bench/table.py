"""The comparison as Markdown, ready for debian/costs.md. What was not measured is a dash."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.alone import Alone
from tests.bench.subjects import AGENT, COLLECTD, EARLIER, EXPORTER
from tests.bench.unit_usage import Figures

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
CYCLES_A_DAY = 8640
_DASH = "–"
_HEAD = (
    *("", "installed MiB", "PSS MiB", "RSS MiB", "CPU ms a cycle", "switches a cycle", "system calls a cycle"),
    *("written KiB a cycle", "threads", "start ms"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One subject; None is what was not measured."""

    name: str
    installed_mib: float | None
    figures: Figures | None
    syscalls: float | None
    start_ms: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A whole run. `notes` says, among other things, why something was not measured."""

    header: str
    rows: tuple[Row, ...]
    alone: Alone | None
    notes: tuple[str, ...]


def markdown(result: Result) -> str:
    """All of it: header, table, ratios, heartbeatd alone, notes."""
    parts = [_wrapped(result.header), "\n".join(_table(result.rows))]
    if ratios := list(_ratios(result.rows)):
        parts.append(f"CPU of heartbeatd, its containers helper not counted: {', '.join(ratios)}.")
    if result.alone is not None:
        parts.append("\n".join(_alone(result.alone)))
    parts.append("\n".join(_wrapped(f"- {note}") for note in result.notes))
    return "\n\n".join(parts)


def _wrapped(text: str) -> str:
    """In lines of no more than 120 characters: lintian minds very long ones."""
    return textwrap.fill(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)


def write(file: Path, text: str) -> None:
    """Put the text between the marks of a file. Raises ValueError if it has none."""
    head, tail = around(file)
    file.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def around(file: Path) -> tuple[str, str]:
    """What is before and after the marks of a file. Raises ValueError if it has none."""
    head, begin, rest = file.read_text().partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no {BEGIN} … {END}")
    return head, tail


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield f"|{'|'.join(f' {name} ' if name else ' ' for name in _HEAD)}|"
    yield "|---|" + "---:|" * (len(_HEAD) - 1)
    for row in rows:
        cells = [
            _number(row.installed_mib, 1),
            *(_figure(row, get, places) for get, places in _FIGURES[:4]),
            _number(row.syscalls, 0),
            *(_figure(row, get, places) for get, places in _FIGURES[4:]),
            _number(row.start_ms, 0),
        ]
        yield f"| {row.name} | {' | '.join(cells)} |"


_FIGURES: tuple[tuple[Callable[[Figures], float], int], ...] = (
    (lambda f: f.pss_mib, 1),
    (lambda f: f.rss_mib, 1),
    (lambda f: f.cpu_ms, 2),
    (lambda f: f.switches, 0),
    (lambda f: f.written_kib, 1),
    (lambda f: f.threads, 0),
)


def _figure(row: Row, get: Callable[[Figures], float], places: int) -> str:
    return _number(None if row.figures is None else get(row.figures), places)


def _number(value: float | None, places: int) -> str:
    return _DASH if value is None else f"{value:.{places}f}"


def _ratios(rows: Sequence[Row]) -> Iterator[str]:
    cpu = {row.name: row.figures.cpu_ms for row in rows if row.figures is not None}
    for name in (EXPORTER, EARLIER, COLLECTD):
        if AGENT in cpu and cpu.get(name):
            yield f"{cpu[AGENT] / cpu[name]:.2f} × {name}"


def _alone(alone: Alone) -> Iterator[str]:
    device_mib = alone.device_kib * CYCLES_A_DAY / 1024
    yield "| heartbeatd alone | |"
    yield "|---|---:|"
    yield f"| start to READY, run directly on the measuring machine, by the clock | {alone.start.wall_ms:.0f} ms |"
    yield f"| CPU it has used then | {alone.start.cpu_ms:.0f} ms |"
    yield f"| memory (PSS), its containers helper's not counted | {alone.pss_mib:.1f} MiB |"
    yield f"| reaches the device: a cycle of 10 s, a day | {alone.device_kib:.1f} KiB, {device_mib:.0f} MiB |"
    yield "| **a cycle begins after its slot: median, 99 of 100, worst** | |"
    for late in alone.lateness:
        skipped = f", {late.skipped} skipped" if late.skipped else ""
        figures = f"{late.p50_ms:.2f}, {late.p99_ms:.2f}, {late.most_ms:.2f} ms"
        yield f"| {late.rows} cycles of one second{skipped}, {late.load} | {figures} |"
