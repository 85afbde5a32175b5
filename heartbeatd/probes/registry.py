"""The table of the probes. Another probe is a file of its own and a row here."""

from collections.abc import Callable

from heartbeatd.cancel import SerialWorker
from heartbeatd.config.model import Config
from heartbeatd.config.services import service_of
from heartbeatd.containers.inquiry import Inquiry
from heartbeatd.core.container import Watched
from heartbeatd.core.metrics import seldom_cycles
from heartbeatd.core.service import ServiceKind
from heartbeatd.core.subject import Severity
from heartbeatd.core.unit import WatchedUnits
from heartbeatd.net.http import Client
from heartbeatd.probes import disks, host, pressure
from heartbeatd.probes.base import EACH_CYCLE, Probe, at_once, on_thread
from heartbeatd.probes.containers import Containers
from heartbeatd.probes.filesystems import LocalFilesystems, NetworkMount
from heartbeatd.probes.hidden import HiddenFilesystems
from heartbeatd.probes.internet import Internet
from heartbeatd.probes.services import Beside, Services
from heartbeatd.probes.temperatures import require_sensors, temperatures
from heartbeatd.probes.units import FailedUnits

DISK_S = 1.0
NO_WAIT_S = 0.0
UNITS_S = 1.0


def table(
    config: Config,
    client: Client,
    thread: Callable[[str], SerialWorker],
    services: Callable[[Beside], Services] | None = None,
) -> tuple[Probe, ...]:
    """The rows, in the order in which they are begun. `thread` gives the worker thread of a name; `services` makes that probe.

    The internet check waits in the cycle's own thread, while the others go on: so it is the last of those that look at something
    themselves.
    """
    docker, internet = _containers(config, thread("docker")), Internet(client, config.internet.url)
    looked_at: tuple[Probe, ...] = ()
    if services is not None:
        beside = Beside(lambda: internet.failed_lately, lambda: docker.listed)
        looked_at = (Probe("services", EACH_CYCLE, NO_WAIT_S, services(beside).read),)
    seldom = seldom_cycles(config.agent.interval_seconds)
    hidden, units = HiddenFilesystems(), FailedUnits(watched_units(config), UNITS_S)
    network = (
        Probe(f"filesystem {point}", seldom, DISK_S, on_thread(thread(f"filesystem {point}"), NetworkMount(point).read))
        for point in config.filesystems.network
    )
    return (
        Probe("cpu", EACH_CYCLE, NO_WAIT_S, at_once(host.cpu)),
        Probe("memory", EACH_CYCLE, NO_WAIT_S, at_once(host.memory)),
        Probe("disk", EACH_CYCLE, DISK_S, on_thread(thread("disk"), disks.usage)),
        Probe("filesystems", seldom, DISK_S, on_thread(thread("filesystems"), LocalFilesystems().read)),
        Probe(
            "filesystems hidden", seldom, DISK_S, on_thread(thread("filesystems hidden"), hidden.read, hidden.require)
        ),
        *network,
        Probe("swap", seldom, NO_WAIT_S, at_once(host.swap)),
        Probe("load", seldom, NO_WAIT_S, at_once(host.load)),
        Probe("pressure", seldom, NO_WAIT_S, at_once(pressure.stalls)),
        Probe("temperature", seldom, DISK_S, on_thread(thread("temperature"), temperatures, require_sensors)),
        Probe("units", seldom, UNITS_S, on_thread(thread("units"), units.read, units.require)),
        Probe("containers", EACH_CYCLE, config.docker.timeout_seconds, docker.read),
        Probe("internet", EACH_CYCLE, config.internet.timeout_seconds, internet.read),
        *looked_at,
    )


def watched_units(config: Config) -> WatchedUnits:
    """Which failed units are told of: those that are a service are told of as such."""
    settings = config.units
    services = (service_of(one) for one in config.services)
    checked = tuple(one.at for one in services if one.kind is ServiceKind.UNIT)
    return WatchedUnits(settings.watch, (*settings.ignore, *checked), Severity(settings.severity))


def watched_containers(config: Config) -> Watched:
    """Which containers are told of."""
    return Watched(config.containers.watch, config.containers.any_unhealthy)


def _containers(config: Config, thread: SerialWorker) -> Containers:
    inquiry = Inquiry(config.containers.log_lines)
    return Containers(thread, config.docker.socket, watched=watched_containers(config), inquiry=inquiry)
