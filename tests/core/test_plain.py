"""What becomes of text from outside before anybody sees it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.plain import LONGEST, plain

# With lone surrogates, which the operating system's bytes become in Python.
anything = st.text(st.characters())


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("connection refused", "connection refused"),
        ("größer → 23 ms, 日本", "größer → 23 ms, 日本"),
        ("all is well\nworker HTTP 200", "all is well worker HTTP 200"),
        ("a\r\nb\tc\vd\fe", "a  b c d e"),
        ("\x1b[2J\x1b]0;OWNED\x07", "?[2J?]0;OWNED?"),
        ("\x9b31mred\x85next\x7f\x00", "?31mred next??"),
        ("line\u2028paragraph\u2029end", "line paragraph end"),
        ("gnp\u202eexe.\u2066x\u2069\u200f\u061c", "gnp?exe.?x???"),
        ("zero\u200bwidth\ufeff\u2060\U000e0041", "zero?width???"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("no-break\u00a0space", "no-break space"),
    ],
)
def test_what_cannot_be_printed_is_replaced(given_text: str, shown: str) -> None:
    """White space by a space, the rest by a question mark; what people write is left alone."""
    assert plain(given_text) == shown


@given(anything)
def test_it_is_one_printable_line(text: str) -> None:
    """Whatever comes in: one line, no control character of any kind, and it can be written as UTF-8."""
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode().decode() == shown
    assert plain(shown) == shown


@given(anything, st.integers(min_value=3, max_value=20))
def test_it_is_never_longer_than_allowed(text: str, longest: int) -> None:
    """A text that is too long ends in dots; one that fits is not cut."""
    shown = plain(text, longest)
    assert len(shown) == min(len(text), longest)
    assert shown.endswith("...") or len(text) <= longest
    assert len(plain(text + "x" * 2 * LONGEST)) == LONGEST
