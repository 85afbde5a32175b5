"""What the service's user cannot read is an error that says what to do, and the other tries go on."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.config.secrets import Origin, OriginKind, Secret
from heartbeatd.ctl.check import files
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import Runtime
from tests.ctl.check.conftest import found_by_nobody, situation
from tests.support.certificates import make

pytestmark = pytest.mark.namespaces  # which says: as root


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter."""
    made = Path(tempfile.mkdtemp(prefix="heartbeatd-check-test-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def with_key_in(file: Path) -> Situation:
    """A configuration whose key comes from `file`."""
    given = situation(heartbeat={"secret_key": "k"})
    heartbeat = replace(given.config.heartbeat, secret_key=Secret("k", Origin(OriginKind.FILE, str(file))))
    return replace(given, config=replace(given.config, heartbeat=heartbeat))


def written(file: Path, mode: int) -> Path:
    """`file`, with something in it."""
    file.write_text("k\n")
    file.chmod(mode)
    return file


def the(findings: list[Finding], text: str) -> Finding:
    """The one of `findings` that says `text`."""
    (finding,) = (one for one in findings if text in one.text)
    return finding


def test_a_key_of_roots(folder: Path) -> None:
    """root:root 0600, as secrets tools write it: an error, with the command that helps; all else is tried."""
    found = found_by_nobody(with_key_in(written(folder / "key", 0o600)))
    finding = the(found["secrets"], "cannot read")
    assert finding.verdict is Verdict.ERROR
    assert "nobody" in finding.text
    assert {"host", "storage", "clock"} <= set(found)


def test_a_key_in_a_folder_of_roots(folder: Path) -> None:
    """Nothing done to the file itself would help."""
    (folder / "private").mkdir(mode=0o700)
    finding = the(found_by_nobody(with_key_in(written(folder / "private/key", 0o644)))["secrets"], "cannot read")
    assert f"may not enter {folder}/private" in finding.text
    assert "/etc/heartbeat" in finding.hint
    assert "chmod 640" not in finding.hint


def test_a_key_that_everybody_can_read(folder: Path) -> None:
    """A warning."""
    finding = the(found_by_nobody(with_key_in(written(folder / "key", 0o644)))["secrets"], "everybody on this host")
    assert finding.verdict is Verdict.WARNING
    assert finding.hint == f"chmod o-rwx {folder}/key"


def test_the_configuration_itself(folder: Path) -> None:
    """Not readable, not there, not a file: the service would end with 78."""
    cases = ((written(folder / "config", 0o600), "nobody cannot read"), (folder / "none", "cannot be read"))
    for path, text in (*cases, (folder, "it is a folder")):
        finding = the(found_by_nobody(replace(situation(), path=path))["configuration"], text)
        assert finding.verdict is Verdict.ERROR


def test_authorities(folder: Path) -> None:
    """Missing, not readable, not PEM and good; the Worker is tried only with the last, and all else with each."""
    private = written(folder / "private.pem", 0o600)
    rubbish = written(folder / "rubbish.pem", 0o644)
    good = make(folder).file
    for file, text in (
        (folder / "none.pem", "No such file"),
        (private, "cannot read"),
        (rubbish, "heartbeat.ca_file"),
        (good, ""),
    ):
        url = "http://127.0.0.1:9/"
        found = found_by_nobody(situation(heartbeat={"url": url, "secret_key": "k", "ca_file": str(file)}))
        assert ("heartbeat" in found) is bool(text)
        assert ("not tried" in found["worker"][0].text) is bool(text)
        assert {"host", "storage", "clock"} <= set(found)
        if text:
            finding = the(found["heartbeat"], text)
            assert finding.verdict is Verdict.ERROR
            assert ("PEM" in finding.hint) is (file == rubbish)


@pytest.mark.parametrize("name", ["/Zq7XsecretKey", "/etc/passwd/Zq7XsecretKey", f"/{'Zq7X' * 100}"])
def test_a_name_that_leads_nowhere_is_not_repeated(name: str) -> None:
    """It may be the key, written into the wrong setting."""
    given = situation(heartbeat={"url": "http://127.0.0.1:9/", "secret_key": "k", "ca_file": name})
    for each, setting in ((given, "heartbeat.ca_file"), (with_key_in(Path(name)), "heartbeat.secret_key_file")):
        (finding,) = (f for f in files.check(each, Runtime()) if f.subject != "configuration")
        assert finding.verdict is Verdict.ERROR
        assert finding.text.startswith(f"{setting}: the file it names cannot be read")
        assert "Zq7X" not in finding.text + finding.hint


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/home/key", "ProtectHome=yes"),
        ("/root/key", "ProtectHome=yes"),
        ("/run/user/1000/key", "ProtectHome=yes"),
        ("/tmp/key", "PrivateTmp=yes"),
        ("/var/tmp/deep/key", "PrivateTmp=yes"),
        ("/etc/heartbeat/key", ""),
    ],
)
def test_what_the_sandbox_hides(path: str, setting: str) -> None:
    """The unit's setting is named, inside; from outside there is none to blame."""
    settings = (("ProtectHome", "read-only"), ("ProtectHome", "yes"), ("PrivateTmp", "yes"))
    inside = replace(situation(), sandboxed=True, settings=settings)
    assert files.is_hidden(Path(path), inside) == setting
    weaker = replace(inside, settings=(*settings, ("ProtectHome", "read-only"), ("PrivateTmp", "no")))
    assert files.is_hidden(Path(path), weaker) == ""
    assert files.is_hidden(Path(path), situation()) == ""


def test_links_and_what_is_bound(tmp_path: Path) -> None:
    """What a link leads to is what is hidden; what the unit binds into the sandbox is not."""
    link = Path(f"/var/lib/hbd-link-{os.getpid()}")
    hidden = (("ProtectHome", "yes"), ("PrivateTmp", "yes"))
    inside = replace(situation(), sandboxed=True, settings=hidden)
    for target, setting in (
        ("/home/u/key", "ProtectHome=yes"),
        ("/root/key", "ProtectHome=yes"),
        ("/tmp/key", "PrivateTmp=yes"),
    ):
        link.symlink_to(target)
        try:
            assert files.is_hidden(link, inside) == setting
            (finding,) = (
                f
                for f in files.check(replace(with_key_in(link), sandboxed=True, settings=hidden), Runtime())
                if f.subject == "secrets"
            )
            assert setting in finding.text
            assert "chown" not in finding.hint
            for bound in (f"/srv/k:{target}", f"-{Path(target).parent}:{Path(target).parent}:rbind", target):
                assert files.is_hidden(link, replace(inside, settings=(*hidden, ("BindReadOnlyPaths", bound)))) == ""
        finally:
            link.unlink()


def test_from_outside_the_settings_are_judged(tmp_path: Path) -> None:
    """For the service's own configuration; the file can be read here, and will not be seen inside."""
    good = make(tmp_path).file  # below /tmp
    given = situation(heartbeat={"url": "http://127.0.0.1:9/", "secret_key": "k", "ca_file": str(good)})
    given = replace(given, settings=(("PrivateTmp", "yes"),))
    assert [f for f in files.check(given, Runtime()) if f.subject == "heartbeat"] == []
    found = [f for f in files.check(replace(given, path=DEFAULT_PATH), Runtime()) if f.subject == "heartbeat"]
    assert [finding.text for finding in found] == [
        f"the service cannot see {good}: PrivateTmp=yes in its unit hides it"
    ]
