"""The signed apt repository of `make repo`: publishing in it, and hosts that install and upgrade from it."""

import gzip
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.support.receiver import WORKER, Receiver
from tests.system.conftest import configure, repacked, reporting, state
from tests.system.host import BootedHost
from tests.system.repository import Repository

KEYRING = "heartbeatd-archive-keyring.gpg"
SOURCES = "heartbeatd.sources"


@pytest.fixture(scope="module")
def offered(host: BootedHost, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository with the package in it, added to a booted Debian as the README says."""
    with Repository(tmp_path_factory.mktemp("offered")) as served:
        served.publish(package)
        shutil.copy(served.path / KEYRING, host.path("/etc/apt/keyrings"))
        shutil.copy(served.path / SOURCES, host.path("/etc/apt/sources.list.d"))
        yield served


def test_a_published_version_does_not_change(repository: Repository, package: Path, tmp_path: Path) -> None:
    """Publishing the same package again changes nothing; another one under the same version is refused, in plain words."""
    repository.publish(package)
    index = repository.path / "dists/stable/main/binary-amd64/Packages"
    published = index.read_bytes()
    assert "as it has already" in repository.publish(package)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / package.name
    other.write_bytes(package.read_bytes() + b"\n")
    assert "published already, with other contents" in repository.publish(other, check=False)
    assert index.read_bytes() == published


def test_an_old_index_is_not_believed_for_ever(repository: Repository, package: Path) -> None:
    """What is served over a network is valid for 180 days from the last `make repo`; a folder is, as long as it is there."""

    def lines() -> dict[str, str]:
        text = (repository.path / "dists/stable/InRelease").read_text()
        return dict(line.partition(": ")[::2] for line in text.splitlines())

    assert "within that time" in repository.publish(package)
    valid = parsedate_to_datetime(lines()["Valid-Until"]) - parsedate_to_datetime(lines()["Date"])
    assert valid == timedelta(days=180)
    before = lines()["Date"]
    time.sleep(1.1)  # the dates have whole seconds
    repository.publish(package)
    assert parsedate_to_datetime(lines()["Date"]) > parsedate_to_datetime(before)
    repository.publish(package, REPO_URL="")
    assert "Valid-Until" not in lines()


def test_it_is_for_every_architecture(repository: Repository, package: Path) -> None:
    """The package is for all, so a 32-bit Raspberry Pi finds it, too."""
    repository.publish(package)
    for architecture in ("amd64", "arm64", "armhf", "armel", "i386", "riscv64"):
        index = repository.path / f"dists/stable/main/binary-{architecture}/Packages"
        assert "Package: heartbeatd\n" in index.read_text()


def test_the_key_is_kept_apart(repository: Repository, package: Path, tmp_path: Path) -> None:
    """The key made for it is its owner's alone, never where it would be served, and not made anew; ~/.gnupg stays as it is."""
    (tmp_path / "home").mkdir()
    repository.publish(package, HOME=str(tmp_path / "home"))
    assert list((tmp_path / "home").iterdir()) == []
    assert repository.key_home.stat().st_mode & 0o777 == 0o700
    inside = repository.path / "key"
    assert "would be served" in repository.publish(package, check=False, REPO_KEY_HOME=str(inside))
    assert not inside.exists()
    shutil.rmtree(repository.key_home)
    assert "put it back" in repository.publish(package, check=False)


def test_a_key_of_ones_own(repository: Repository, package: Path, tmp_path: Path) -> None:
    """With REPO_KEY the repository is signed by that key of the user's keyring, and none is made; an unknown one is refused."""
    home = tmp_path / "own"
    home.mkdir(mode=0o700)
    environment = {**os.environ, "GNUPGHOME": str(home)}

    def gpg(*words: str) -> str:
        command = ["gpg", "--batch", "--quiet", *words]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout

    try:
        gpg("--passphrase", "", "--quick-generate-key", "releases@example.org", "ed25519", "sign", "never")
        repository.publish(package, REPO_KEY="releases@example.org", GNUPGHOME=str(home))
        said = repository.publish(package, check=False, REPO_KEY="nobody", GNUPGHOME=str(home))
        assert "there is no secret key nobody" in said
        assert "releases@example.org" in gpg("--show-keys", str(repository.path / KEYRING))
        gpg("--verify", str(repository.path / "dists/stable/InRelease"))
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)
    assert not repository.key_home.exists()


def test_a_host_installs_from_it(host: BootedHost, offered: Repository, package: Path) -> None:
    """With keyring and sources in place apt updates without a remark, and installs the package that was published."""
    updated = host.run("apt-get update", timeout_s=180)
    assert updated.stderr == ""
    host.run("apt-get install --yes heartbeatd", timeout_s=300)
    assert f"{offered.url} stable/main" in host.out("apt-cache policy heartbeatd")
    assert version(host) == package.name.split("_")[1]


def test_a_running_host_upgrades_from_it(
    host: BootedHost, offered: Repository, package: Path, tmp_path: Path, receiver: Receiver
) -> None:
    """A version published later comes with `apt-get upgrade`, under the running service, which goes on beating."""
    configure(host, reporting(receiver, "k"))
    host.run("systemctl enable --now heartbeatd")
    host.wait_for("heartbeats", lambda: len(receiver.received(WORKER)) >= 2)
    pid = state(host, "MainPID")
    offered.publish(repacked(package, tmp_path, "9.0.0"))
    host.run("apt-get update && apt-get upgrade --yes", timeout_s=300)
    assert version(host) == "9.0.0"
    assert state(host, "ActiveState") == "active"
    assert state(host, "MainPID") != pid
    beats = len(receiver.received(WORKER))
    host.wait_for("more heartbeats", lambda: len(receiver.received(WORKER)) > beats + 1)


def test_apt_refuses_what_was_tampered_with(
    host: BootedHost, offered: Repository, package: Path, tmp_path: Path
) -> None:
    """A changed Packages file is refused; so is one whose checksums were changed to fit, as the signature does not."""
    offered.publish(repacked(package, tmp_path, "9.0.1"))
    signed = offered.path / "dists/stable/InRelease"
    text = signed.read_text()
    for index in offered.path.glob("dists/stable/main/*/Packages"):
        genuine = index.read_bytes()
        forged = genuine.replace(b"Version: 9.0.1", b"Version: 9.6.6")
        for file, was, now in (
            (index, genuine, forged),
            (Path(f"{index}.gz"), Path(f"{index}.gz").read_bytes(), gzip.compress(forged, mtime=0)),
        ):
            file.write_bytes(now)
            for algorithm in ("md5", "sha1", "sha256"):
                text = text.replace(
                    f"{hashlib.new(algorithm, was).hexdigest()} {len(was)} ",
                    f"{hashlib.new(algorithm, now).hexdigest()} {len(now)} ",
                )
    refused = host.run("apt-get update", timeout_s=180, check=False)
    assert refused.returncode == 100
    assert "Hash Sum mismatch" in refused.stderr or "unexpected size" in refused.stderr
    assert "9.6.6" not in host.out("apt-cache policy heartbeatd")
    assert text != signed.read_text()
    signed.write_text(text)
    refused = host.run("apt-get update", timeout_s=180, check=False)
    assert "signature" in refused.stderr
    assert "9.6.6" not in host.out("apt-cache policy heartbeatd")


def version(host: BootedHost) -> str:
    """Which version is installed."""
    return host.out("dpkg-query --show --showformat='${Version}' heartbeatd")
