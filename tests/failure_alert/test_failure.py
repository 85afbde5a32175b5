"""Whether the agent has failed, and for how long it has been failing."""

from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.queued import QueuedNotification
from heartbeatd.failure_alert.failure import stop_took_too_long
from heartbeatd.failure_alert.notes import Notes

WAITING = Delivery(QueuedNotification("an-id", 1, "{}", "", 2), "webhook", attempts=3, errors=1, last_error="HTTP 503")


@pytest.mark.parametrize(
    ("looks", "lasts_s"),
    [
        ([(0, 3)], 0),
        ([(0, 3), (120, 27), (240, 51)], 240),
        ([(0, 3), (120, 3)], 0),  # its first cycle takes long: it was not started again
        ([(0, 3), (120, 27), (900, 28)], 0),  # it was up in between: then nobody looks
        ([(0, 9), (120, 27), (240, 1)], 0),  # somebody has started it by hand
        ([(0, 9), (120, 27), (240, 1), (360, 20)], 120),
    ],
)
def test_for_how_long_it_has_been_failing(looks: list[tuple[float, int]], lasts_s: float, tmp_path: Path) -> None:
    """By the looks of two minutes, each a moment and the number of restarts: what goes on, and goes on being started."""
    found = [Notes(str(tmp_path)).failing_for(restarts, 1000 + at_s) for at_s, restarts in looks]
    assert found[-1] == lasts_s


@pytest.mark.parametrize(
    ("more", "asked_for"),
    [
        ({}, True),
        ({"ActiveState": "activating"}, False),  # it is started again: nobody had it stopped
        ({"Result": "oom-kill"}, False),
        ({"Restart": "no"}, False),  # a drop-in has it that a start that takes too long is the end, too
        ({"ExecMainStatus": "78"}, False),
    ],
)
def test_a_stop_that_took_too_long_is_a_stop(more: dict[str, str], *, asked_for: bool) -> None:
    """What Restart=always does not start again after a timeout was stopped by somebody."""
    unit = {"ActiveState": "failed", "Result": "timeout", "Restart": "always", "ExecMainStatus": "0", **more}
    assert stop_took_too_long(unit) is asked_for


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (AgentFailure("exit-code", "78"), "configuration refused"),
        (AgentFailure("exit-code", "226"), "exit-code 226"),
        (AgentFailure("core-dump", "SEGV"), "core-dump SEGV"),
        (AgentFailure("watchdog", "6"), "watchdog"),
        (AgentFailure(""), "unknown"),
    ],
)
def test_how_it_ended_in_a_few_words(failure: AgentFailure, cause: str) -> None:
    assert failure.cause == cause


def test_the_next_process_finds_how_far_each_delivery_was(tmp_path: Path) -> None:
    """What has ended is not there any more; that a channel has it is noted, that one has set it aside is not."""
    notes = Notes(str(tmp_path))
    other = replace(WAITING, channel="phone")
    notes.begin((WAITING, other))
    assert Notes(str(tmp_path)).undelivered == {WAITING.key: WAITING, other.key: other}
    notes.note_delivery(replace(other, set_aside_ns=5))
    assert not (tmp_path / "heard").exists()
    tried = replace(WAITING, attempts=4, next_try_ns=9)
    notes.note_delivery(tried)
    assert Notes(str(tmp_path)).undelivered == {tried.key: tried}
    notes.note_delivery(replace(tried, delivered_ns=7))
    assert (tmp_path / "heard").exists()
    again = Notes(str(tmp_path))
    assert (again.begun, again.undelivered) == (True, {})
    again.forget()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "7", "[" * 100_000, '{"deliveries": [{"notification": 1}]}', "\udcff"]
)
def test_an_alert_that_cannot_be_read_is_begun_anew(text: str, tmp_path: Path) -> None:
    """Better told once too often."""
    (tmp_path / "alert").write_bytes(text.encode(errors="surrogateescape"))
    notes = Notes(str(tmp_path))
    assert (notes.begun, notes.undelivered) == (False, {})
