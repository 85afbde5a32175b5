"""The units of systemd that have failed, and why: asked once a minute, which takes systemctl(1) some 4 ms of CPU."""

from pathlib import Path

from heartbeatd.cancel import CancelToken
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.core.unit import FailedUnit, WatchedUnits
from heartbeatd.probes.systemd import NotAsked, failed, show_each

SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
MOST = 100
_PROPERTIES = ("Id", "Result", "ExecMainStatus")


class FailedUnits:
    """Asks for those in `watched`, within `limit_s` in all."""

    def __init__(self, watched: WatchedUnits, limit_s: float, systemd: Path = SYSTEMD) -> None:
        self._watched, self._limit_s, self._systemd = watched, limit_s, systemd
        self._cancel = CancelToken()

    def require(self) -> None:
        """Raises NoData if there is nobody to ask, or nothing."""
        if not self._watched.names:
            raise NoData("no unit is watched")
        if not self._systemd.is_dir():
            raise NoData("systemd does not run here")

    def read(self) -> dict[str, tuple[FailedUnit, ...]]:
        """Raises ProbeError."""
        deadline_ns = self._cancel.deadline(self._limit_s)
        try:
            names = [name for name in failed(self._limit_s, self._cancel) if self._watched.has(name)][:MOST]
            left_s = self._cancel.seconds_until(deadline_ns)
            shown = show_each(names, _PROPERTIES, left_s, self._cancel) if names else []
        except NotAsked as error:
            raise ProbeError(str(error)) from None
        known = {one.get("Id"): one for one in shown}
        return {"failed_units": tuple(_unit(name, known.get(name, {})) for name in names)}


def _unit(name: str, shown: dict[str, str]) -> FailedUnit:
    status = shown.get("ExecMainStatus", "")
    return FailedUnit(name, shown.get("Result", ""), int(status) if status.isdecimal() else None)
