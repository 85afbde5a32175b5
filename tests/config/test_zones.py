"""Time zones: by name, the host's own, and a hint for a name that does not exist."""

from datetime import timedelta
from pathlib import Path

import pytest

from heartbeatd.config import zones
from heartbeatd.config.load import parse
from heartbeatd.core.timefmt import LIMA, LIMA_ZONE, Zone, clock, time_of_day
from heartbeatd.errors import ConfigError

AT_NS = 1_795_465_210_000_000_000  # 2026-11-23T20:20:10Z
ZONEINFO = Path("/usr/share/zoneinfo")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("America/Lima", "2026-11-23 15:20:10 (America/Lima)"),
        ("Europe/Madrid", "2026-11-23 21:20:10 (Europe/Madrid)"),
        ("Asia/Kolkata", "2026-11-24 01:50:10 (Asia/Kolkata)"),
        ("UTC", "2026-11-23 20:20:10 (UTC)"),
    ],
)
def test_a_moment_is_shown_in_the_zone_that_is_named(name: str, shown: str) -> None:
    """By the clock of that zone, and with its name."""
    assert clock(AT_NS, zones.named(name)) == shown
    assert time_of_day(AT_NS, zones.named(name)) == shown.partition(" ")[2]


def test_summer_and_winter() -> None:
    """Daylight saving time is that of the moment, not of now."""
    assert (
        clock(AT_NS - 180 * 86_400_000_000_000, zones.named("Europe/Madrid")) == "2026-05-27 22:20:10 (Europe/Madrid)"
    )


def test_the_default_needs_no_database() -> None:
    """Lima's time is known without a file."""
    assert zones.named("America/Lima") is LIMA_ZONE
    assert LIMA_ZONE.rules is LIMA
    assert LIMA.utcoffset(None) == timedelta(hours=-5)


def test_the_hosts_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "" is the zone that /etc/localtime leads to, by its name; a copy of the file has no name, and its offset is shown."""
    localtime = tmp_path / "localtime"
    monkeypatch.setattr(zones, "LOCALTIME", localtime)
    localtime.symlink_to(ZONEINFO / "Asia/Kolkata")
    assert clock(AT_NS, zones.named("")) == "2026-11-24 01:50:10 (Asia/Kolkata)"
    localtime.unlink()
    localtime.write_bytes((ZONEINFO / "America/St_Johns").read_bytes())
    assert clock(AT_NS, zones.named("")) == "2026-11-23 16:50:10 (UTC-03:30)"


@pytest.mark.parametrize("content", [None, b"", b"no zone"])
def test_a_host_without_a_zone_is_in_utc(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the C library: no /etc/localtime, or none that can be read, is UTC."""
    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")
    if content is not None:
        (tmp_path / "localtime").write_bytes(content)
    assert clock(AT_NS, zones.named("")) == "2026-11-23 20:20:10 (UTC)"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Lima", 'did you mean "America/Lima"?'),
        ("america/lima", 'did you mean "America/Lima"?'),
        ("Europe/Madird", 'did you mean "Europe/Madrid"?'),
        ("right/UTC", 'did you mean "Etc/UTC"?'),
        ("Europe", "`timedatectl list-timezones` shows all names"),
        ("Mars/Olympus", "`timedatectl list-timezones` shows all names"),
        ("tzdata/zi", "`timedatectl list-timezones` shows all names"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(name: str, hint: str) -> None:
    """At load, by its key."""
    with pytest.raises(ConfigError) as caught:
        parse({"agent": {"timezone": name}}, "file")
    (problem,) = caught.value.problems
    assert (problem.where, problem.what, problem.hint) == (
        "file: agent.timezone",
        "there is no time zone of this name",
        hint,
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "Europe/../UTC", "/etc/localtime", "A" * 65, "America/Lima "])
def test_no_name_leads_out_of_the_database(name: str) -> None:
    """Only names of zones are looked for."""
    with pytest.raises(ConfigError):
        parse({"agent": {"timezone": name}})


def test_a_configured_zone(tmp_path: Path) -> None:
    """It is in the configuration, with its rules."""
    zone = parse({"agent": {"timezone": "Europe/Madrid"}}).agent.timezone
    assert isinstance(zone, Zone)
    assert zone.name == "Europe/Madrid"
    assert parse({}).agent.timezone is LIMA_ZONE
