"""Failed units, as a systemctl says of them that is made to say it; the real one is asked in tests/system/test_services.py."""

from pathlib import Path

import pytest

from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.core.unit import FailedUnit, WatchedUnits
from heartbeatd.probes.units import FailedUnits

LISTED = """\
backup.service      loaded failed failed Back up \\ all
db@main.service     loaded failed failed Database
data.mount          loaded failed failed /data
"""
SHOWN = """\
Result=exit-code
Id=backup.service
ExecMainStatus=1

Result=exit-code
Id=data.mount
"""


def systemctl(folder: Path, script: str) -> None:
    (folder / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "systemctl").chmod(0o755)


def test_those_that_have_failed_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; it is not asked of those that are not watched, nor why if none has failed."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "listed").write_text(LISTED)
    (tmp_path / "shown").write_text(SHOWN)
    answer = f"case $* in *list-units*) cat {tmp_path}/listed;; *) cat {tmp_path}/shown; esac"
    systemctl(tmp_path, f'echo "$@" >>{tmp_path}/asked; {answer}')
    probe = FailedUnits(WatchedUnits(("*",), ("db@*",)), 10.0)
    assert probe.read() == {
        "failed_units": (FailedUnit("backup.service", "exit-code", 1), FailedUnit("data.mount", "exit-code", None))
    }
    assert (tmp_path / "asked").read_text().endswith("-- backup.service data.mount\n")
    (tmp_path / "listed").write_text("")
    (tmp_path / "asked").unlink()
    assert probe.read() == {"failed_units": ()}
    assert "show" not in (tmp_path / "asked").read_text()


def test_a_systemd_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a failure, in time."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    systemctl(tmp_path, "exec sleep 1000")
    with pytest.raises(ProbeError, match="systemd does not answer in time"):
        FailedUnits(WatchedUnits(("*",)), 0.3).read()
    systemctl(tmp_path, "echo Failed to connect to bus; exit 1")
    with pytest.raises(ProbeError, match="Failed to connect to bus"):
        FailedUnits(WatchedUnits(("*",)), 10.0).read()


def test_where_there_is_nobody_to_ask(tmp_path: Path) -> None:
    """Or nothing: no thread is needed."""
    with pytest.raises(NoData, match="no unit is watched"):
        FailedUnits(WatchedUnits(), 1.0, tmp_path).require()
    with pytest.raises(NoData, match="systemd does not run here"):
        FailedUnits(WatchedUnits(("*",)), 1.0, tmp_path / "none").require()
    FailedUnits(WatchedUnits(("*",)), 1.0, tmp_path).require()
