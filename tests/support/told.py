"""A host on which one rule looks at samples, and what is announced of it."""

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.alerting import Announcement
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.rule import Rule, Seen, evaluate
from heartbeatd.core.sample import Sample
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.subject import Subject
from tests.support.clocks import NOW_NS

AGENT = AgentInfo("nas", "1", 0)


class RuledHost:
    """`told` has each announcement with its title and message; the alert states are kept from one sample to the next."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.now_ns = rule, NOW_NS
        self.states: dict[Subject, AlertState] = {}
        self.told: list[tuple[Announcement, str, str]] = []

    def look(self, sample: Sample, lasting_s: int, *, check_explains: bool = True) -> None:
        """Have the rule look at it; the next one comes so many seconds later."""
        found = evaluate(self.rule, Seen(self.now_ns, sample, None, self.states, check_explains), AGENT)
        self.states |= {state.subject: state for state in found.changed}
        self.told += [(due, text.title, text.message) for due, text in found.told]
        self.now_ns += lasting_s * NS_PER_S

    @property
    def events(self) -> list[str]:
        """In short, e.g. `problem disk:/srv ok-warning`."""
        return [f"{due.event} {due.observed.subject} {due.previous}-{due.observed.state}" for due, _, _ in self.told]
