"""What the tests of delivery share with those of the database."""

from tests.store.conftest import path, receiver, store, waiter

__all__ = ["path", "receiver", "store", "waiter"]
