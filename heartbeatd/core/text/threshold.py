"""Texts about a measured value and its limit."""

from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.metrics import OF_SUBJECT
from heartbeatd.core.subject import GONE
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import Zone, clock, format_duration

# What is said of a value: in the title, after the host's name.
_IS: dict[str, str] = {
    "disk": "{label} is {value} full",
    "inodes": "{label} has {value} of its inodes in use",
    "cpu": "the CPU is {value} busy",
    "ram": "RAM is {value} full",
    "swap": "swap is {value} full",
    "load": "the load is {value} for each core",
    "memory": "all wait for memory {value} of the time",
    "io": "all wait for the disk {value} of the time",
    "temperature": "{label} is {value} hot",
    "ping": "the internet check takes {value}",
}
_HINTS: dict[str, str] = {
    "disk": "See what is large: du -xh {label} | sort -h | tail -n 20. Often it is logs (journalctl --disk-usage), packages "
    "(apt clean), or images of Docker (docker system df).",
    "inodes": "See where very many files are: du -x --inodes {label} | sort -n | tail -n 20.",
    "cpu": "See what runs: top -o %CPU, or systemd-cgtop.",
    "ram": "See who takes it: ps aux --sort=-rss | head, or systemd-cgtop -m.",
    "swap": "See who takes memory: ps aux --sort=-rss | head, or systemd-cgtop -m.",
    "load": "See what runs or waits: top, or vmstat 5.",
    "memory": "See who takes memory: ps aux --sort=-rss | head, or systemd-cgtop -m.",
    "io": "See who reads and writes: iotop, or systemd-cgtop -i.",
    "temperature": "Look at its fan and at dust, and at what runs: sensors, top.",
    "ping": "Look at this host's uplink, and at what uses it.",
}
_UNITS = {"percent": " %", "load": "", "°C": " °C", "milliseconds": " ms"}


def threshold_text(host: str, announcement: Announcement, zone: Zone) -> Text:
    """Value, limit, since when, and what to do."""
    observed = announcement.observed
    subject = observed.subject
    is_now = _in_words(announcement)
    since = clock(announcement.since_ns, zone)
    lasted = "" if announcement.duration_s is None else format_duration(announcement.duration_s)
    if observed.reason == GONE:
        return Text(
            f"{host}: {subject} is no longer watched",
            f"{subject} on {host} is not there any more, or has no limit any more. It was {announcement.previous} before.",
        )
    if announcement.event is Event.RECOVERY:
        after = f" after {lasted}" if lasted else ""
        return Text(
            f"{host}: ok again, {is_now}",
            f"On {host} {is_now}. That has been ok since {since}{after}. Before it was {announcement.previous}.",
        )
    limit = "" if observed.limit is None else f" The limit is {_value(subject.kind, observed.limit)}."
    still = f"still, for {lasted}: " if announcement.event is Event.REMINDER else ""
    hint = _HINTS[subject.kind].format(label=subject.name or "/")
    return Text(
        f"{host}: {still}{is_now}",
        f"On {host} {is_now}: {observed.state} since {since}.{limit} {hint}",
    )


def _in_words(announcement: Announcement) -> str:
    observed = announcement.observed
    value = "?" if observed.value is None else _value(observed.subject.kind, observed.value)
    return _IS[observed.subject.kind].format(label=observed.subject.name or "/", value=value)


def _value(kind: str, value: float) -> str:
    metric = OF_SUBJECT[kind]
    return f"{value:.{metric.digits}f}".removesuffix(".0") + _UNITS[metric.unit]
