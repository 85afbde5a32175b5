"""The table of probes, and what one look at it is: deadlines, cadence, side by side, and one that fails hides no other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from heartbeatd import components
from heartbeatd.cancel import CancelToken, SerialWorker
from heartbeatd.config.load import parse
from heartbeatd.core.metrics import METRICS, READ_SELDOM, Series
from heartbeatd.core.sample import NoData, Off, ProbeError, ProbeStatus, Sample
from heartbeatd.net.http import Client
from heartbeatd.probes import registry
from heartbeatd.probes.base import EACH_CYCLE, Finish, Probe, Values, at_once, on_thread
from heartbeatd.probes.collector import Probes
from heartbeatd.runtime import Runtime
from tests.support.scripted import Scripted, answers

OK, NO_DATA, OFF, FAILED = ProbeStatus.OK, ProbeStatus.NO_DATA, ProbeStatus.OFF, ProbeStatus.FAILED
HANGING_S = 60.0


def collected(probes: Probes) -> Sample:
    return probes.collect(lambda: 7, CancelToken())


@contextmanager
def threads(*names: str) -> Iterator[list[SerialWorker]]:
    made = [SerialWorker(name) for name in names]
    yield made
    for thread in made:
        thread.close(HANGING_S)


def test_the_table_gives_every_metric() -> None:
    """On a host that has internet and no Docker: each metric but the containers, and no name that no Sample or table has."""
    with Scripted(answers(200)) as server:
        runtime = Runtime()
        config = parse({"internet": {"url": server.url, "timeout_seconds": 60}, "docker": {"socket": ""}})
        probes, client = components.probes(config, runtime)
        sample = collected(probes)
        client.close()
        runtime.close()
    statuses = {report.probe: report.status for report in sample.reports}
    seldom = ("filesystems", "filesystems hidden", "swap", "load", "pressure", "temperature", "units")
    assert tuple(statuses) == ("cpu", "memory", "disk", *seldom, "containers", "internet")
    assert {statuses.pop(probe) for probe in seldom} <= {OK, NO_DATA}
    assert statuses == {"cpu": OK, "memory": OK, "disk": OK, "containers": OFF, "internet": OK}
    unknown = {metric.name for metric in METRICS if getattr(sample, metric.name) is None}
    assert unknown == {"container_count"}
    assert {series.metric for series in sample.readings} <= {metric.name for metric in READ_SELDOM}
    assert Series("load_per_core") in sample.readings


def test_a_probe_has_its_own_cadence() -> None:
    """Every third cycle, beginning with the first; in between it is unknown, and nothing is said of it."""
    slow = Probe("slow", 3, 0, at_once(lambda: {"disk_percent": 1.0}))
    each = Probe("each", EACH_CYCLE, 0, at_once(lambda: {"cpu_percent": 2.0}))
    probes = Probes((slow, each))
    samples = [collected(probes) for _ in range(7)]
    assert [sample.disk_percent for sample in samples] == [1.0, None, None, 1.0, None, None, 1.0]
    assert [sample.status("slow") for sample in samples] == [OK, None, None, OK, None, None, OK]
    assert [sample.cpu_percent for sample in samples] == [2.0] * 7


def test_what_no_column_has_is_for_the_rules() -> None:
    """A new measure needs no more than its probe and its row in the table of metrics."""
    load = Probe("load", EACH_CYCLE, 0, at_once(lambda: {Series("load1"): 0.5}))
    probes = Probes((load, Probe("cpu", EACH_CYCLE, 0, at_once(lambda: {"cpu_percent": 3.0}))))
    sample = collected(probes)
    assert (sample.taken_ns, sample.cpu_percent, sample.readings) == (7, 3.0, {Series("load1"): 0.5})


def test_those_on_threads_go_on_side_by_side() -> None:
    """Each waits until the others run, too: one after the other, none would come back."""
    meeting = threading.Barrier(3)

    def read() -> Values:
        meeting.wait(HANGING_S)
        return {}

    with threads("a", "b") as (a, b):
        here = Probe("here", EACH_CYCLE, HANGING_S, at_once(read))
        rows = (*(Probe(t.name, EACH_CYCLE, HANGING_S, on_thread(t, read)) for t in (a, b)), here)
        assert [report.status for report in collected(Probes(rows)).reports] == [OK, OK, OK]


def test_one_that_hangs_has_failed_and_is_not_begun_again() -> None:
    """At its deadline, in each cycle, until it has come back; the others are read."""
    over = threading.Event()
    begun: list[None] = []

    def hang() -> Values:
        begun.append(None)
        over.wait(HANGING_S)
        return {"disk_percent": 1.0}

    with threads("disk") as (thread,):
        hung = Probe("disk", EACH_CYCLE, 0.05, on_thread(thread, hang))
        probes = Probes((hung, Probe("cpu", EACH_CYCLE, 0, at_once(lambda: {"cpu_percent": 2.0}))))
        for _ in range(3):
            sample = collected(probes)
            assert (sample.disk_percent, sample.cpu_percent) == (None, 2.0)
            assert (sample.reports[0].status, sample.reports[0].detail) == (FAILED, "disk timed out")
        assert len(begun) == 1
        over.set()


def test_a_thread_is_not_started_for_nothing() -> None:
    """What can be told without it is."""

    def require() -> None:
        raise NoData("nothing there")

    with threads("disk") as (thread,):
        report = collected(Probes((Probe("disk", 1, 0, on_thread(thread, dict, require)),))).reports[0]
        assert (report.status, report.detail) == (NO_DATA, "nothing there")
        assert "worker" not in {running.name for running in threading.enumerate()}


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (NoData("nothing there"), NO_DATA, "nothing there"),
        (Off("switched off"), OFF, "switched off"),
        (ProbeError("refused"), FAILED, "refused"),
        (ZeroDivisionError("by zero"), FAILED, "ZeroDivisionError: by zero"),
    ],
)
@pytest.mark.parametrize("at", ["the beginning", "the end"])
def test_one_that_raises_hides_no_other(error: Exception, status: ProbeStatus, detail: str, at: str) -> None:
    """Whenever it does, and whatever it is; no data is not a failure."""

    def broken(deadline_ns: int, cancel: CancelToken) -> Finish:
        if at == "the beginning":
            raise error
        return fail

    def fail() -> Values:
        raise error

    good = Probe("cpu", EACH_CYCLE, 0, at_once(lambda: {"cpu_percent": 2.0}))
    sample = collected(Probes((Probe("broken", EACH_CYCLE, 0, broken), good)))
    assert sample.cpu_percent == 2.0
    assert (sample.reports[0].status, sample.reports[0].detail) == (status, detail)
    assert sample.reports[1].status is OK


def test_a_network_mount_has_a_probe_of_its_own() -> None:
    """On a thread of its own, about once a minute; the rule on filesystems knows these probes by how their names begin."""
    runtime = Runtime()
    config = parse({"agent": {"interval_seconds": 20}, "filesystems": {"network": ["/mnt/nas", "/mnt/far/"]}})
    table = registry.table(config, Client(runtime.resolver, "test"), runtime.thread)
    probes = {probe.name: probe.every for probe in table if probe.name.startswith("filesystem")}
    assert probes == {"filesystems": 3, "filesystems hidden": 3, "filesystem /mnt/nas": 3, "filesystem /mnt/far": 3}
    assert set(probes) <= set(runtime.threads)
    runtime.close()
