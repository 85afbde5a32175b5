"""Until when a silence lasts, whatever becomes of the clock; and of whom it is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Held, Now, Silence, in_force
from heartbeatd.core.subject import Subject
from heartbeatd.core.text.cycle import silence_notes
from tests.support.clocks import NOW_NS

BOOTED_NS = NOW_NS - 600 * NS_PER_S
LENGTH_S = 7200
MADE = Silence(
    "disk:*",
    NOW_NS + LENGTH_S * NS_PER_S,
    created_ns=NOW_NS,
    id="a",
    boot_id="this",
    booted_ns=BOOTED_NS,
)
seconds = st.integers(-10_000_000, 10_000_000)


def later(passed_s: int, *, stepped_s: int = 0, boot_id: str = "this") -> Now:
    """So long after the silence was made, with a clock that was set by so much since."""
    by_ns = stepped_s * NS_PER_S
    return Now(NOW_NS + passed_s * NS_PER_S + by_ns, boot_id, BOOTED_NS + by_ns)


@given(st.integers(0, 2 * LENGTH_S), seconds)
def test_it_lasts_as_long_as_was_asked_for_however_the_clock_is_set(passed_s: int, stepped_s: int) -> None:
    """Within a boot: its end moves along with the clock."""
    found = in_force([MADE], later(passed_s, stepped_s=stepped_s))
    assert len(found) == (passed_s < LENGTH_S)
    assert all(one.until_ns - MADE.until_ns == stepped_s * NS_PER_S for one in found)


def test_it_is_over_restarts_of_the_system() -> None:
    """The wall clock tells when it ends."""
    boots = [Now(NOW_NS + passed_s * NS_PER_S, "next", NOW_NS + (passed_s - 20) * NS_PER_S) for passed_s in (60, 7201)]
    assert [len(in_force([MADE], now)) for now in boots] == [1, 0]


@given(st.integers(1, 10_000_000), st.integers(0, 2 * LENGTH_S))
def test_a_clock_that_is_behind_makes_no_silence_endless(behind_s: int, up_s: int) -> None:
    """A machine without a battery clock has booted with an old time: it lasts for its own length from the boot at most."""
    booted_ns = NOW_NS - (behind_s + up_s) * NS_PER_S
    found = in_force([MADE], Now(booted_ns + up_s * NS_PER_S, "next", booted_ns))
    assert len(found) == (up_s < LENGTH_S)


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        ("*", ["worker", "disk:/srv", "disk:/srv/a b", "container:web"]),
        ("disk:*", ["disk:/srv", "disk:/srv/a b"]),
        ("disk:/srv", ["disk:/srv"]),
        ("container:[a-w]eb", ["container:web"]),
        ("worker", ["worker"]),
        ("Worker", []),
        ("?isk:/srv", ["disk:/srv"]),
    ],
)
def test_a_pattern_is_a_shells(pattern: str, fitting: list[str]) -> None:
    """Of the whole text of a subject; a letter is large or small."""
    held = Held([replace(MADE, pattern=pattern)])
    subjects = ["worker", "disk:/srv", "disk:/srv/a b", "container:web"]
    assert [text for text in subjects if Subject.parse(text) in held] == fitting


def test_the_status_line_names_them() -> None:
    """Three of them, the one that ends first before the others, and how long each still is."""
    others = [replace(MADE, pattern=f"unit:{n}", until_ns=NOW_NS + n * 60 * NS_PER_S) for n in (3, 2, 1)]
    held = Held(in_force([MADE, *others], later(0)))
    assert silence_notes(held, NOW_NS) == ("silenced: unit:1 for 1 min, unit:2 for 2 min, unit:3 for 3 min, 1 more",)
    assert silence_notes(Held(()), NOW_NS) == ()
