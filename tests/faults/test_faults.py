"""Every fault in its short form. `make faults` injects them at length and prints a table."""

import pytest

from tests.faults.__main__ import FAULTS, inject

pytestmark = [pytest.mark.slow, pytest.mark.namespaces, pytest.mark.timing]

# Half a minute and more. They are begun first, so that no worker is left alone with one at the end.
LONGEST = ("database damaged", "worker flaps", "internet and Worker", "one alert refused for good", "Docker engine")


@pytest.mark.parametrize("name", sorted(FAULTS, key=lambda name: name not in LONGEST))
def test_the_agent_holds(name: str) -> None:
    """What must hold under this fault does; see the fault's own docstring."""
    outcome = inject(name, short=True)
    assert not outcome.problems, "\n".join(outcome.problems)
