"""Figures beside each other: what was measured on each size, what it may be at the most, and whether it grew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import ParamSpec

P = ParamSpec("P")
FLAT = 1.25  # times the first: less is noise, on a machine that is not idle


@dataclass(frozen=True, slots=True)
class Figure:
    """One value. `most` is its target, if it has one; a `flat` one must not grow from the first size to the last."""

    name: str
    value: float
    unit: str
    most: float | None = None
    flat: bool = False

    @property
    def target(self) -> str:
        """E.g. `<= 5`, or `flat`; nothing where there is none."""
        return f"<= {self.most:g}" if self.most is not None else "flat" if self.flat else ""


def table(heads: Sequence[str], columns: Sequence[Sequence[Figure]]) -> str:
    """A line for each figure: its name, its values (a column for each of `heads`), unit, target, and `MISSED` or `ok`.

    A figure that one size does not have is `-` there.
    """
    found = [{figure.name: figure for figure in column} for column in columns]
    names = list(dict.fromkeys(figure.name for column in columns for figure in column))
    lines = [_line("", heads, "unit", "target", "")]
    for name in names:
        row = [column.get(name) for column in found]
        there = [figure for figure in row if figure is not None]
        values = ["-" if figure is None else _value(figure.value) for figure in row]
        lines.append(_line(name, values, there[0].unit, there[0].target, _verdict(there)))
    return "\n".join(lines)


def p99(values: Sequence[float]) -> float:
    """The value that one in a hundred is above: of 1 … 500, 496."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]


def took_ms(run: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> float:
    """How long `run` takes with these arguments, in ms."""
    began_ns = monotonic_ns()
    run(*arguments, **named)
    return (monotonic_ns() - began_ns) / 1e6


def _verdict(row: Sequence[Figure]) -> str:
    if not row[0].target:
        return ""
    beyond = any(figure.most is not None and figure.value > figure.most for figure in row)
    grown = row[0].flat and row[-1].value > FLAT * row[0].value
    return "MISSED" if beyond or grown else "ok"


def _value(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def _line(name: str, values: Sequence[str], *words: str) -> str:
    unit, target, verdict = words
    return f"{name:<36}{''.join(f'{value:>15}' for value in values)}  {unit:<6} {target:<10} {verdict}".rstrip()
