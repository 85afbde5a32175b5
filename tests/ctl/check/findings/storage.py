"""The database and its folder."""

from dataclasses import replace
from pathlib import Path

from heartbeatd.ctl.check import (
    running,
    storage,
)
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.privileges import user_name
from heartbeatd.store.disk_files import ForeignLink
from tests.ctl.check.conftest import situation
from tests.ctl.check.findings.shared import ERROR, HIDING, KNOWN, OK, RESTART, WARNING, Made, Row, one

DATABASE, SRV = Path("/srv/heartbeat/metrics.db"), Path("/srv/heartbeat")
DROP_IN = "`systemctl edit heartbeatd` with the lines [Service] and ReadWritePaths={}; " + RESTART
OWN_FOLDER = 'install -d -o nobody -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"'


def kept_at(path: str, given: Situation = KNOWN) -> Made:
    """The database's folder, and the file in it."""
    return lambda: storage._findings(replace(given, config=situation(storage={"path": path}).config))


STORAGE: list[Row] = [
    (
        one(storage.not_followed(DATABASE, ForeignLink(0, "it is a symbolic link"))),
        *("storage", ERROR, f"{DATABASE}: it is a symbolic link", ""),
    ),
    (
        *(one(storage.frozen("/x/m.db")), "storage", ERROR, "the file or its filesystem did not answer within 12 s"),
        "is the filesystem frozen (fsfreeze), or its disk or server gone?",
    ),
    (
        *(one(storage.unreadable(DATABASE, "heartbeat")), "storage", ERROR, "the user heartbeat cannot read"),
        f"chown heartbeat:heartbeat {DATABASE}",
    ),
    (
        *(one(storage.unreadable(storage.STATE / "metrics.db", "heartbeat")), "storage", ERROR, "cannot read"),
        "chown -R heartbeat:heartbeat /var/lib/heartbeat",
    ),
    (
        one(storage.in_use(DATABASE, 7)),
        *("storage", ERROR, f"another heartbeatd (pid 7) has {DATABASE}: the service is refused while that one runs"),
        "stop that one, or name another storage.path",
    ),
    (
        one(storage.out_of_reach(Path("/x/y"), Path("/x"), "nobody")),
        *("storage", ERROR, "the user nobody cannot get to /x/y: it may not enter /x", OWN_FOLDER),
    ),
    (
        one(storage.unwritable(Path("/srv"), "nobody")),
        *("storage", ERROR, "the user nobody cannot write in /srv", OWN_FOLDER),
    ),
    (
        *(one(storage.unwritable(SRV, "heartbeat")), "storage", ERROR, "the user heartbeat cannot write in"),
        f"install -d -o heartbeat -g heartbeat -m 750 {SRV}, and {DROP_IN.format(SRV)}",
    ),
    (
        one(storage.mounted_read_only(Path("/"), KNOWN, "nobody")),
        *("storage", ERROR, "the filesystem of / is mounted read-only", "mount it to be written to"),
    ),
    (
        one(storage.read_only_in_sandbox(SRV, "heartbeat", is_ours=True)),
        *("storage", ERROR, "is read-only for the service: ReadWritePaths= of its unit does not name it"),
        DROP_IN.format(SRV),
    ),
    (
        one(storage.read_only_in_sandbox(Path("/srv"), "nobody", is_ours=False)),
        *("storage", ERROR, "/srv is read-only for the service", OWN_FOLDER),
    ),
    (
        *(kept_at("/tmp/none/m.db", replace(HIDING, sandboxed=True)), "storage", ERROR),
        "the service has another /tmp/none than others: PrivateTmp=yes in its unit",
        f'install -d -o {user_name()} -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"',
    ),
    (
        *(kept_at("/nonexistent/m.db"), "storage", ERROR, "there is no folder /nonexistent"),
        f"install -d -o {user_name()} -m 750 /nonexistent",
    ),
    (
        *(kept_at(f"{__file__}/m.db"), "storage", ERROR, "is not a folder"),
        f'install -d -o {user_name()} -m 750 /srv/heartbeat, storage.path = "/srv/heartbeat/metrics.db"',
    ),
    (kept_at(str(storage.STATE / "m.db")), "storage", OK, "systemd makes it at the first start", ""),
    (kept_at(f"{__file__}.db"), "storage", OK, ".db will be created", ""),
    (
        one(storage.usable(DATABASE, {"metrics"}, writable=True)),
        *("storage", OK, "is the earlier agent's; it will be taken over, every row kept", ""),
    ),
    (
        one(storage.usable(DATABASE, {"metrics", "alert_state"}, writable=False)),
        *("storage", OK, "belongs to somebody else; the agent will go on with a copy of its own in its place", ""),
    ),
    (one(storage.usable(DATABASE, (), writable=True)), "storage", OK, f"{DATABASE} can be used", ""),
    (
        one(running.needs_restart("storage", SRV)),
        *("storage", WARNING, f"the running service cannot use {SRV}, and a newly started one can", RESTART),
    ),
]
