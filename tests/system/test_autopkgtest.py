"""The tests that the source package brings along, run by Debian's own runner on a booted Debian."""

import shutil
from pathlib import Path

import pytest

from tests.system.host import BootedHost

FOLDER = "/srv/autopkgtest"


def test_the_service_passes_where_it_is_installed(host: BootedHost, package: Path) -> None:
    """Tests `system` and `purge` pass."""
    autopkgtest(host, package, "system", "purge")


@pytest.mark.release
def test_the_unit_tests_pass_against_what_is_installed(host: BootedHost, package: Path) -> None:
    """Test `unit` passes: the selection of debian/rules, against the installed package."""
    autopkgtest(host, package, "unit")


def autopkgtest(host: BootedHost, package: Path, *names: str) -> None:
    """Run those tests of the source package against the package."""
    host.path(FOLDER).mkdir(exist_ok=True)
    for file in package.parent.iterdir():
        shutil.copy(file, host.path(FOLDER))
    host.run("apt-get install --yes -qq --no-install-recommends autopkgtest", timeout_s=300)
    # The host is as good as a container, and thrown away. What asks for no root is run without.
    host.run(
        f"cd {FOLDER} && autopkgtest --ignore-restrictions=isolation-container,breaks-testbed --user=nobody"
        f" {' '.join(f'--test-name={name}' for name in names)} *.deb *.dsc -- null",
        timeout_s=600,
    )
