"""Every finding there is, in one table, and a test that none is missing. No process is started, and nobody is asked."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from heartbeatd.ctl import check
from heartbeatd.ctl.check.finding import Finding, Verdict
from tests.ctl.check.findings import host as of_host
from tests.ctl.check.findings import network as of_network
from tests.ctl.check.findings import rules as of_rules
from tests.ctl.check.findings import service as of_service
from tests.ctl.check.findings import services as of_services
from tests.ctl.check.findings import storage as of_storage
from tests.ctl.check.findings.shared import Made, Row

TABLE: list[Row] = [
    *of_service.CHECK,
    *of_service.UNIT,
    *of_host.CLOCK,
    *of_host.CONFIGURATION,
    *of_host.HOST,
    *of_host.FILES,
    *of_host.CONTAINERS,
    *of_network.NETWORK,
    *of_network.WEBHOOK,
    *of_network.CHANNELS,
    *of_rules.RULES,
    *of_services.SERVICES,
    *of_storage.STORAGE,
]


@pytest.mark.parametrize(("made", "subject", "verdict", "text", "hint"), TABLE, ids=[row[3] for row in TABLE])
def test_a_finding(made: Made, subject: str, verdict: Verdict, text: str, hint: str) -> None:
    """On that subject, as bad as that, with that text, and with nothing else to do than that."""
    (finding,) = (each for each in made() if text in each.text)
    assert finding == Finding(verdict, subject, finding.text, hint)


NO_CHECKS = {"printing", "in_sandbox", "situation"}
# Not said of anything that is found: the command line's help, and what happens when the sandbox cannot be used (test_unit).
NOT_FINDINGS = {"add", "findings", "_systemd_run", "_INSIDE"}


def words_of_findings(path: Path) -> Iterator[str]:
    """Each piece of prose in a module of the checks, except docstrings and what a text is compared with."""
    for top in ast.parse(path.read_text()).body:
        names_it = {getattr(top, "name", ""), *(t.id for t in getattr(top, "targets", ()) if isinstance(t, ast.Name))}
        if names_it & NOT_FINDINGS:
            continue
        left_out: set[int] = set()
        for node in ast.walk(top):
            is_asked = isinstance(node, ast.Compare) or getattr(getattr(node, "func", None), "attr", "") == "endswith"
            if is_asked or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                left_out |= {id(inner) for inner in ast.walk(node)}
        for node in ast.walk(top):
            if id(node) not in left_out and isinstance(node, ast.Constant) and " " in str(node.value).strip():
                yield str(node.value)


def test_no_finding_is_missing() -> None:
    """Whatever the checks can say is in what the table brings about."""
    brought_about = "\n".join(f"{finding.text}\n{finding.hint}" for made, *_ in TABLE for finding in made())
    modules = [path for path in Path(check.__file__).parent.glob("*.py") if path.stem not in NO_CHECKS]
    missing = {
        (path.name, words) for path in modules for words in words_of_findings(path) if words not in brought_about
    }
    assert missing == set()
