"""Whether the running service meets what a newly started one would: its sandbox is that of its start.

A drop-in counts for `sandbox` as soon as systemd has read it, and for the running service after a restart only.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from heartbeatd.ctl.check.files import file_of_key
from heartbeatd.ctl.check.finding import Finding, warning
from heartbeatd.ctl.check.situation import Situation, database_of, is_read_only
from heartbeatd.files import identity


def check(situation: Situation, wrong: Collection[str]) -> Iterator[Finding]:
    """What a reload could not use, as root sees it. On the subjects that are `wrong` a restart would not help."""
    service, config = situation.service, situation.config
    if service is None or not service.running or not service.pid:
        return
    used = (
        ("storage", database_of(config).parent),
        ("secrets", file_of_key(config)),
        ("heartbeat", Path(config.heartbeat.ca_file) if config.heartbeat.ca_file else None),
    )
    for subject, path in used:
        if path is not None and subject not in wrong and meets_another(path, service.pid):
            yield needs_restart(subject, path)


def needs_restart(subject: str, path: Path) -> Finding:
    """The running service's sandbox is older than what it is to use."""
    return warning(
        subject,
        f"the running service cannot use {path}, and a newly started one can: a reload is not enough, it waits for "
        "`systemctl restart heartbeatd`",
        "`systemctl restart heartbeatd`",
    )


def meets_another(path: Path, pid: int) -> bool:
    """True if the process meets something else at `path` than we do, nothing, or a folder that only for it is read-only.

    False where that cannot be told.
    """
    real, root = os.path.realpath(path), Path(f"/proc/{pid}/root")
    here, there = identity(Path(real)), identity(Path(f"{root}{real}"))
    if here is None or identity(root) is None:
        return False
    only_read = path.is_dir() and is_read_only(Path(f"{root}{real}")) and not is_read_only(Path(real))
    return here != there or only_read
