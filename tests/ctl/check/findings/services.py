"""The services."""

from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.service import (
    HEALTHY,
    Outcome,
    Service,
    ServiceCheck,
    ServiceKind,
    ServiceState,
    Why,
    without_answer,
)
from heartbeatd.ctl.check.services import classify
from tests.ctl.check.findings.shared import OK, WARNING, Made, Row, one

WEB = Service("web", ServiceKind.HTTP, "https://u:hidden@web.example/?hidden")


def found(outcome: Outcome, days: int | None = None) -> Made:
    """What a check came to."""
    return one(classify(WEB, ServiceCheck("web", 0, outcome, 12.4, days)))


REFUSED = without_answer(Cause.REFUSED, "Connection refused")
SERVICES: list[Row] = [
    (found(HEALTHY, 90), "services", OK, "web (https://web.example/) is healthy (12 ms)", ""),
    (found(HEALTHY, 14), "services", WARNING, "is healthy; its certificate ends in 14 days", "renew it"),
    (
        *(found(REFUSED), "services", WARNING, "web (https://web.example/) is down: refused: Connection refused"),
        "it is announced as critical once it has lasted for 60 s",
    ),
    (
        *(
            found(Outcome(ServiceState.UNKNOWN, Why.NOT_ASKED, "no bus")),
            "services",
            WARNING,
            "is unknown: not asked: no bus",
        ),
        "it could not be checked from here",
    ),
    (one(classify(WEB, None)), "services", WARNING, "web (https://web.example/) was not checked in time", ""),
]
