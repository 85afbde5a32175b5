"""Debian packages on the host: how much each adds to it, their installation, their versions."""

from collections.abc import Iterable
from pathlib import Path

from tests.bench.stage import copy_in
from tests.system.host import BootedHost

_INSTALL = "apt-get install --yes --no-install-recommends"


def offer(host: BootedHost, deb: Path) -> str:
    """Bring a package onto the host; the word by which apt-get installs it."""
    there = f"/srv/{deb.name}"
    copy_in(host, deb, there)
    return there


def added_mib(host: BootedHost, words: Iterable[str]) -> float:
    """What apt-get would add to the host as it is now, dependencies with it, by their Installed-Size."""
    said = host.out(f"{_INSTALL} --simulate {' '.join(words)}", timeout_s=120)
    names, files = [], [word for word in words if word.startswith("/")]
    for line in said.splitlines():
        if line.startswith("Inst ") and not line.split()[2].startswith("["):  # [the version that is there already]
            names.append(line.split()[1])
    own = {Path(file).name.partition("_")[0] for file in files}
    ask = [f"dpkg-deb --field {file} Installed-Size" for file in files]
    if known := [name for name in names if name not in own]:
        show = f"apt-cache show --no-all-versions {' '.join(known)}"
        ask.append(f"{show} | sed -n 's/^Installed-Size: //p'")
    return sum(int(kib) for kib in host.out("; ".join(ask)).split()) / 1024 if ask else 0.0


def install(host: BootedHost, words: Iterable[str]) -> None:
    """Install packages, by name or file."""
    host.run(f"{_INSTALL} {' '.join(words)}", timeout_s=600)


def versions(host: BootedHost, names: Iterable[str]) -> dict[str, str]:
    """The installed version of each package that is installed."""
    said = host.out("dpkg-query --show --showformat='${Package} ${Version}\\n'")
    found = dict(line.split() for line in said.splitlines() if len(line.split()) == 2)
    return {name: found[name] for name in names if name in found}
