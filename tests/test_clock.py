"""What vouches for the wall clock: a time server's mark, or a hardware clock that agrees; as files, in a folder of the test's."""

import time
from pathlib import Path

import pytest

from heartbeatd import clock
from heartbeatd.clock import SystemClock, booted_ns


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without any of it."""
    monkeypatch.setattr(clock, "SYNCHRONISED", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "HARDWARE_CLOCKS", tmp_path / "rtc")
    return tmp_path


def hardware_clock(host: Path, name: str, text: str) -> None:
    """A hardware clock that shows this."""
    folder = host / "rtc" / name
    folder.mkdir(parents=True)
    (folder / "since_epoch").write_text(text)


def test_a_host_with_nothing() -> None:
    """Nobody vouches for the clock of a Raspberry Pi at boot."""
    assert not SystemClock().vouched()


def test_timesyncd_has_synchronised(host: Path) -> None:
    """It leaves a mark (systemd-timesyncd.service(8))."""
    (host / "synchronized").touch()
    assert SystemClock().vouched()


@pytest.mark.parametrize(
    ("off_s", "vouched"), [(0, True), (3, True), (-3, True), (60, False), (-60, False), (-50 * 365 * 86_400, False)]
)
def test_a_hardware_clock_has_to_agree(host: Path, off_s: int, vouched: bool) -> None:
    """One without a battery shows 1970, and the clock was set from what was saved at the shutdown."""
    hardware_clock(host, "rtc0", f"{int(time.time()) + off_s}\n")
    assert SystemClock().vouched() == vouched


def test_one_of_two_hardware_clocks_is_enough(host: Path) -> None:
    """A board may have one without a battery beside one with; and one that cannot be read says nothing."""
    (host / "rtc" / "rtc0").mkdir(parents=True)
    hardware_clock(host, "rtc1", "rubbish")
    hardware_clock(host, "rtc2", "0\n")
    assert not SystemClock().vouched()
    hardware_clock(host, "rtc3", f"{int(time.time())}\n")
    assert SystemClock().vouched()


def test_the_wall_clock_at_boot_stands_still() -> None:
    """However much time goes by."""
    before = booted_ns(SystemClock())
    time.sleep(0.05)
    assert abs(booted_ns(SystemClock()) - before) < 20_000_000
