"""Asking the notifier for several things at once, and waiting for what comes back, as commands do."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from heartbeatd.cancel import CancelToken
from heartbeatd.notify.client import LOST, Attempt, Notifier, NotifierError
from heartbeatd.notify.protocol import Request

GRACE_S = 10.0  # for the notifier to load what it needs, and to say that the time is over
LATE = "the notifier gave no answer in time: see journalctl -u 'heartbeatd-notify@*'"
Said = TypeVar("Said")


def ask_all(
    notifier: Notifier, asked: Mapping[str, Request], parse: Callable[[bytes], Said], cancel: CancelToken
) -> dict[str, Said | str]:
    """By channel what the notifier said, or why it said nothing. `parse` raises ValueError for what is no answer."""
    said: dict[str, Said | str] = {}
    under_way: dict[str, Attempt] = {}

    def look(name: str) -> None:
        line = under_way[name].line()
        if line is not None:
            del watched[under_way[name].fileno()]
            try:
                said[name] = parse(line)
            except ValueError:
                said[name] = LOST.reason

    for name, request in asked.items():
        try:
            under_way[name] = notifier.start(request.encode())
        except NotifierError as error:
            said[name] = str(error)
    watched = {attempt.fileno(): partial(look, name) for name, attempt in under_way.items()}
    longest_s = max((request.timeout_s for request in asked.values()), default=0.0)
    try:
        cancel.wait(lambda: not watched, cancel.deadline(longest_s + GRACE_S), also=watched)
    finally:
        for attempt in under_way.values():
            attempt.close()
    return {name: said.get(name, LATE) for name in asked}
