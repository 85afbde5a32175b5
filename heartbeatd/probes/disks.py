"""The root filesystem. statvfs(3) on a dead mount never comes back, so this is asked on a thread of its own."""

from collections.abc import Mapping

import psutil


def usage(path: str = "/") -> Mapping[str, float]:
    """The percentage in use, as `df` counts it."""
    return {"disk_percent": float(psutil.disk_usage(path).percent)}
