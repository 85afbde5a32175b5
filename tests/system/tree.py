"""Base trees of Debian releases: made once by mmdebstrap, kept in a folder outside the checkout, never written to again."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SUITES = ("bookworm", "trixie")
# What every installed Debian has and the smallest of chroots lacks; nothing that heartbeatd itself should ask for.
PACKAGES = ("ca-certificates", "dbus", "systemd", "systemd-sysv", "sqlite3")
# And what heartbeatd depends on: to install the package then takes nothing but its file.
PREPARED = (*PACKAGES, "passwd", "python3-docker", "python3-psutil", "python3-requests", "python3-systemd", "tzdata")
# What a checkout of the repository may count on: nothing but make and git, on a Debian that boots.
BARE = ("dbus", "git", "make", "systemd", "systemd-sysv")
MAX_AGE_S = 7 * 24 * 3600


class Tree:
    """A read-only Debian of one suite, with `packages`. While it is open, nobody deletes it."""

    def __init__(self, suite: str, packages: Sequence[str] = PACKAGES) -> None:
        cache = Path(os.environ.get("HEARTBEATD_TEST_CACHE", "/var/cache/heartbeatd-tests"))
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{suite}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two runs do not make the same tree
            self.path = _fresh(cache, suite, packages) or _make(cache, suite, packages)
            self._folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._folder, fcntl.LOCK_SH)
            _sweep(cache, suite)

    def close(self) -> None:
        """Let go of the tree; it stays in the cache."""
        os.close(self._folder)


def _fresh(cache: Path, suite: str, packages: Sequence[str]) -> Path | None:
    """The newest tree of `suite` with these packages, unless it is too old."""
    trees = sorted(cache.glob(f"{suite}-{_recipe(packages)}-*"), key=_made_s)
    return trees[-1] if trees and _age_s(trees[-1]) < MAX_AGE_S else None


def _age_s(tree: Path) -> float:
    return time.time() - _made_s(tree)


def _made_s(tree: Path) -> float:
    return float(tree.name.rpartition("-")[2])


def _recipe(packages: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]


def _make(cache: Path, suite: str, packages: Sequence[str]) -> Path:
    tree = Path(tempfile.mkdtemp(prefix=f"making-{suite}-", dir=cache))
    try:
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(packages)}", suite, tree, "-"],
            input=sources(suite),
            text=True,
            check=True,
            timeout=900,
        )
        # As on a machine that has not booted yet: the first boot draws a machine id of its own.
        (tree / "etc/machine-id").write_text("")
        return tree.rename(cache / f"{suite}-{_recipe(packages)}-{int(time.time())}")
    except BaseException:
        shutil.rmtree(tree, ignore_errors=True)
        raise


def sources(suite: str) -> str:
    """The sources.list of `suite`, from the same mirrors as this machine's own Debian."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages", "Origin: Debian"],
        capture_output=True,
        text=True,
        check=True,
    )
    suites = {"Debian": (suite, f"{suite}-updates"), "Debian-Security": (f"{suite}-security",)}
    lines = []
    for target in dict.fromkeys(targets.stdout.splitlines()):
        uri, _, label = target.partition(" ")
        lines += [f"deb {uri} {name} main" for name in suites.get(label, ())]
    if not lines:
        raise RuntimeError("apt knows no Debian mirror: run apt-get update")
    return "\n".join(lines) + "\n"


def _sweep(cache: Path, suite: str) -> None:
    """Delete trees that are out of date, or of a recipe that is no more, and in nobody's hands."""
    recipes = {_recipe(packages) for packages in (PACKAGES, PREPARED, BARE)}
    for tree in cache.glob(f"{suite}-*-*"):
        if tree.name.split("-")[1] in recipes and _age_s(tree) < MAX_AGE_S:
            continue
        folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(tree)
        except BlockingIOError:
            pass
        finally:
            os.close(folder)
