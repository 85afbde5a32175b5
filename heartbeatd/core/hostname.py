"""The name this host goes by: which of its two is in force, and whether it tells this host from others.

Theory of operation. A host has a name in the kernel (gethostname(2)) and one in /etc/hostname, which the kernel is given at
boot. `hostnamectl` changes both. The service does not see the first change: ProtectHostname= gives it a copy of the kernel's
name as it was at the start (systemd.exec(5)). So the kernel's name counts, as long as neither has changed since the start;
after that the one that changed does.
"""

from dataclasses import dataclass

UNNAMED = "localhost"  # what the kernel calls a host that was given no name, to those who ask systemd
# What installers and images call a host that nobody has named.
_COMMON = frozenset(
    (
        "localhost",
        "localhost4",
        "localhost6",
        "debian",
        "raspberrypi",
        "raspbian",
        "raspberry",
        "ubuntu",
        "armbian",
        "dietpi",
        "orangepi",
        "bananapi",
        "rockpi",
        "rock64",
        "odroid",
        "beaglebone",
        "openmediavault",
        "proxmox",
        "pve",
        "truenas",
        "freenas",
        "linux",
        "host",
        "hostname",
        "computer",
        "guest",
        "container",
        "unknown",
        "none",
        "noname",
        "unnamed",
        "changeme",
        "example",
    )
)


@dataclass(frozen=True, slots=True)
class HostNames:
    """A host's two names at one moment, either of which may be missing ("")."""

    kernel: str
    file: str


def plain_name(name: str) -> str:
    """The name in the characters that `agent.hostname` allows; each other one becomes a `-`. "" if there is none.

    The kernel takes any bytes. A beat has to carry the name all the same, whatever is in it, e.g. `b\\udcffro` → `b-ro`.
    """
    name = name.strip()
    if name in ("", "(none)"):
        return ""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)


def name_in_file(text: str) -> str:
    """The name in the text of an /etc/hostname: its first line that is no comment (hostname(5)); "" if there is none."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


def name_in_force(at_start: HostNames, now: HostNames) -> str:
    """The name to go by, given the names at the start of the process and now. Never empty."""
    if now.kernel == at_start.kernel and now.file != at_start.file and plain_name(now.file):
        return plain_name(now.file)
    return plain_name(now.kernel) or plain_name(now.file) or UNNAMED


def unhelpful_name(name: str) -> bool:
    """True if many hosts are called so, or nobody has named this one, e.g. `localhost`, `raspberrypi`, `debian.lan`."""
    return not name.strip("-._") or name.lower().partition(".")[0] in _COMMON
