"""piuparts: what the package leaves behind after each way of coming and going, in chroots of the base trees."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.system.conftest import repacked
from tests.system.repository import Repository
from tests.system.tree import SUITES, Tree, sources


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_is_left_behind(suite: str, repository: Repository, package: Path, tmp_path: Path) -> None:
    """Installed, removed and purged, and upgraded from the repository's version to a later one: piuparts finds no leftover."""
    repository.publish(package)
    _, *more = sources(suite).splitlines()
    repositories = (*more, f"deb [trusted=yes] {repository.url} stable main")
    said = piuparts(repacked(package, tmp_path, "9.0.0"), suite, *(f"--extra-repo={line}" for line in repositories))
    assert "PASS: Installation and purging test" in said
    assert "PASS: Installation, upgrade and purging tests" in said


@pytest.mark.release
def test_nothing_is_left_behind_by_an_upgrade_of_debian(package: Path) -> None:
    """Installed on Debian 12, kept over the upgrade to Debian 13, and purged there: piuparts finds no leftover."""
    # debconf's own, whatever is upgraded.
    piuparts(package, "bookworm", "--distribution=trixie", r"--ignore-regex=/var/cache/debconf/tmp\.ci/?")


def piuparts(deb: Path, suite: str, *options: str) -> str:
    """Run piuparts on a package, beginning with the base tree of `suite`; what it said. Raises AssertionError if it fails."""
    if os.geteuid() != 0:
        pytest.skip("piuparts needs root")
    archive = sources(suite).split()[1]
    tree = Tree(suite)
    chroot = (f"--existing-chroot={tree.path}", f"--mirror={archive} main", f"--distribution={suite}")
    try:
        done = subprocess.run(
            ["piuparts", "--no-eatmydata", *chroot, *options, str(deb)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        tree.close()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
