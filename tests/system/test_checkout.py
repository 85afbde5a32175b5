"""A stranger's first minutes: a bare Debian, a checkout, `make` and git, and nothing prepared."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import CHECKOUT
from tests.system.host import BootedHost
from tests.system.tree import BARE, SUITES

INSIDE = "/root/heartbeatd"
OUTPUT = "/root/make-run.log"
# What lintian of each suite has to say beside errors and warnings: each known, and for the other suite's sake.
REMARKS = {
    # Gone in Debian 13, whose lintian takes an override of it for an error.
    "bookworm": {"I: heartbeatd: package-supports-alternative-init-but-no-init.d-script"},
    # Needed in Debian 12, whose lintian knows an older policy.
    "trixie": {"I: heartbeatd source: unused-override newer-standards-version"},
}


@pytest.fixture(scope="module", params=SUITES)
def checkout(request: pytest.FixtureRequest) -> Iterator[BootedHost]:
    """A booted Debian with make and git and nothing else, and with a copy of what git would commit of this checkout."""
    if os.geteuid() != 0:
        pytest.skip("booting a Debian needs root")
    with BootedHost(request.param, packages=BARE) as host:
        host.run("apt-get update -qq", timeout_s=180)
        _copy_checkout(host)
        yield host


def _copy_checkout(host: BootedHost) -> None:
    host.path(INSIDE).mkdir()
    git = ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT)]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
    )
    files = b"\0".join(name for name in listed.stdout.split(b"\0") if name and (CHECKOUT / name.decode()).exists())
    tar = subprocess.run(
        ["tar", "-C", CHECKOUT, "--null", "--files-from=-", "-c"], input=files, capture_output=True, check=True
    )
    subprocess.run(["tar", "-C", host.path(INSIDE), "--no-same-owner", "-x"], input=tar.stdout, check=True)


def test_make_run_shows_it_working_within_a_minute(checkout: BootedHost) -> None:
    """`make run` installs what is missing and prints a measured cycle within a minute; Ctrl-C ends it cleanly."""
    shell = f"cd {INSIDE} && exec make run >{OUTPUT} 2>&1"
    checkout.run(f"systemd-run --quiet --unit=make-run --setenv=HOME=/root sh -c '{shell}'")
    checkout.wait_for("a cycle", lambda: " cpu " in console(checkout))
    assert checkout.path(f"{INSIDE}/var/metrics.db").is_file()
    told = checkout.out(f"cd {INSIDE} && python3 -m heartbeatd.ctl status --config var/config.toml")
    assert "heartbeatd.service does not run, and this is not its configuration" in told
    assert re.search(r"^last cycle +\d+ s ago, ", told, re.MULTILINE)
    assert checkout.out(f"find {INSIDE}/var -perm /077") == ""
    checkout.run("systemctl kill --signal=INT make-run")  # to make and what it started, as a terminal does
    checkout.wait_for("the end", lambda: "stopped" in console(checkout))
    assert "Traceback" not in console(checkout)


def test_make_repo_builds_and_publishes_the_package(checkout: BootedHost) -> None:
    """`make repo`, and so `make deb`, installs what it needs, leaves dist/heartbeatd_VERSION_all.deb and a key, and no litter.

    From the folder it was told to publish in, the README's commands install the package.
    """
    before = checkout.out(f"find {INSIDE} | sort")
    said = checkout.run(f"make -C {INSIDE} repo REPO=/srv/apt", timeout_s=600).stdout
    assert "building heartbeatd" in said
    assert "tests 100%" in said
    new = set(checkout.out(f"find {INSIDE} | sort").splitlines()) - set(before.splitlines())
    assert any(Path(path).match("dist/heartbeatd_*_all.deb") for path in new)
    assert [path for path in new if not path.startswith((f"{INSIDE}/dist", f"{INSIDE}/var/archive-key"))] == []
    checkout.run("cp /srv/apt/heartbeatd-archive-keyring.gpg /etc/apt/keyrings/")
    checkout.run("cp /srv/apt/heartbeatd.sources /etc/apt/sources.list.d/")
    checkout.run("apt-get update && apt-get install --yes heartbeatd", timeout_s=300)


def test_make_install_installs_what_is_built(checkout: BootedHost) -> None:
    """After `make repo` the package is there, so `make install` and a second `make repo` do not build it again."""
    checkout.run("apt-get purge --yes heartbeatd")
    built = checkout.out(f"stat --format=%y {INSIDE}/dist/heartbeatd_*_all.deb")
    said = checkout.run(f"make -C {INSIDE} install && make -C {INSIDE} repo REPO=/srv/apt", timeout_s=300).stdout
    assert "building heartbeatd" not in said
    assert checkout.out(f"stat --format=%y {INSIDE}/dist/heartbeatd_*_all.deb") == built
    assert checkout.out("heartbeatctl --version").startswith("heartbeatctl ")


def test_a_new_version_is_one_command(checkout: BootedHost) -> None:
    """`make version` sets it in the changelog and in the code; a package in which the two differ is not built."""
    checkout.run(f"cp -a {INSIDE} /srv/next && make -C /srv/next version VERSION=9.1.0")
    assert checkout.out("head -n 1 /srv/next/debian/changelog") == "heartbeatd (9.1.0) unstable; urgency=medium"
    assert checkout.out("dpkg-parsechangelog -l /srv/next/debian/changelog -S Changes").count("heartbeatd (") == 1
    assert checkout.out("cd /srv/next && python3 -m heartbeatd --version") == "heartbeatd 9.1.0"
    for refused in ("9.1.0", "8.0", "nine", "9.2.0-1"):
        assert checkout.run(f"make -C /srv/next version VERSION={refused}", check=False).returncode != 0
    checkout.run("""sed -i 's/"9.1.0"/"9.0.0"/' /srv/next/heartbeatd/__init__.py""")
    done = checkout.run("DEB_BUILD_OPTIONS=nocheck make -C /srv/next deb", check=False, timeout_s=300)
    assert done.returncode != 0
    assert (
        "heartbeatd/__init__.py says 9.0.0, debian/changelog 9.1.0: run make version VERSION="
        in done.stdout + done.stderr
    )


def test_lintian_of_the_same_release_has_nothing_to_warn_of(checkout: BootedHost) -> None:
    """This release's own lintian, pedantic and experimental, says no more than the one known remark."""
    checkout.run("apt-get install --yes -qq --no-install-recommends lintian", timeout_s=300)
    done = checkout.run(f"lintian --allow-root -EvIL +pedantic {INSIDE}/dist/*.changes", check=False, timeout_s=600)
    remarks = {
        line.partition(" [")[0].removesuffix(" *") for line in done.stdout.splitlines() if not line.startswith("N:")
    }
    assert remarks == REMARKS[checkout.suite]


def console(host: BootedHost) -> str:
    """What `make run` has printed."""
    output = host.path(OUTPUT)
    return output.read_text() if output.exists() else ""


@pytest.mark.release
def test_make_test_by_somebody_with_sudo(checkout: BootedHost) -> None:
    """Without root `make test` installs what is missing by sudo, passes, and names at the end what needs root."""
    checkout.run("apt-get install --yes -qq --no-install-recommends passwd sudo", timeout_s=300)
    checkout.run("useradd --create-home dev && echo 'dev ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/dev")
    checkout.run(f"cp -a {INSIDE} /home/dev/heartbeatd && chown -R dev: /home/dev/heartbeatd")
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    if certificates := pip.get("PIP_CERT"):  # of a machine that reaches the package index through a proxy
        shutil.copy(certificates, checkout.path("/home/dev/proxy.pem"))
        pip["PIP_CERT"] = "/home/dev/proxy.pem"
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in pip.items())
    command = f"cd heartbeatd && export {settings} LANG=C.UTF-8; make test"
    done = checkout.run(f"su --login dev --command {shlex.quote(command)}", timeout_s=3000, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "SKIPPED, AND SO NOT CHECKED" in done.stdout
