"""A filesystem of a test's own, which can be frozen (needs root), and what another process than the test's does to files."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


def sh(command: str) -> None:
    """By another process: one that opened and closed the database in this one would take our locks on it away."""
    subprocess.run(["sh", "-ec", command], check=True)


@contextlib.contextmanager
def own_filesystem(folder: Path) -> Iterator[Path]:
    """Where it is mounted, below `folder`."""
    image, mount = folder / "image", folder / "disk"
    mount.mkdir()
    sh(f"truncate -s 32M {image}; mkfs.ext4 -q {image}; mount -o loop {image} {mount}")
    try:
        yield mount
    finally:
        subprocess.run(["fsfreeze", "-u", mount], capture_output=True, check=False)
        sh(f"umount {mount} || umount -l {mount}")


@contextlib.contextmanager
def frozen(mount: Path) -> Iterator[None]:
    """Whoever writes hangs while the block lasts."""
    sh(f"fsfreeze -f {mount}")
    try:
        yield
    finally:
        sh(f"fsfreeze -u {mount}")
