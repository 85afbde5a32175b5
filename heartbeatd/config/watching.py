"""The settings of what is watched beside the Worker: limits on what is measured, and filesystems."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heartbeatd.config.lengths import Length, MaybeNumber, YesNo
from heartbeatd.config.names import ContainerNames, UnitNames
from heartbeatd.config.options import OneOf, Text, Whole
from heartbeatd.config.paths import MountPoints
from heartbeatd.config.schema import REQUIRED, option
from heartbeatd.config.walk import Place
from heartbeatd.core.limit import ALL, Limit
from heartbeatd.core.metrics import OF_SUBJECT
from heartbeatd.core.policy import DAY_S
from heartbeatd.core.subject import Severity
from heartbeatd.errors import Problem

_LONGEST_S = 30 * DAY_S
_LIMIT = MaybeNumber(1e6)
NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """One limit on a metric; one of `above` and `below` is set."""

    metric: str = option(
        OneOf(tuple(metric.name for metric in OF_SUBJECT.values())),
        REQUIRED,
        "What is measured. A rule takes the place of the built-in ones on the same metric, disk_used_percent, "
        "disk_inodes_percent or disk_read_only.",
        example="disk_used_percent",
    )
    above: float | None = option(_LIMIT, "", "The value from which on it is bad.", example=95.0, suggested=True)
    below: float | None = option(_LIMIT, "", "In place of above: the value from which on downwards it is bad.")
    clear: float | None = option(
        _LIMIT, "", "The value at which it is good again; by default 3 less than above, or more than below."
    )
    for_: int = option(
        Length(_LONGEST_S),
        "5min",
        "How long it has to be bad before that is announced: a single bad value is no problem.",
    )
    severity: str = option(OneOf((Severity.WARNING, Severity.CRITICAL)), "warning", "How bad that is.")
    remind: int | None = option(
        Length(_LONGEST_S, NEVER),
        NEVER,
        "After how long it is told again while it lasts. Once a day suits what is critical.",
    )
    label: str = option(
        Text("visible characters, at most 256", r"[^\x00-\x1f\x7f]", longest=256),
        ALL,
        "Of which of several, e.g. the mount point of a filesystem; a pattern as a shell's. Rules for one take there the place "
        "of those for all.",
        example="/srv",
        suggested=True,
    )
    enabled: bool = option(YesNo(), True, "false: it is not watched.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemsConfig:
    network: tuple[str, ...] = option(
        MountPoints(),
        (),
        "Mount points of network filesystems (NFS, SMB, sshfs) that are looked at, too: a server that does not answer delays "
        "nothing but its own reading.",
        example=("/mnt/nas",),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersConfig:
    watch: tuple[str, ...] = option(
        ContainerNames(),
        (),
        "Containers that must run, and be healthy where they have a health check: names, or patterns as a shell's, of each of "
        "which at least one must run. One that does not for a minute is announced; docker compose takes less to make one anew.",
        example=("web", "db"),
    )
    any_unhealthy: bool = option(
        YesNo(),
        True,
        "Any other container that is unhealthy, or for 3 minutes restarts again and again, is announced, too.",
    )
    log_lines: int = option(
        Whole(0, 50),
        10,
        "How many of the last lines of its output an alert about a container shows, 1000 characters at the most; 0 is none. "
        "They may hold what is not for everybody who reads alerts.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsConfig:
    watch: tuple[str, ...] = option(
        UnitNames(),
        ("*",),
        "Units that are announced when they have failed: names, or patterns as a shell's; [] is none. systemd is asked once a "
        "minute. A unit that has a section [[service]] is left to that, and heartbeatd's own are left out.",
        example=("*.service", "backup.*"),
    )
    ignore: tuple[str, ...] = option(
        UnitNames(), (), "Units that are not announced, though watch has them.", example=("user@*.service",)
    )
    severity: str = option(OneOf((Severity.WARNING, Severity.CRITICAL)), "warning", "How bad a failed unit is.")


def limit_of(rule: RuleConfig) -> Limit:
    """The limit that the section sets; `above` or `below` has to be there, unless it is not enabled."""
    above = rule.below is None
    value = rule.above if rule.below is None else rule.below
    value = 0.0 if value is None else value
    clear = value + (-3 if above else 3) if rule.clear is None else rule.clear
    severity = Severity(rule.severity)
    return Limit(rule.metric, severity, value, clear, above, rule.for_, rule.remind, rule.label, rule.enabled)


def check_rules(rules: Sequence[RuleConfig], place: Place) -> Iterator[Problem]:
    """What is wrong with them that no single key shows."""
    for number, rule in enumerate(rules, 1):
        key = f"rule[{number}]"
        if not rule.enabled:
            continue
        if (rule.above is None) == (rule.below is None):
            what = "has neither above nor below" if rule.above is None else "has both above and below"
            yield Problem(place.of(key), what, "set one of them: the value from which on it is bad")
        elif rule.clear is not None and not _is_better(rule.clear, rule):
            side = "less than above" if rule.below is None else "more than below"
            yield Problem(place.of(f"{key}.clear"), "is as bad as the limit itself", f"set it to {side}")


def _is_better(value: float, rule: RuleConfig) -> bool:
    return value <= rule.above if rule.above is not None else rule.below is not None and value >= rule.below
