"""A filesystem of a test's own, which can be frozen. Needs root."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def own_filesystem(folder: Path) -> Iterator[Path]:
    """Where it is mounted, below `folder`."""
    image, mount = folder / "image", folder / "disk"
    mount.mkdir()
    _sh(f"truncate -s 32M {image}; mkfs.ext4 -q {image}; mount -o loop {image} {mount}")
    try:
        yield mount
    finally:
        subprocess.run(["fsfreeze", "-u", mount], capture_output=True, check=False)
        _sh(f"umount {mount} || umount -l {mount}")


@contextlib.contextmanager
def frozen(mount: Path) -> Iterator[None]:
    """Whoever writes hangs while the block lasts."""
    _sh(f"fsfreeze -f {mount}")
    try:
        yield
    finally:
        _sh(f"fsfreeze -u {mount}")


def _sh(command: str) -> None:
    subprocess.run(["sh", "-ec", command], check=True)
