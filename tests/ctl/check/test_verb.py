"""`heartbeatctl check` as a command: what it prints, in which form, and its exit status."""

import json
import os
import shutil
from pathlib import Path

import pytest

from heartbeatd.ctl.check import registry
from heartbeatd.ctl.check.finding import Finding, Verdict, ok
from heartbeatd.errors import Problem, StoreError
from tests.ctl.check.conftest import situation
from tests.ctl.test_heartbeatctl import ctl
from tests.support.agent import AS_NOBODY

OFFLINE = ("check", "--offline", "--config")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that sends nothing, and asks nobody outside."""
    file = tmp_path / "config.toml"
    file.write_text(
        f'[alerts]\nalert_after = 2\n[internet]\nurl = "http://127.0.0.1:9/"\n[docker]\nsocket = ""\n'
        f'[storage]\npath = "{tmp_path}/no/metrics.db"\n'
    )
    file.chmod(0o640)
    return file


def read(text: str) -> list[Finding]:
    """The findings in a JSON array."""
    return [Finding(**one) for one in json.loads(text)]


def test_json(config: Path) -> None:
    """One array, an object for each line, with the same exit status; with --quiet the errors only."""
    done = ctl("check", "--json", "--config", config)
    found = read(done.stdout)
    assert {"ok", "warning", "error"} == {finding.verdict for finding in found}
    assert {"configuration", "heartbeat", "sandbox", "internet", "docker", "storage"} <= {f.subject for f in found}
    assert done.returncode == 1
    quiet = ctl("check", "--json", "--quiet", "--config", config)
    assert quiet.returncode == 1
    assert [finding.subject for finding in read(quiet.stdout)] == ["storage"]


def test_json_of_a_file_that_is_refused(config: Path) -> None:
    """78, and each problem with its hint."""
    config.write_text("[agent]\nintervall_seconds = 10\nlog_cycles = 3\n")
    done = ctl(*OFFLINE, config, "--json")
    assert done.returncode == 78
    assert len(read(done.stdout)) == 2
    assert all(finding.verdict == "error" and finding.hint for finding in read(done.stdout))


def test_json_when_there_is_nothing_to_say(config: Path) -> None:
    """An empty array is one, too."""
    done = ctl(*OFFLINE, config, "--json", "--quiet")
    assert done.returncode == 0
    assert read(done.stdout) == []


def test_where_it_was_looked_at_from(config: Path) -> None:
    """Outside of the service's sandbox it is a guess, and says so."""
    assert "ok       sandbox        what follows was looked at from outside" in ctl("check", "--config", config).stdout


def test_offline_opens_what_the_agent_will_read(config: Path, tmp_path: Path) -> None:
    """A ca_file that is not there, or no PEM file, is refused at a start: by `check --offline`, too."""
    good = config.read_text()
    for file, hint in ((tmp_path / "none.pem", "readable file"), (config, "PEM")):
        config.write_text(f'{good}[heartbeat]\nca_file = "{file}"\n')
        done = ctl(*OFFLINE, config)
        assert done.returncode == 1
        assert "error    heartbeat" in done.stdout
        assert hint in done.stdout


@pytest.mark.namespaces
def test_a_key_that_is_not_for_whoever_asks() -> None:
    """Not refused: whether the agent could read it is not known. As JSON, one finding says so."""
    folder = Path(f"/var/tmp/hbd-verb-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        (folder / "key").write_text("k\n")
        (folder / "key").chmod(0o600)
        config = folder / "config.toml"
        config.write_text(f'[heartbeat]\nurl = "http://127.0.0.1:9/"\nsecret_key_file = "{folder}/key"\n')
        done = ctl(*OFFLINE, config, prefix=AS_NOBODY)
        as_json = ctl(*OFFLINE, config, "--json", prefix=AS_NOBODY)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 77
    assert "not allowed" in done.stderr
    assert "refused" not in done.stderr + done.stdout
    assert as_json.returncode == 77
    (finding,) = read(as_json.stdout)
    assert finding.verdict == "error"
    assert "Permission denied" in finding.text


def test_what_one_try_meets_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours, or of the system, is a line like all others."""

    def refused(*_: object) -> None:
        raise StoreError(Problem("here", "is wrong", "do this"))

    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    checks = {"one": refused, "two": broken, "three": lambda *_: iter([ok("three", "is fine")])}
    monkeypatch.setattr(registry, "CHECKS", checks)
    found = [finding for finding in registry.findings(situation()) if finding.subject in checks]
    assert [finding.verdict for finding in found] == [Verdict.ERROR, Verdict.ERROR, Verdict.OK]
    assert found[0].hint == "do this"
    assert "Permission denied" in found[1].text
