"""Temperatures, from the kernel's sensors. Some are asked of a disk, which may hang: so this is read on a thread."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from heartbeatd.core.metrics import Series
from heartbeatd.core.plain import plain
from heartbeatd.core.sample import NoData
from heartbeatd.probes.filesystems import read_bytes

SYS_CLASS = Path("/sys/class")
# Folders of sensors, the file with their kind, the files with thousandths of a degree; the second where there is no first.
_SOURCES = (("hwmon", "name", "temp*_input"), ("thermal", "type", "temp"))
_MOST_CELSIUS = 150.0  # a sensor that is not connected reads 0, or more than any chip stands
_LONGEST_LABEL = 64
_NONE = "there is no sensor of temperature"


def require_sensors(sys_class: Path = SYS_CLASS) -> None:
    """Raises NoData if there is none, as on most virtual machines. It asks none."""
    if not any(file for folder, _, values in _SOURCES for file in (sys_class / folder).glob(f"*/{values}")):
        raise NoData(_NONE)


def temperatures(sys_class: Path = SYS_CLASS) -> Mapping[Series, float]:
    """The hottest sensor of each kind, in °C. Raises NoData without any."""
    for folder, name, values in _SOURCES:
        hottest: dict[Series, float] = {}
        for kind, celsius in _sensors(sys_class / folder, name, values):
            series = Series("temperature_celsius", kind)
            hottest[series] = max(celsius, hottest.get(series, celsius))
        if hottest:
            return hottest
    raise NoData(_NONE)


def _sensors(folder: Path, name: str, values: str) -> Iterator[tuple[str, float]]:
    for file in folder.glob(f"*/{values}"):
        try:
            celsius = int(read_bytes(file)) / 1000
            kind = plain(read_bytes(file.parent / name).decode(errors="replace").strip(), _LONGEST_LABEL)
        except (OSError, ValueError):  # a disk that sleeps, or a sensor that has nothing to say
            continue
        if kind and 0 < celsius <= _MOST_CELSIUS:
            yield kind, celsius
