"""The findings as they are printed: for people in lines, for scripts as JSON, for the journal with levels."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

from heartbeatd.core.plain import plain
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.journal import is_journal

_LEVELS = {Verdict.OK: "<6>", Verdict.WARNING: "<4>", Verdict.ERROR: "<3>"}  # sd-daemon(3)
LONGEST = 1000


def print_findings(findings: Iterable[Finding], *, as_json: bool, quiet: bool) -> bool:
    """Print them as they come, errors only if `quiet`; as JSON, one array at the end. True if none is an error."""
    to_journal, kept, well = is_journal(sys.stdout), [], True
    for finding in findings:
        well = well and finding.verdict is not Verdict.ERROR
        if quiet and finding.verdict is not Verdict.ERROR:
            continue
        if as_json:
            kept.append(asdict(finding))
        else:
            _print(finding, _LEVELS[finding.verdict] if to_journal else "")
    if as_json:
        print(json.dumps(kept, indent=2))
    return well


def _print(finding: Finding, level: str) -> None:
    print(f"{level}{finding.verdict:<8} {finding.subject:<14} {plain(finding.text, LONGEST)}", flush=True)
    if finding.hint:
        print(f"{level}{'':<23} → {plain(finding.hint, LONGEST)}", flush=True)
