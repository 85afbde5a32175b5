"""What people's commands read of a database that is as it should be."""

from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
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
