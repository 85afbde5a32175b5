"""A stranger's first minutes: a fresh Debian, a checkout, `make`, and nothing prepared."""

import subprocess
from pathlib import Path

import pytest

from tests.system.conftest import CHECKOUT
from tests.system.host import BootedHost

INSIDE = "/root/heartbeatd"
OUTPUT = "/root/make-run.log"
# What lintian of each suite has to say beside errors and warnings: each known, and for the other suite's sake.
REMARKS = {
    # Gone in Debian 13, whose lintian takes an override of it for an error.
    "bookworm": {"I: heartbeatd: package-supports-alternative-init-but-no-init.d-script"},
    # Needed in Debian 12, whose lintian knows an older policy.
    "trixie": {"I: heartbeatd source: unused-override newer-standards-version"},
}


@pytest.fixture(scope="module")
def checkout(host: BootedHost) -> BootedHost:
    """A booted Debian with make, and with a copy of what git would commit of this checkout."""
    host.run("apt-get install --yes -qq --no-install-recommends make", timeout_s=120)
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
    return host


def test_make_run_shows_it_working_within_a_minute(checkout: BootedHost) -> None:
    """`make run` installs what is missing and prints a measured cycle within a minute; Ctrl-C ends it cleanly."""
    shell = f"cd {INSIDE} && exec make run >{OUTPUT} 2>&1"
    checkout.run(f"systemd-run --quiet --unit=make-run --setenv=HOME=/root sh -c '{shell}'")
    checkout.wait_for("a cycle", lambda: " cpu " in said(checkout), timeout_s=60)
    assert checkout.path(f"{INSIDE}/var/metrics.db").is_file()
    checkout.run("systemctl kill --signal=INT make-run")  # to make and what it started, as a terminal does
    checkout.wait_for("the end", lambda: "stopped" in said(checkout), timeout_s=5)
    assert "Traceback" not in said(checkout)


def test_make_repo_builds_and_publishes_the_package(checkout: BootedHost) -> None:
    """`make repo`, and so `make deb`, installs what it needs, leaves dist/heartbeatd_VERSION_all.deb and a key, and no litter.

    From the folder it was told to publish in, the README's commands install the package.
    """
    before = checkout.out(f"find {INSIDE} | sort")
    checkout.run(f"make -C {INSIDE} repo REPO=/srv/apt", timeout_s=600)
    new = set(checkout.out(f"find {INSIDE} | sort").splitlines()) - set(before.splitlines())
    assert any(Path(path).match("dist/heartbeatd_*_all.deb") for path in new)
    assert [path for path in new if not path.startswith((f"{INSIDE}/dist", f"{INSIDE}/var/archive-key"))] == []
    checkout.run("cp /srv/apt/heartbeatd-archive-keyring.gpg /etc/apt/keyrings/")
    checkout.run("cp /srv/apt/heartbeatd.sources /etc/apt/sources.list.d/")
    checkout.run("apt-get update && apt-get install --yes heartbeatd", timeout_s=300)


def test_lintian_of_the_same_release_has_nothing_to_warn_of(checkout: BootedHost) -> None:
    """This release's own lintian, pedantic and experimental, says no more than the one known remark."""
    checkout.run("apt-get install --yes -qq --no-install-recommends lintian", timeout_s=300)
    done = checkout.run(f"lintian --allow-root -EvIL +pedantic {INSIDE}/dist/*.changes", check=False)
    remarks = {
        line.partition(" [")[0].removesuffix(" *") for line in done.stdout.splitlines() if not line.startswith("N:")
    }
    assert remarks == REMARKS[checkout.suite]


def said(host: BootedHost) -> str:
    """What `make run` has printed."""
    output = host.path(OUTPUT)
    return output.read_text() if output.exists() else ""
