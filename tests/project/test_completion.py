"""What a Tab offers, asked of bash itself."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from heartbeatd.ctl.__main__ import VERBS
from tests.support.agent import CHECKOUT

FILE = CHECKOUT / "debian/heartbeatd.bash-completion"
LIBRARY = Path("/usr/share/bash-completion/bash_completion")
# The library's part that these functions need, as it is.
ASK = 'source "$1"; source "$2"; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
ASK += 'COMP_TYPE=9; COMP_KEY=9; _heartbeatctl; printf "%s\\n" "${COMPREPLY[@]}"'
pytestmark = pytest.mark.skipif(not LIBRARY.exists() or not shutil.which("bash"), reason="no bash-completion")


def offered(*words: str) -> list[str]:
    """For the last word, which may be empty."""
    asked = ["bash", "--norc", "-c", ASK, "bash", str(LIBRARY), str(FILE), "heartbeatctl", *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    return done.stdout.split()


def test_every_verb_is_offered() -> None:
    """Those there are."""
    assert set(VERBS) <= set(offered(""))


def test_by_offers_its_values() -> None:
    """And --days, which takes a number, nothing."""
    assert offered("history", "--by", "") == ["hour", "day"]
    assert offered("history", "--by", "d") == ["day"]
    assert offered("history", "--days", "") == []
    assert "--by" in offered("history", "--")


def test_behind_two_dashes_there_is_a_command() -> None:
    """Of a silence: what bash offers for a command, and for its arguments."""
    assert "--for" in offered("silence", "-")
    assert "sleep" in offered("silence", "disk:/srv", "--for", "1h", "--", "slee")
