"""The package as built on this machine, without installing it."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.conftest import CHECKOUT


def test_every_build_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    """reprotest's two builds, unlike in time, zone, language, umask, home and paths, without tests, are the package itself."""
    if not shutil.which("reprotest"):
        pytest.skip("reprotest is not installed: use `make test`")
    (source,) = package.parent.glob("*.dsc")
    subprocess.run(["dpkg-source", "--extract", source, tmp_path / "source"], check=True, capture_output=True)
    # These five need another machine, user or filesystem.
    without = "--vary=-user_group,-domain_host,-kernel,-num_cpus,-fileordering"
    build = "DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage --build=binary --no-sign"
    done = subprocess.run(
        ["reprotest", without, build, "../*.deb", "--", "null"],
        cwd=tmp_path / "source",
        env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert hashlib.sha256(package.read_bytes()).hexdigest() in done.stdout


def test_the_build_leaves_the_checkout_as_it_was(package: Path) -> None:
    """No file of the build is left in the checkout: what debhelper writes is nowhere under debian/."""
    assert package.is_file()
    left = {"files", "debhelper-build-stamp", ".debhelper", "heartbeatd"} & {
        path.name for path in (CHECKOUT / "debian").iterdir()
    }
    assert left == set()
    assert not (CHECKOUT / ".pybuild").exists()
    assert not list((CHECKOUT / "debian/man").glob("*.[1578]"))


def test_lintian_has_nothing_to_warn_of(package: Path) -> None:
    """lintian, told to be pedantic, finds no error and no warning in source and package."""
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed: use `make test`")
    (changes,) = package.parent.glob("*.changes")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning,pedantic,experimental", "-EvIL", "+pedantic", changes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_version_and_changelog_agree(package: Path) -> None:
    """The package, the Python package and the changelog have one version."""
    (said,) = (x for x in (CHECKOUT / "heartbeatd/__init__.py").read_text().splitlines() if x.startswith("__version__"))
    version = said.split('"')[1]
    assert (CHECKOUT / "debian/changelog").read_text().startswith(f"heartbeatd ({version}) ")
    assert package.name == f"heartbeatd_{version}_all.deb"
