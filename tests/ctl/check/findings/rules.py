"""What `check` says of rules."""

from heartbeatd.core.limit import Limit
from heartbeatd.core.subject import Observation, Severity, Subject
from heartbeatd.ctl.check import rules
from heartbeatd.ctl.observed import Observed
from tests.ctl.check.findings.shared import OK, WARNING, Row, one

SRV = Subject("disk", "/srv")
FINE = Observed(Observation(SRV, "ok", Severity.OK, 0, 71.0), "71 %, alerts at 90 % (warning)")
FULL = Observed(Observation(SRV, "warning", Severity.WARNING, 0, 93.0), "/srv is 93 % full: warning")
COMPARE = "compare that section [[rule]] with what `heartbeatctl once` shows"

RULES: list[Row] = [
    (one(rules.now(FINE)), "rules", OK, "disk:/srv: 71 %, alerts at 90 % (warning)", ""),
    (one(rules.now(FULL)), "rules", WARNING, "disk:/srv: /srv is 93 % full: warning", ""),
    (
        one(rules.fits_nothing(Limit("swap_percent", Severity.WARNING, 90.0, 87.0))),
        *("rules", WARNING, "swap_percent: nothing of the kind is read here", COMPARE),
    ),
    (
        one(rules.fits_nothing(Limit("disk_used_percent", Severity.WARNING, 90.0, 87.0, label="/mnt/*"))),
        *("rules", WARNING, "disk_used_percent of /mnt/*: nothing of the kind is read here", COMPARE),
    ),
]
