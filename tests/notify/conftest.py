"""What the tests of delivery share with those of the database."""

from tests.store.conftest import cancel, path, store

__all__ = ["cancel", "path", "store"]
