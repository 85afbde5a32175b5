"""How long all had to wait, from /proc/pressure: what a small machine that is short of memory or has a slow disk suffers from.

Kernels before 4.20 have none; others may have it switched off, as that of the Raspberry Pi (`psi=1` on its command line).
"""

import errno
import re
from collections.abc import Mapping
from pathlib import Path

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.probes.filesystems import read_bytes

PRESSURE = Path("/proc/pressure")
# `full`: the share of time in which no task at all could go on.
_FULL = re.compile(rb"^full avg10=[\d.]+ avg60=(\d+\.\d+) ", re.MULTILINE)


def stalls(pressure: Path = PRESSURE) -> Mapping[Series, float]:
    """The share of the last minute in percent. Raises NoData where the kernel does not count it."""
    return {Series(f"{what}_stall_percent"): _full(pressure / what) for what in ("memory", "io")}


def _full(file: Path) -> float:
    try:
        text = read_bytes(file)
    except FileNotFoundError:
        raise NoData("the kernel does not count it") from None
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise NoData("it is switched off (psi=1 on the kernel's command line turns it on)") from None
        raise ProbeError(f"{file}: {error.strerror}") from None
    found = _FULL.search(text)
    if not found:
        raise ProbeError(f"{file} has no line that begins with full")
    return float(found[1])
