"""What is written down twice is held together: the code's tables, config.toml, manuals, catalog, completion, changelog."""

import ast
import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd import __version__
from heartbeatd.config.alerts import ChannelConfig
from heartbeatd.config.load import load, parse
from heartbeatd.config.model import SETTINGS, Config
from heartbeatd.config.services import ServiceConfig
from heartbeatd.config.several import headers_of
from heartbeatd.config.watching import RuleConfig
from heartbeatd.core.heartbeat import Cause
from heartbeatd.ctl.__main__ import VERBS
from heartbeatd.errors import ExitCode
from heartbeatd.journal import MessageId
from tests.project import generated
from tests.project.generated import CONFIG, PLACES, TOP


def test_the_shipped_config_is_that_of_the_table() -> None:
    """etc/heartbeat/config.toml is what `make generate` writes."""
    assert CONFIG.read_text() == generated.config_toml()


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0].name}:{place[1]}")
def test_the_documents_are_those_of_the_tables(place: tuple[Path, str, str, object]) -> None:
    """The generated parts of the manual and the README are what `make generate` writes."""
    path, mark, comment, _ = place
    make = next(make for p, m, _, make in PLACES if (p, m) == (path, mark))
    found = generated.between(path.read_text(), mark, comment)
    assert found.group(1) == make() + "\n"


def test_the_shipped_config_works_as_it_is() -> None:
    """It parses, to exactly the defaults."""
    assert load(CONFIG) == parse({})


def test_every_line_of_the_shipped_config_works_when_uncommented() -> None:
    """A user who takes away the # in front of any or all keys gets the defaults, a channel to nowhere, a rule, a service."""
    uncommented = re.sub(r"^#(?=\[\[|[a-z_]+ = )", "", CONFIG.read_text(), flags=re.MULTILINE)
    assert len(re.findall(r"^[a-z_]+ = ", uncommented, re.MULTILINE)) == len(SETTINGS)
    assert _parsed(uncommented) == replace(
        parse({}),
        channels=(ChannelConfig(name="phone"),),
        rules=(RuleConfig(metric="disk_used_percent", above=95.0, label="/srv"),),
        services=(ServiceConfig(name="web", check="https://www.example.org/"),),
    )


def test_every_example_in_the_shipped_config_is_accepted() -> None:
    """What is shown as an example passes the checks of its own setting."""
    for setting in SETTINGS:
        if setting.option.example:
            checked = setting.option.kind.check(setting.option.example)
            assert checked == setting.option.example or headers_of(str(checked)) == setting.option.example


def test_the_catalog_explains_every_message() -> None:
    """Each MESSAGE_ID has an entry with subject and text, and no entry is for an id that does not exist."""
    entries = re.split(r"^-- ", (TOP / "systemd/heartbeatd.catalog").read_text(), flags=re.MULTILINE)[1:]
    ids = [entry.split("\n")[0] for entry in entries]
    assert sorted(ids) == sorted(MessageId)
    for entry in entries:
        head, _, text = entry.partition("\n\n")
        assert "Subject: " in head
        assert text.strip()


def test_the_catalog_shows_only_fields_that_are_always_there() -> None:
    """journalctl -x prints @FIELD@ as it stands where an entry lacks it, so each call that logs a kind gives its fields."""
    catalog = re.split(r"^-- ", (TOP / "systemd/heartbeatd.catalog").read_text(), flags=re.MULTILINE)[1:]
    shown = {MessageId(entry[:32]).name: set(re.findall(r"@HEARTBEAT_(\w+)@", entry)) for entry in catalog}
    calls = [
        call
        for path in (TOP / "heartbeatd").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "journal_fields"
    ]
    assert calls
    for call in calls:
        given = {word.arg.upper() if word.arg else "*" for word in call.keywords}
        for kind in (n.attr for n in ast.walk(call.args[0]) if isinstance(n, ast.Attribute)):
            assert "*" in given or shown[kind] <= given, f"{kind}: {shown[kind] - given}"


def test_the_catalog_compiles(tmp_path: Path) -> None:
    """journalctl takes the catalog."""
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (folder / "heartbeatd.catalog").write_text((TOP / "systemd/heartbeatd.catalog").read_text())
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    said = subprocess.run(
        ["journalctl", "--update-catalog", f"--root={tmp_path}"], capture_output=True, text=True, check=True
    )
    assert said.stderr == ""
    listed = subprocess.run(
        ["journalctl", "--list-catalog", f"--root={tmp_path}"], capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == len(MessageId)


def test_the_changelog_fits_into_eighty_columns() -> None:
    """As dch(1) writes it, and as lintian wants it."""
    lines = (TOP / "debian/changelog").read_text().splitlines()
    assert [line for line in lines if len(line) > 80 and not line.startswith(" -- ")] == []


def test_the_version_is_that_of_the_changelog() -> None:
    """`heartbeatd --version` and the package agree."""
    first = (TOP / "debian/changelog").read_text().splitlines()[0]
    assert re.match(r"heartbeatd \(([^)]+)\) ", first).group(1) == __version__  # type: ignore[union-attr]


def test_every_verb_and_option_is_in_the_manual_and_in_the_completion() -> None:
    """What `heartbeatctl --help` offers, the manual explains and bash completes."""
    manual = (TOP / "debian/man/heartbeatctl.1.scd").read_text()
    completion = (TOP / "debian/heartbeatd.bash-completion").read_text()
    for verb in VERBS:
        shown = subprocess.run(
            ["/usr/bin/python3", "-m", "heartbeatd.ctl", verb, "--help"],
            cwd=TOP,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        options = set(re.findall(r"--[a-z-]+", shown)) - {"--help"}
        for word in (verb, *options):
            assert word.replace("_", "\\_") in manual, f"{verb}: {word} is not in heartbeatctl(1)"
            assert word in completion, f"{verb}: {word} is not completed"


@pytest.mark.parametrize("page", sorted((TOP / "debian/man").glob("*.scd")), ids=lambda page: page.stem)
def test_the_manuals_are_well_formed(page: Path) -> None:
    """scdoc takes the page, and man finds nothing to warn of."""
    roff = subprocess.run(["scdoc"], input=page.read_bytes(), capture_output=True, check=True).stdout
    shown = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"], input=roff, capture_output=True, check=True
    )
    assert shown.stderr == b""


def test_causes_and_exit_codes_are_in_the_manuals() -> None:
    """heartbeatd(8) names every cause; heartbeatctl(1) every exit status."""
    daemon = (TOP / "debian/man/heartbeatd.8.scd").read_text()
    assert all(cause in daemon for cause in Cause)
    ctl = (TOP / "debian/man/heartbeatctl.1.scd").read_text().partition("# EXIT STATUS")[2]
    assert all(f"\n{code.value}\n" in ctl for code in ExitCode)


def _parsed(text: str) -> Config:
    return parse(tomllib.loads(text))
