"""What the tests of the database share."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.store.database import Database
from tests.support.rows import NOW_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is to be."""
    return tmp_path / "metrics.db"


@pytest.fixture
def store(path: Path) -> Iterator[Database]:
    """An open, empty database."""
    with closing(Database.open(path, NOW_NS)) as opened:
        yield opened


@pytest.fixture
def cancel() -> CancelToken:
    """What the test's own thread waits with."""
    return CancelToken()
