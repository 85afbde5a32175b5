"""What was found of services, in a few lines."""

from collections.abc import Iterator, Mapping

from heartbeatd.core.plain import plain

IN_A_LINE = 5
LONGEST_WORD = 40
_FIRST, _OTHERS = "services    ", "            "


def service_lines(found: Mapping[str, tuple[str, str | None, float | None]]) -> Iterator[str]:
    """Of each name its state, cause and milliseconds: `services    web healthy 23 ms, db down (refused)`."""
    shown = [_one(name, *one) for name, one in found.items()]
    for at in range(0, len(shown), IN_A_LINE):
        yield f"{_OTHERS if at else _FIRST}{', '.join(shown[at : at + IN_A_LINE])}"


def _one(name: str, state: str, cause: str | None, took_ms: float | None) -> str:
    why = f" ({plain(cause, LONGEST_WORD)})" if cause else ""
    took = "" if took_ms is None or cause else f" {took_ms:.0f} ms"
    return f"{plain(name, LONGEST_WORD)} {plain(state, LONGEST_WORD)}{why}{took}"
