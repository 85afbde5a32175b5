"""`[[rule]]`: what is taken, and what is refused."""

import pytest

from heartbeatd.config.lengths import Length, MaybeNumber, YesNo
from heartbeatd.config.load import parse
from heartbeatd.config.watching import limit_of
from heartbeatd.core.limit import Limit
from heartbeatd.core.subject import Severity
from heartbeatd.errors import ConfigError

CPU = {"metric": "cpu_percent", "above": 95}


def refused(*rules: dict[str, object]) -> str:
    """What is said of them."""
    with pytest.raises(ConfigError) as caught:
        parse({"rule": list(rules)}, "config.toml")
    return str(caught.value)


def test_a_rule_becomes_a_limit() -> None:
    """With its defaults, and with all keys."""
    rules = [
        CPU,
        {"metric": "ping_ms", "below": 2, "clear": 5, "for": "1h 30min", "severity": "critical", "remind": "1d"},
        {"metric": "disk_used_percent", "label": "/mnt/usb", "enabled": False},
    ]
    found = tuple(map(limit_of, parse({"rule": rules}).rules))
    assert found[0] == Limit("cpu_percent", Severity.WARNING, 95.0, 92.0, for_s=300)
    assert found[1] == Limit("ping_ms", Severity.CRITICAL, 2.0, 5.0, above=False, for_s=5400, remind_s=86_400)
    assert (found[2].label, found[2].enabled) == ("/mnt/usb", False)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"metric": "cpu_percent"}, "rule[1]: has neither above nor below (set one of them"),
        ({**CPU, "below": 3}, "rule[1]: has both above and below"),
        ({**CPU, "clear": 96}, "rule[1].clear: is as bad as the limit itself (set it to less than above"),
        ({"metric": "ping_ms", "below": 3, "clear": 2}, "rule[1].clear: is as bad as the limit itself (set it to more"),
        ({"above": 1}, "rule[1].metric: is missing"),
        ({**CPU, "metric": "cpu"}, "rule[1].metric: it is none of them"),
        ({**CPU, "for": 300}, "rule[1].for: it is a whole number; write it in quotes"),
        ({**CPU, "for": "300"}, "rule[1].for: it is no length of time; write its unit, too"),
        (
            {**CPU, "remind": "sometimes"},
            'rule[1].remind: it is no length of time (allowed: a length of time such as "90s"',
        ),
        ({**CPU, "enabled": "no"}, "rule[1].enabled: it is neither; write it without quotes (allowed: true or false)"),
        ({**CPU, "fro": "1h"}, "there is no such key in [[rule]] (did you mean rule.for?)"),
    ],
)
def test_what_is_refused(rule: dict[str, object], problem: str) -> None:
    """With the key path, what is wrong, and what would be right."""
    assert problem in refused(rule)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5min", 300),
        ("2h", 7200),
        ("1d 2h", 93_600),
        ("1w", 604_800),
        ("0s", 0),
        ("5m", 300),
        ("1 hour 2 minutes", 3720),
    ],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert Length(10**7).check(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 M", "5 month", "min", "-5s", "5s5", "1e3s", "٣s", "99999999w", None, 5, [], True]
)
def test_what_is_no_length_of_time(text: object) -> None:
    with pytest.raises(ValueError, match="it is"):
        Length(10**7).check(text)


def test_other_kinds() -> None:
    """A number that need not be there; true or false."""
    assert MaybeNumber(10).check("") is None
    assert MaybeNumber(10).check(-3) == -3.0
    assert YesNo().check(False) is False
    for kind, value in ((MaybeNumber(10), 11), (MaybeNumber(10), "3"), (YesNo(), 1), (YesNo(), "true")):
        with pytest.raises(ValueError, match=r"it is|out of range"):
            kind.check(value)


@pytest.mark.parametrize(
    ("paths", "what"),
    [
        ("/mnt/nas", "it is no list"),
        (["mnt/nas"], "path 1: it does not begin with /"),
        (["/a", 7], "path 2: it is a whole number"),
        ([f"/{n}" for n in range(9)], "it has 9 paths"),
    ],
)
def test_network_mounts_that_are_refused(paths: object, what: str) -> None:
    """Each by its number, without its text."""
    with pytest.raises(ConfigError, match=what):
        parse({"filesystems": {"network": paths}})


def test_network_mounts_are_taken_once() -> None:
    """However often and with whatever slash at the end."""
    assert parse({"filesystems": {"network": ["/mnt/nas/", "/mnt/nas", "/"]}}).filesystems.network == ("/mnt/nas", "/")
