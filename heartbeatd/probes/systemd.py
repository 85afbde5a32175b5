"""What systemd says of a unit: systemctl(1) as a child, which is asked seldom, and needs no right but to talk to D-Bus."""

import os
import subprocess
from collections.abc import Sequence

from heartbeatd.cancel import CancelToken

MOST_BYTES = 64 * 1024


class NotAsked(Exception):
    """systemd could not be asked; the text says why, in words for the log."""


def failed(timeout_s: float, cancel: CancelToken) -> list[str]:
    """The names of the units that have failed. Raises NotAsked, or Cancelled."""
    listed = _systemctl(["list-units", "--state=failed", "--plain", "--no-legend", "--full"], timeout_s, cancel)
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def show_each(
    units: Sequence[str], properties: Sequence[str], timeout_s: float, cancel: CancelToken
) -> list[dict[str, str]]:
    """These properties of each of the units. Raises NotAsked, or Cancelled."""
    shown = _systemctl(["show", f"--property={','.join(properties)}", "--", *units], timeout_s, cancel)
    return [_properties(part) for part in shown.split("\n\n")]


def show(unit: str, properties: Sequence[str], timeout_s: float, cancel: CancelToken) -> dict[str, str]:
    """These properties of the unit, by name. Raises NotAsked, or Cancelled."""
    (found,) = show_each((unit,), properties, timeout_s, cancel)
    return found


def _properties(shown: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in shown.splitlines() if "=" in line)


def _systemctl(words: Sequence[str], timeout_s: float, cancel: CancelToken) -> str:
    """What it prints, at most `MOST_BYTES` of it. It is ended at the deadline, or when the token is cancelled."""
    deadline_ns = cancel.deadline(timeout_s)
    try:
        child = subprocess.Popen(
            ["systemctl", "--no-ask-password", "--no-pager", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except OSError as error:
        raise NotAsked(f"systemctl: {error.strerror}") from None
    with child:
        try:
            assert child.stdout is not None
            said = _read(child.stdout.fileno(), deadline_ns, cancel).decode(errors="replace")
        finally:
            child.kill()
    if child.returncode > 0:
        raise NotAsked(said.strip().partition("\n")[0][:200] or f"systemctl ended with status {child.returncode}")
    return said


def _read(descriptor: int, deadline_ns: int, cancel: CancelToken) -> bytes:
    """All of it."""
    said = b""
    while True:
        if not cancel.select((descriptor,), (), deadline_ns):
            raise NotAsked("systemd does not answer in time")
        more = os.read(descriptor, MOST_BYTES)
        said += more
        if not more:
            return said
        if len(said) > MOST_BYTES:
            raise NotAsked("systemctl says too much")
