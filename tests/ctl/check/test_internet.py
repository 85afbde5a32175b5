"""`check` judges the internet check as a cycle does."""

import pytest

from heartbeatd.ctl.check import internet
from heartbeatd.ctl.check.finding import Verdict
from tests.ctl.check.conftest import Found, situation
from tests.support.scripted import Scripted, answers, silent


@pytest.mark.parametrize("status", [200, 204, 301])
def test_reachable(found: Found, status: int) -> None:
    """2xx and 3xx."""
    with Scripted(answers(status)) as server:
        (finding,) = found(internet.check, situation(internet={"url": server.url}))
    assert finding.verdict is Verdict.OK


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_answer_that_counts_as_no_internet(found: Found, status: int) -> None:
    """It is the address that is wrong, then."""
    with Scripted(answers(status)) as server:
        (finding,) = found(internet.check, situation(internet={"url": server.url}))
    assert finding.verdict is Verdict.WARNING
    assert f"HTTP {status}" in finding.text
    assert "choose another internet.url" in finding.hint


def test_no_answer(found: Found) -> None:
    """It may be this host, or the address."""
    with Scripted(silent) as server:
        (finding,) = found(internet.check, situation(internet={"url": server.url, "timeout_seconds": 0.2}))
    assert finding.verdict is Verdict.WARNING
    assert "timeout" in finding.text
    assert "is this host online?" in finding.hint
