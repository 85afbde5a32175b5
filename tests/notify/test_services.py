"""The notifier, Apprise, and servers that check what ntfy, Gotify and Matrix check: taken, or refused in words for people."""

from pathlib import Path

import pytest

from heartbeatd.core.delivery import Failure
from heartbeatd.notify.protocol import Answer
from tests.notify.test_apprise_channel import send
from tests.support.notifier import PROBLEM
from tests.support.services import PASSWORD, TOKEN, TOPIC, Handler, Service, gotify, matrix, ntfy

pytestmark = pytest.mark.slow  # a build has no Apprise


@pytest.mark.parametrize(
    ("service", "url"),
    [
        (ntfy, f"ntfy://{{at}}/{TOPIC}"),
        (ntfy, f"ntfy://nas:{PASSWORD}@{{at}}/{TOPIC}"),
        (gotify, f"gotify://{{at}}/{TOKEN}"),
        (matrix, f"matrix://nas:{PASSWORD}@{{at}}/#alarms:example.org?image=no"),
    ],
)
def test_a_message_arrives(tmp_path: Path, service: Handler, url: str) -> None:
    """Title and text, whole."""
    with Service(service) as server:
        assert send(tmp_path, url.format(at=server.at)) == Answer()
    (taken,) = server.took.messages
    said = " ".join(str(value) for value in taken.values())
    assert PROBLEM.title in said
    assert PROBLEM.message in said


LIMIT = (429, {"errcode": "M_LIMIT_EXCEEDED", "error": "Too many requests", "retry_after_ms": 10})
LARGE = (413, {"errcode": "M_TOO_LARGE", "error": "event too large"})
REFUSALS = [
    (ntfy, f"ntfy://nas:hidden-wrong@{{at}}/{TOPIC}", None, Failure.DOWN, "unauthorized"),
    (ntfy, "ntfy://{at}/hidden-other", None, Failure.DOWN, "forbidden"),
    (gotify, "gotify://{at}/Ahidden-wrong.1", None, Failure.DOWN, "401"),
    (gotify, f"gotify://{{at}}/path/{TOKEN}", None, Failure.DOWN, "404"),
    (matrix, "matrix://nas:hidden-wrong@{at}/#alarms:example.org?image=no", None, Failure.DOWN, "403"),
    (matrix, f"matrix://nas:{PASSWORD}@{{at}}/#hidden-room:example.org?image=no", None, Failure.DOWN, "403"),
    (matrix, f"matrix://nas:{PASSWORD}@{{at}}/#alarms:example.org?image=no", LIMIT, Failure.DOWN, "throttle"),
    (matrix, f"matrix://nas:{PASSWORD}@{{at}}/#alarms:example.org?image=no", LARGE, Failure.REFUSED, "413"),
]


@pytest.mark.parametrize(("service", "url", "refusing", "failure", "words"), REFUSALS)
def test_a_message_is_refused(
    tmp_path: Path,
    service: Handler,
    url: str,
    refusing: tuple[int, dict[str, object]] | None,
    failure: Failure,
    words: str,
) -> None:
    """A wrong password, token, topic or room, too much at once: it may pass. What is too large will not."""
    with Service(service, refusing) as server:
        answer = send(tmp_path, url.format(at=server.at))
    assert (answer.failure, words in answer.reason) == (failure, True), answer
    assert server.took.messages == []
