"""The host's own time zone goes where the configuration goes: to `heartbeatctl check` in the service's sandbox."""

import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest

from heartbeatd.config.host_zone import of_bytes
from heartbeatd.config.load import parse

BERLIN = Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes()


def test_it_goes_through_pickle() -> None:
    """With its rules, summer time included; and a configuration with it does."""
    zone = pickle.loads(pickle.dumps(of_bytes(BERLIN)))
    hours = [datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7)]
    assert [offset.total_seconds() / 3600 for offset in hours if offset is not None] == [1, 2]
    config = parse({"agent": {"timezone": ""}})
    assert pickle.loads(pickle.dumps(config)).agent.timezone.name == config.agent.timezone.name


def test_what_is_no_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="TZif"):
        of_bytes(b"no zone")
