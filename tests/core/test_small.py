"""Ids, moments, URLs, retention: the small laws."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.ids import uuid7
from heartbeatd.core.redact import Redactor, redact_url, secrets_in, shown_name
from heartbeatd.core.retention import NS_PER_DAY, RetentionCutoff, cutoff
from heartbeatd.core.timefmt import format_duration, rfc3339, to_lima
from heartbeatd.journal import MessageId, journal_fields

moments = st.integers(min_value=0, max_value=4_000_000_000_000_000_000)
noises = st.binary(min_size=10, max_size=10)


@given(moments, noises)
def test_ids_are_uuids_of_version_7(at_ns: int, noise: bytes) -> None:
    """An id has the version, the variant and the milliseconds that RFC 9562 asks for."""
    found = UUID(uuid7(at_ns, noise))
    assert found.version == 7
    assert found.variant == "specified in RFC 4122"
    assert found.int >> 80 == at_ns // 1_000_000


@given(moments, moments, noises, noises)
def test_ids_sort_by_time(first_ns: int, second_ns: int, one: bytes, two: bytes) -> None:
    """Of two ids a millisecond or more apart, the later sorts behind."""
    first_ns, second_ns = sorted((first_ns, second_ns))
    if second_ns // 1_000_000 > first_ns // 1_000_000:
        assert uuid7(first_ns, one) < uuid7(second_ns, two)


@given(noises, noises)
def test_every_random_bit_counts(one: bytes, two: bytes) -> None:
    """Two ids of one moment differ if the 74 bits drawn for them do."""
    mask = (1 << 74) - 1
    differ = int.from_bytes(one, "big") & mask != int.from_bytes(two, "big") & mask
    assert (uuid7(0, one) != uuid7(0, two)) == differ


@given(moments)
def test_lima_time(at_ns: int) -> None:
    """timestamp_lima is the moment to the microsecond, five hours behind UTC, in one shape."""
    text = to_lima(at_ns)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}-05:00", text)
    assert datetime.fromisoformat(text) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)


def test_utc_time() -> None:
    """On the wire time is UTC with a Z."""
    assert rfc3339(1_795_465_210_000_214_000) == "2026-11-23T20:20:10.000Z"


def test_lengths_read_well() -> None:
    """A length of time is told in its two largest units."""
    told = [format_duration(s) for s in (0, 0.4, 8, 59.6, 60, 860, 3600, 11_100, 86_400, 187_200)]
    assert told == ["0 s", "0 s", "8 s", "1 min", "1 min", "14 min 20 s", "1 h", "3 h 5 min", "1 d", "2 d 4 h"]


def test_urls_show_no_secret() -> None:
    """Of a URL the scheme, host, port and path are shown: no user info, no query, no fragment."""
    assert redact_url("https://u:p@h.example:8443/a/b?token=x#y") == "https://h.example:8443/a/b"
    assert redact_url("http://[::1]:5678/w") == "http://[::1]:5678/w"
    assert redact_url("http://h:99999/") == "(not a URL)"
    assert redact_url("") == ""


def test_what_of_a_url_is_secret() -> None:
    """User info, the password alone, decoded and as Basic sends it; the query, and the values in it."""
    found = set(secrets_in("https://n8n:p%40ss%2Fword@h.example/a?token=to%20k&x&env=prod"))
    assert found - {""} == {
        "n8n:p%40ss%2Fword",
        "n8n:p@ss/word",
        "bjhuOnBAc3Mvd29yZA==",
        "p%40ss%2Fword",
        "p@ss/word",
        "token=to%20k&x&env=prod",
        "to%20k",
        "to k",
    }
    assert set(secrets_in("https://h.example/a")) <= {""}


def test_a_secret_once_known_stays_hidden() -> None:
    """After a reload the old key may still be in what is logged; one that is a part of another does not uncover the rest."""
    redact = Redactor(["old-key", "old-key-and-more"])
    redact.learn(["new-key", "back\\slash", "abc", ""])
    assert redact("old-key new-key old-key-and-more") == "*** *** ***"
    assert redact("back\\slash and " + repr("back\\slash")) == "*** and '***'"
    assert redact("abc stays") == "abc stays"


def test_a_name_is_shown_if_it_can_be_no_secret() -> None:
    """A letter or two off, or made of our own words; whatever else it holds cannot be told from a key."""
    known = ["secret_key", "secret_key_file", "url", "hostname"]
    for name in ("hostnme", "hosntame", "ulr", "Hostname", "secret-key", "key_file", "urls", "secret_keys"):
        assert shown_name(name, known) == name
    for name in (
        "hunter2",
        "abc",
        "secret_key_hunter2",
        "hostname2345",
        "",
        "_",
        "my url",
        "hostn\x1bame",
        "h\u043estname",
    ):
        assert shown_name(name, known) == ""


@given(st.text())
def test_any_text_may_be_shown_as_url(text: str) -> None:
    """Whatever stands where a URL should, showing it does not fail, and neither query nor user info survives."""
    shown = redact_url(text)
    assert "?" not in shown
    assert "@" not in shown.partition("://")[2].partition("/")[0]


@given(moments, st.integers(1, 36500))
def test_retention_spares_what_was_taken_over(now_ns: int, keep_days: int) -> None:
    """Rows of the earlier agent are spared until they have been here for keep_days, whatever their age."""
    keep, oldest_ns = RetentionCutoff(now_ns, keep_days), now_ns - keep_days * NS_PER_DAY
    assert cutoff(keep, now_ns) is cutoff(keep, oldest_ns + 1) is None
    assert cutoff(keep, oldest_ns) == cutoff(keep, None) == to_lima(oldest_ns)


def test_zero_keeps_for_ever() -> None:
    """With keep_days = 0 nothing may be deleted."""
    assert cutoff(RetentionCutoff(10**18, 0), None) is None


def test_fields_of_the_journal() -> None:
    """A journal entry carries its MESSAGE_ID and its values under HEARTBEAT_ names; what is unknown is left out."""
    assert journal_fields(MessageId.CYCLE, cpu_percent=3.5, ping_ms=None) == {
        "fields": {"MESSAGE_ID": str(MessageId.CYCLE), "HEARTBEAT_CPU_PERCENT": "3.5"}
    }
