"""What people's commands read of a database that is as it should be."""

from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.core.metrics import Series
from heartbeatd.core.text.readings import reading_lines
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from tests.store.test_readings import ROOT, SRV, SWAP, cycle, record
from tests.support.rows import row


@pytest.mark.parametrize(
    ("statuses", "found"), [([], None), ([429, None], 429), ([503, 200, None], 200), ([429, None, None, None], None)]
)
def test_the_latest_answer_is_looked_for_in_the_last_rows(
    store: Database, path: Path, statuses: list[int | None], found: int | None
) -> None:
    """Here in three: an earlier one says nothing about now."""
    rows = [row(number, worker_status=status) for number, status in enumerate(statuses)]
    store.record(rows, (), (), flush=False)
    with closing(Reader.open(path)) as reader:
        assert reader.last_answer(3) == found


def test_the_last_readings_are_the_latest_of_each_series_that_is_still_read(store: Database, path: Path) -> None:
    """What a clock that ran ahead wrote, and what was not read for an hour, is not among them; nor what is no metric."""
    unknown = Series("no_such_metric", "x")
    record(store, [cycle(86400, {ROOT: 1.0}), cycle(0, {SWAP: 2.0}), cycle(7200, {ROOT: 3.0, SRV: 4.0, unknown: 9.0})])
    record(store, [cycle(7260, {ROOT: 63.25})])
    with closing(Reader.open(path)) as reader:
        assert [(one.series, one.value) for one in reader.last_readings()] == [(ROOT, 63.25), (SRV, 4.0)]


def test_readings_are_told_in_a_line_for_each_metric_whatever_their_labels_are() -> None:
    """Filesystems first."""
    values = {SWAP: 2.0, SRV: 91.24, ROOT: 63.0, Series("disk_used_percent", "/\x1b[31m\n"): 5.0}
    assert list(reading_lines(values)) == [
        "disk        / 63.0%, /?[31m  5.0%, /srv 91.2%",
        "swap        2.0%",
    ]
