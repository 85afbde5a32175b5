"""What the comparison happens on: a booted throw-away Debian with ten containers, a Worker behind TLS, a disk of its own."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.tls import TlsReceiver
from tests.support import certificates
from tests.support.agent import CHECKOUT
from tests.support.certificates import Authority
from tests.support.engine import Engine, own_engine
from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.host import BootedHost

CONTAINERS = 10
CA_FILE = "/etc/heartbeat/ca.pem"
_SOCKET = "/run/docker.sock"
_DISK_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Disk:
    """An ext4 of its own on a loop device, with nothing on it but heartbeatd's database."""

    mount: Path
    device: str  # loop3

    def written_bytes(self) -> int:
        """What has reached the device so far (Documentation/block/stat.rst: field 7, sectors of 512 bytes)."""
        return int(Path(f"/sys/block/{self.device}/stat").read_text().split()[6]) * 512


@dataclass(frozen=True, slots=True)
class Stage:
    """The host, and what its agents talk to."""

    host: BootedHost
    worker: TlsReceiver
    plain: Receiver  # webhook and internet check
    authority: Authority
    disk: Disk

    @property
    def check_port(self) -> int:
        """The plain receiver's port."""
        return int(self.plain.url("").rpartition(":")[2])

    def toml(self, interval_s: int) -> str:
        """A configuration with every step of a cycle on."""
        return configuration(self.worker, self.plain, CA_FILE, interval_s)

    def group(self, unit: str) -> Path:
        """The control group of a unit that runs."""
        group = self.host.out(f"systemctl show --property=ControlGroup --value {unit}")
        return self.host.path(f"/sys/fs/cgroup{group}")


def configuration(
    worker: Receiver, plain: Receiver, ca_file: Path | str, interval_s: int, *, containers: bool = True
) -> str:
    """A configuration with every step of a cycle on; containers are counted where there is an engine, or not at all."""
    socket = "" if containers else 'socket = ""\n'
    longest = "timeout_seconds = 0.3\n" if interval_s == 1 else ""
    return (
        f'[agent]\ninterval_seconds = {interval_s}\n[heartbeat]\nurl = "{worker.url(WORKER)}"\nsecret_key = "k"\n'
        f'ca_file = "{ca_file}"\n{longest}[internet]\nurl = "{plain.url("/")}"\n{longest}'
        f'[alerts]\nwebhook_url = "{plain.url(WEBHOOK)}"\n[docker]\n{longest}{socket}'
    )


@contextlib.contextmanager
def temporary_worker(interval_s: int, *, containers: bool = True) -> Iterator[str]:
    """A Worker behind TLS, a webhook and a check, as long as the `with` block runs: the configuration that uses them."""
    with tempfile.TemporaryDirectory() as folder:
        authority = certificates.make(Path(folder))
        with TlsReceiver(authority.server("worker")) as worker, Receiver() as plain:
            yield configuration(worker, plain, authority.file, interval_s, containers=containers)


def say(text: str) -> None:
    """One line of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def staged(suite: str) -> Iterator[Stage]:
    """All of it, as long as the `with` block runs. Nothing is installed yet."""
    with tempfile.TemporaryDirectory(prefix="hb-bench-") as temporary, contextlib.ExitStack() as open_now:
        folder = Path(temporary)
        say(f"starting a Docker engine with {CONTAINERS} containers")
        engine = open_now.enter_context(_containers())
        authority = certificates.make(folder)
        worker = open_now.enter_context(TlsReceiver(authority.server("worker")))
        plain = open_now.enter_context(Receiver())
        disk = open_now.enter_context(_disk(folder))
        say(f"booting a Debian {suite}")
        binds = [f"{engine.socket}:{_SOCKET}", f"{disk.mount}:/var/lib/heartbeat"]
        host = open_now.enter_context(BootedHost(suite, binds))
        yield Stage(host, worker, plain, authority, disk)


@contextlib.contextmanager
def _containers() -> Iterator[Engine]:
    with own_engine() as engine:
        try:
            for _ in range(CONTAINERS):
                # Not `run_container`, whose containers end after ten minutes.
                engine.docker("run", "--detach", "--network=none", "busybox:test", "/busybox", "sleep", "86400")
            yield engine
        except KeyboardInterrupt:
            # Ctrl-C has reached the engine, too: started again, it can take its containers away.
            engine.stop()
            engine.start()
            raise


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Disk]:
    image, mount = folder / "image", folder / "disk"
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    mount.mkdir()
    # Nothing left for the kernel to initialize later, which would be counted.
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    _run("mount", "-o", "loop", str(image), str(mount))
    try:
        device = _run("findmnt", "--noheadings", "--output=SOURCE", str(mount)).strip()
        yield Disk(mount, Path(device).name)
    finally:
        _run("umount", "--lazy", str(mount))


def build_package(folder: Path) -> Path:
    """Build the package from this checkout; the .deb, in `folder`."""
    environment = {**os.environ, "DEB_BUILD_OPTIONS": "nocheck", "DEB_BUILD_PROFILES": "nocheck"}
    done = subprocess.run(
        [CHECKOUT / "tests/build-deb", folder], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the package cannot be built:\n{done.stdout}{done.stderr}")
    (deb,) = folder.glob("*.deb")
    return deb


def compile_floor(into: Path) -> Path:
    """Compile the C loop; its path."""
    program = into / "floor"
    _run("gcc", "-O2", "-o", str(program), str(CHECKOUT / "tests/bench/floor.c"), "-lsqlite3")
    return program


def copy_in(host: BootedHost, file: Path, to: str) -> None:
    """Copy a file onto the host, readable by all."""
    there = host.path(to)
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, there)
    there.chmod(0o755)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
