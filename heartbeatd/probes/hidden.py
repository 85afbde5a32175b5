"""How full the filesystems are that the agent's sandbox hides: /home, if it is one of its own, and what is mounted below it.

heartbeatd-filesystems@.service sees them, and answers each line with its table of mounts and what df(1) says of them. The
connection is kept while there are any; else it is asked again after six hours.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.probes.filesystems import MOUNTINFO, MountTable, Watched, counts_inodes, percentages, state
from heartbeatd.probes.mounts import Mount, local, parse

SOCKET = Path("/run/heartbeatd-filesystems.sock")
HIDDEN = ("/home/", "/root/")  # systemd.exec(5), ProtectHome=
END = b"."
LARGEST_BYTES = 4 << 20
PAUSE_READINGS = 360
_NONE = "no filesystem of its own is hidden from the agent"


class HiddenFilesystems:
    """Reads them from who is at the end of `helper`."""

    def __init__(self, helper: Path = SOCKET, mountinfo: Path = MOUNTINFO) -> None:
        self._helper, self._watched = helper, Watched()
        self._table, self._own = MountTable(mountinfo), MountTable(mountinfo)  # one for each thread
        self._connection: socket.socket | None = None
        self._pause = 0

    def __del__(self) -> None:
        self._hang_up()

    def require(self) -> None:
        """Raises NoData if nobody has to be asked: nothing is hidden here, or there was none a while ago."""
        if not any(f"{mount.point}/" in HIDDEN and mount.kind == "tmpfs" for mount in self._own.all()):
            raise NoData("nothing is hidden from the agent")
        if self._pause:
            self._pause -= 1
            raise NoData(_NONE)

    def read(self) -> Mapping[Series, float]:
        """Waits for as long as it takes. Raises NoData if there is none, ProbeError if the helper does not say."""
        mounts, df = self._ask()
        hidden = [mount for mount in parse(mounts) if f"{mount.point}/".startswith(HIDDEN)]
        found = self._watched.those_of([mount for mount in local([*self._table.all(), *hidden]) if mount in hidden])
        if found:
            return _usage(found, df)
        self._hang_up()
        self._pause = PAUSE_READINGS - 1
        raise NoData(_NONE)

    def _ask(self) -> tuple[bytes, bytes]:
        """The table of mounts, and what df says."""
        if self._connection is not None:
            with suppress(OSError):  # the helper was ended; another is started
                return _exchange(self._connection)
            self._hang_up()
        try:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._connection.connect(str(self._helper))
            return _exchange(self._connection)
        except FileNotFoundError:
            self._hang_up()
            raise NoData(f"there is no {self._helper} to ask") from None
        except OSError as error:
            self._hang_up()
            raise ProbeError(f"{self._helper}: {error.strerror or error}") from None

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _exchange(connection: socket.socket) -> tuple[bytes, bytes]:
    """Raises OSError if it is not answered whole."""
    connection.sendall(b"\n")
    answer, lines = b"", [b""]
    while lines[:-1].count(END) < 2:
        more = connection.recv(1 << 16)
        answer += more
        if not more or len(answer) > LARGEST_BYTES:
            raise ConnectionError("no answer")
        lines = answer.split(b"\n")
    middle = lines.index(END)
    return b"\n".join(lines[:middle]), b"\n".join(lines[middle + 1 :])


def _usage(mounts: Sequence[Mount], df: bytes) -> dict[Series, float]:
    """What df says of them. A line is `used available inodes free mount-point`, with a hyphen for what is not known."""
    lines = (line.split(None, 4) for line in df.split(b"\n"))
    said = {line[4]: [int(word) if word.isdigit() else 0 for word in line[:4]] for line in lines if len(line) == 5}
    values: dict[Series, float] = {}
    for mount in mounts:
        used, available, inodes, free = said.get(os.fsencode(mount.point), (0, 0, 0, 0))
        figures = percentages(mount.point, used, available, inodes if counts_inodes(mount) else 0, free)
        values |= figures | state(mount) if figures else {}
    if not values:
        raise ProbeError(f"df says nothing of {mounts[0].point}")
    return values
