"""Fixtures of the system tests: the package as `make deb` builds it, and booted Debians to install it on."""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.host import BootedHost
from tests.system.repository import Repository
from tests.system.tree import PREPARED, SUITES

# A second between cycles; nothing sent, and nothing asked of anybody outside (nobody listens on the discard port).
MEASURE_ONLY = '[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n[internet]\nurl = "http://127.0.0.1:9/"\n'
# Made by the agent when its first cycle is over, and gone, with its folder, when the agent is.
WATCHING = "/run/heartbeatd/watching"
COPY = "/var/cache/heartbeat-notify/config.toml"  # of the configuration, as the notifier has kept it
Once = Callable[[str], AbstractContextManager[Path]]
CHECKOUT = Path(__file__).resolve().parents[2]


def pytest_configure() -> None:
    """Have SIGTERM end the tests as Ctrl-C does: every host is powered off and unmounted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Folders that all workers of this run share, by name; each is one worker's at a time."""
    top = tmp_path_factory.getbasetemp()
    top = top.parent if hasattr(request.config, "workerinput") else top

    @contextmanager
    def folder(name: str) -> Iterator[Path]:
        shared = top / f"once-{name}"
        shared.mkdir(exist_ok=True)
        with (top / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield shared

    return folder


@pytest.fixture(scope="session")
def package(once: Once) -> Path:
    """The package, built from this checkout as it is now; tests.system.test_checkout runs the tests of the build."""
    with once("package") as folder:
        return next(folder.glob("*.deb"), None) or build(folder)


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest) -> Iterator[BootedHost]:
    """A freshly booted Debian, one for all tests of a module, which run in the order they are written in."""
    if os.geteuid() != 0:
        pytest.skip("booting a Debian needs root")
    with BootedHost(request.param) as booted:
        booted.run("apt-get update -qq", timeout_s=180)
        yield booted


@pytest.fixture(scope="module", params=SUITES)
def installed(request: pytest.FixtureRequest, package: Path) -> Iterator[BootedHost]:
    """The same with the package installed, as a user would: not enabled, not started. apt knows no other packages."""
    if os.geteuid() != 0:
        pytest.skip("booting a Debian needs root")
    with BootedHost(request.param, packages=PREPARED) as booted:
        install(booted, package)
        yield booted


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """An apt repository, served on loopback, with nothing in it yet."""
    with Repository(tmp_path) as served:
        yield served


def build(into: Path) -> Path:
    """Build the package into a folder, without running its tests; the path of the .deb."""
    if not shutil.which("dpkg-buildpackage"):
        pytest.skip("dpkg-buildpackage is not installed: use `make test`")
    done = subprocess.run(
        [CHECKOUT / "tests/build-deb", into],
        env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (deb,) = into.glob("*.deb")
    return deb


def install(host: BootedHost, deb: Path) -> str:
    """`apt-get install ./….deb` on the host; what apt said."""
    host.path("/srv").mkdir(exist_ok=True)
    shutil.copy(deb, host.path("/srv"))
    return host.out(f"apt-get install --yes /srv/{deb.name}", timeout_s=300)


def repacked(package: Path, folder: Path, version: str, *, config: str | None = None) -> Path:
    """The same package under a later version; with another config.toml, if that is given."""
    tree, new = folder / version, folder / f"heartbeatd_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    old = f"Version: {package.name.split('_')[1]}\n"
    control.write_text(control.read_text().replace(old, f"Version: {version}\n"))
    if config is not None:
        (tree / "etc/heartbeat/config.toml").write_text(config)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, new], check=True, stdout=subprocess.DEVNULL)
    return new


def configure(host: BootedHost, toml: str) -> None:
    """Write the configuration as an administrator's editor does: into the file that is there, mode and owner kept."""
    host.path("/etc/heartbeat/config.toml").write_text(toml)


def reporting(receiver: Receiver, key: str, query: str = "") -> str:
    """A configuration that reports to `receiver` every second, and gives everybody longer than a busy machine takes."""
    return (
        '[agent]\ninterval_seconds = 1\nhostname = "host-under-test"\n'
        f'[heartbeat]\nurl = "{receiver.url(WORKER)}{query}"\nsecret_key = "{key}"\ntimeout_seconds = 5\n'
        f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n'
        f'[internet]\nurl = "{receiver.url("/")}"\ntimeout_seconds = 5\n'
        "[docker]\ntimeout_seconds = 5\n"
    )


def wait_active(host: BootedHost) -> None:
    """Wait until the service is up."""
    host.wait_for("heartbeatd is active", lambda: state(host, "ActiveState") == "active")


def wait_cycle(host: BootedHost) -> None:
    """Wait until the agent that was started last has finished a cycle: its row is stored, and it is ready."""
    host.wait_for("a cycle", lambda: os.path.lexists(host.path(WATCHING)))


def wait_copied(host: BootedHost) -> None:
    """Wait until the notifier has kept a copy of the configuration, as it does once the agent has started with it."""
    good = host.path("/etc/heartbeat/config.toml").read_text()
    host.wait_for("the copy", lambda: host.path(COPY).exists() and host.path(COPY).read_text() == good)


def state(host: BootedHost, name: str) -> str:
    """A property of the service, as systemd tells it."""
    return host.out(f"systemctl show --property={name} --value heartbeatd.service")


def exposure(host: BootedHost, unit: str = "heartbeatd.service") -> float:
    """A unit's overall exposure level by systemd-analyze(1), 0 best, 10 worst."""
    (line,) = [x for x in host.out(f"systemd-analyze security {unit}").splitlines() if "Overall exposure" in x]
    return float(line.split(": ")[1].split()[0])
