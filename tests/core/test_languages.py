"""Each text there is, in each language: nothing is left open in it, and its title fits a phone that is locked."""

import gettext
import string
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from heartbeatd.catalogs import catalog
from heartbeatd.core import notification
from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.alerting import MOST_CHANGES, Announcement, Event
from heartbeatd.core.container import Reason
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.heartbeat import BLOCKED, NO_NAME, Cause, HeartbeatResult
from heartbeatd.core.locale import IN_ENGLISH, Locale
from heartbeatd.core.metrics import OF_SUBJECT
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.queued import by_this_clock, for_this_try, to_queue
from heartbeatd.core.service import Service, ServiceKind, ServiceState, Why
from heartbeatd.core.subject import GONE, OK, Observation, Severity, Subject
from heartbeatd.core.text import LONGEST_HOST, LONGEST_TITLE, Text, full_title
from heartbeatd.core.text import agent as agent_text
from heartbeatd.core.text.container import NO_ANSWER, ContainerState, container_text, known
from heartbeatd.core.text.flapping import with_flapping
from heartbeatd.core.text.service import service_text
from heartbeatd.core.text.several import several_text
from heartbeatd.core.text.threshold import threshold_text
from heartbeatd.core.text.unit import RESULTS, unit_text
from heartbeatd.core.text.worker import worker_text
from heartbeatd.core.timefmt import LIMA_ZONE
from heartbeatd.core.worker import STATES
from heartbeatd.rules.worker import observe

CATALOG = Path("heartbeatd/po/es.po")
NOW_NS = 1_795_465_200_000_000_000
A_WHILE_S = 105 * 3600.0
LONG_NAME = "/var/lib/docker/volumes/shop_database_2/_data"

SERVICES = {
    f"{kind}-{LONG_NAME[1:].replace('/', '-')}": Service(f"{kind}-{LONG_NAME[1:].replace('/', '-')}", kind, "shop:1")
    for kind in ServiceKind
}


@pytest.fixture(scope="session")
def spanish(tmp_path_factory: pytest.TempPathFactory) -> Locale:
    """Who reads Spanish, of the catalog as it stands in the source."""
    folder = tmp_path_factory.mktemp("po") / "es/LC_MESSAGES"
    folder.mkdir(parents=True)
    subprocess.run(["msgfmt", "--check", "-o", folder / "heartbeatd.mo", CATALOG], check=True)
    found = catalog("es", folder.parents[1])
    assert isinstance(found, gettext.GNUTranslations)
    return Locale(LIMA_ZONE, found)


@pytest.fixture(params=["en", "es"])
def locale(request: pytest.FixtureRequest, spanish: Locale) -> Locale:
    """Of each language."""
    return IN_ENGLISH if request.param == "en" else spanish


def _of_worker() -> Iterator[Observation]:
    """As it is observed of each answer there is, and of silence for each cause."""
    answers = [HeartbeatResult(rule.first, headers={rule.header: rule.value or "x"}) for rule in STATES]
    details = ("", "Connection refused", f"the name {BLOCKED}", f"x {NO_NAME}", "certificate refused: expired")
    silences = [HeartbeatResult(None, cause, detail) for cause, detail in product(Cause, details)]
    for result, passed, explains, asked in product(
        answers + silences, (None, 0, 1), (False, True), ("", "GET https://x/")
    ):
        found = observe(NOW_NS, result, None if passed is None else bool(passed), check_explains=explains, asked=asked)
        assert found is not None
        yield found


def _of_limits() -> Iterator[Observation]:
    for kind in OF_SUBJECT:
        subject = Subject(kind, LONG_NAME if kind in ("disk", "inodes", "temperature") else "")
        for state in ("warning", "critical"):
            yield Observation(subject, state, Severity(state), NOW_NS, 91.25, limit=90)
        yield Observation(subject, OK, Severity.OK, NOW_NS, 3.0)
        yield Observation(subject, OK, Severity.OK, NOW_NS, reason=GONE)


def _of_containers() -> Iterator[Observation]:
    for state in ContainerState:
        reason = NO_ANSWER if state == ContainerState.UNKNOWN else None
        yield Observation(Subject("container", LONG_NAME), state, Severity.CRITICAL, NOW_NS, reason=reason)
    why = Reason(137, oom_killed=True, error="no such file", ends=3, health="refused", log=("one", "two"))
    for one in (why, Reason(missing=True)):
        observed = Observation(Subject("container", LONG_NAME), ContainerState.STOPPED, Severity.CRITICAL, NOW_NS)
        yield replace(observed, hints=known(one), detail="\n".join(one.log))
    yield Observation(Subject("container", LONG_NAME), OK, Severity.OK, NOW_NS)


def _of_services() -> Iterator[Observation]:
    """Each state, of each kind, for each reason."""
    for service, state in product(SERVICES.values(), set(ServiceState) - {ServiceState.HEALTHY}):
        subject = Subject("service", service.name)
        for reason in (*Cause, *Why, None):
            yield Observation(subject, state, Severity.CRITICAL, NOW_NS, 503, reason, "Connection refused")
        yield Observation(subject, OK, Severity.OK, NOW_NS, 200)
        yield Observation(subject, OK, Severity.OK, NOW_NS, reason=GONE)
        ending = Subject("certificate", service.name)
        yield Observation(ending, "ending", Severity.WARNING, NOW_NS, 14, limit=14)
        yield Observation(ending, OK, Severity.OK, NOW_NS, 90)


def _of_units() -> Iterator[Observation]:
    """Each result there is, and one that nobody knows."""
    subject = Subject("unit", LONG_NAME[1:].replace("/", "-"))
    for result in (*RESULTS, "protocol", None):
        yield Observation(subject, "failed", Severity.WARNING, NOW_NS, 11, result)
    yield Observation(subject, OK, Severity.OK, NOW_NS)
    yield Observation(subject, OK, Severity.OK, NOW_NS, reason=GONE)


def _announced(observed: Observation) -> Iterator[Announcement]:
    """It as each event there may be, steady and flapping."""
    known = {"ok", "degraded", "rejected", "error", "unreachable"} if observed.subject.kind == "worker" else {"warning"}
    events = (Event.RECOVERY,) if observed.ok else (Event.PROBLEM, Event.CHANGE, Event.REMINDER)
    for event, previous, lasted_s, flapping in product(events, known, (None, A_WHILE_S), (0, 7, MOST_CHANGES)):
        made = Announcement(event, observed, previous, Severity.WARNING, "refused", NOW_NS, lasted_s)
        yield replace(made, flapping=flapping)


def _texts(locale: Locale) -> Iterator[Text]:
    for kind, result in product(GapKind, ("", "exit-code 226")):
        yield agent_text.gap_text("nas", Gap(kind, 0, int(A_WHILE_S * 1e9), result), locale)
    for result, status, lasting_s in product(("exit-code", "core-dump", ""), ("78", "226", "SEGV"), (None, A_WHILE_S)):
        yield agent_text.failure_text("nas", AgentFailure(result, status, lasting_s), locale)
    yield agent_text.test_text("nas", NOW_NS, locale)
    for observed in (*_of_worker(), *_of_limits(), *_of_containers(), *_of_services(), *_of_units()):
        for announcement in _announced(observed):
            match observed.subject.kind:
                case "worker":
                    text = worker_text("nas", announcement, locale, "https://worker/")
                case "container":
                    text = container_text("nas", announcement, locale)
                case "unit":
                    text = unit_text("nas", announcement, locale)
                case "service" | "certificate":
                    text = service_text("nas", announcement, locale, SERVICES)
                case _:
                    text = threshold_text("nas", announcement, locale)
            yield with_flapping(text, announcement, locale)


def test_each_text_is_whole(locale: Locale) -> None:
    """Nothing is left open in it, and a title is one line."""
    texts = set(_texts(locale))
    assert len(texts) > 500
    for text in texts:
        assert not list(string.Formatter().parse(text.title))[1:], text.title
        assert "{" not in text.message.replace("{{json .State.Health}}", ""), text.message
        assert text.title
        assert text.title == text.title.strip()
        assert "\n" not in text.title
        assert "  " not in text.message


def test_titles_fit_a_locked_phone(locale: Locale) -> None:
    """None has to be cut but where a subject is flapping, whose reason then ends early."""
    for text in _texts(locale):
        flaps = text.title.startswith(("flapping: ", "oscila: "))
        assert flaps or len(text.title) <= LONGEST_TITLE, text.title
        assert len(full_title("nas", text)) <= len("nas: ") + LONGEST_TITLE


def test_a_long_host_is_known_by_its_first_part() -> None:
    """In the title: the message and the details have the whole."""
    text = Text("heartbeatd runs again", "")
    assert full_title("nas.home.example.org", text) == "nas.home.example.org: heartbeatd runs again"
    assert full_title("nas." + 20 * "home." + "example.org", text) == "nas: heartbeatd runs again"
    assert len(full_title(200 * "n", text)) == LONGEST_HOST + len(": heartbeatd runs again")


@pytest.mark.parametrize("number", [2, 3, 7, 50, 1000])
def test_the_title_of_several_says_how_many_more(number: int, locale: Locale) -> None:
    """As many as there is room for, and the count of the others."""
    texts = [Text(f"/srv/{n} is 91.2 % full", "why") for n in range(number)]
    title = several_text(texts, locale).title
    assert title.startswith(f"{number} ")
    named = title.count(" % full")
    assert 1 <= named <= 2
    assert (f"; {number - named} " in title) == (named < number)
    assert len(title) <= LONGEST_TITLE


def test_spanish_is_spanish(spanish: Locale) -> None:
    """From the notification's title to what is added to it while it waits; what programs read is as ever."""
    agent = AgentInfo("nas", "1", 0, spanish)
    made = notification.of_test(agent, NOW_NS, "an-id", "")
    assert made.title == "nas: alerta de prueba de heartbeatd"
    assert made.details == notification.of_test(replace(agent, locale=IN_ENGLISH), NOW_NS, "an-id", "").details
    queued = to_queue(made, "boot", 0)
    late_ns = NOW_NS + 90_000_000_000
    told = for_this_try(by_this_clock(queued, late_ns, "boot", 60_000_000_000, spanish), 1, late_ns)
    assert "se adelantó 1 min el reloj" in told.message
    assert "esperó 1 min 30 s" in for_this_try(queued, 2, late_ns, spanish).message


def test_without_its_catalog_alerts_are_english(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And the journal says so."""
    folder = tmp_path / "es/LC_MESSAGES"
    folder.mkdir(parents=True)
    for damage in (None, b"", b"nonsense", b"\xde\x12\x04\x95" + 40 * b"\xff"):
        if damage is not None:
            (folder / "heartbeatd.mo").write_bytes(damage)
        caplog.clear()
        assert Locale(LIMA_ZONE, catalog("es", tmp_path)).say("error") == "error"
        assert "told in English" in caplog.text
