"""The table of metrics, and what has to have its names."""

from dataclasses import fields

from heartbeatd.core.metrics import METRICS, ROLLED_UP, values
from heartbeatd.core.sample import Row, Sample
from heartbeatd.store import migrations
from heartbeatd.store.results import StoredRow

# A promise to the users of the earlier agent: these columns, in this order, of these types.
COLUMNS = (
    ("id", "TEXT"),
    ("timestamp_lima", "TEXT"),
    ("cpu_percent", "REAL"),
    ("ram_percent", "REAL"),
    ("ram_used_mb", "REAL"),
    ("disk_percent", "REAL"),
    ("container_count", "INTEGER"),
    ("internet_ok", "INTEGER"),
    ("ping_ms", "REAL"),
    ("worker_status", "INTEGER"),
    ("cycle_duration_ms", "REAL"),
)


def test_the_columns_are_those_that_were_promised() -> None:
    """Whatever the table of metrics says: users have queries on them."""
    assert migrations.METRICS == COLUMNS
    for kind in (Row, StoredRow):
        assert tuple(field.name for field in fields(kind)) == tuple(name for name, _ in COLUMNS)


def test_a_sample_has_each_metric() -> None:
    """By its name, and its value is None until it was read."""
    names = [metric.name for metric in METRICS]
    assert [field.name for field in fields(Sample) if field.name in names] == names
    assert values(Sample(0)) == dict.fromkeys(names)
    assert values(Sample(0, internet_ok=True))["internet_ok"] == 1
    assert type(values(Sample(0, internet_ok=False))["internet_ok"]) is int


def test_what_is_rolled_up() -> None:
    """The share of internet_ok is its mean; ram_used_mb follows from ram_percent."""
    rolled_up = ["cpu_percent", "ram_percent", "disk_percent", "container_count", "internet_ok", "ping_ms"]
    assert [metric.name for metric in ROLLED_UP] == rolled_up
