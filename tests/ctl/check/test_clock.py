"""What timedatectl says, and what `check` makes of it."""

import pytest

from heartbeatd.ctl.check import clock
from heartbeatd.ctl.check.finding import Verdict
from tests.ctl.check.conftest import Found, situation


def test_synchronised() -> None:
    """All is well, with or without a battery clock."""
    for battery in (False, True):
        assert clock.classify({"NTPSynchronized": "yes"}, battery=battery).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("ntp", "can", "hint"),
    [
        ("yes", "yes", "has not set it yet"),
        ("no", "yes", "timedatectl set-ntp true"),
        ("no", "no", "install systemd-timesyncd or chrony"),
    ],
)
def test_not_synchronised(ntp: str, can: str, hint: str) -> None:
    """A service that has not set it yet, one that is switched off, and none: three things to do."""
    properties = {"NTP": ntp, "CanNTP": can, "NTPSynchronized": "no"}
    finding = clock.classify(properties, battery=True)
    assert finding.verdict is Verdict.WARNING
    assert "is not synchronised" in finding.text
    assert "battery" not in finding.text
    assert hint in finding.hint
    assert "no battery clock" in clock.classify(properties, battery=False).text


def test_what_cannot_be_told_is_not_claimed(found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Without timedatectl nothing is known of the clock."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = found(clock.check, situation())
    assert finding.verdict is Verdict.WARNING
    assert "not known" in finding.text
    assert "no timedatectl" in finding.text
