"""Texts about a measured value and its limit."""

from heartbeatd.core.alerting import Announcement
from heartbeatd.core.locale import N_, Locale, Sentence
from heartbeatd.core.metrics import OF_SUBJECT, TRUTH
from heartbeatd.core.subject import GONE
from heartbeatd.core.text import Text
from heartbeatd.core.text.states import Words, state_text

# What is said of a value: in the title, after the host's name.
_IS: dict[str, str] = {
    "disk": N_("{name} is {value} full"),
    "inodes": N_("{name} has {value} of its inodes used"),
    "readonly": N_("{name} is read-only"),
    "cpu": N_("the CPU is {value} busy"),
    "ram": N_("RAM is {value} full"),
    "swap": N_("swap is {value} full"),
    "load": N_("the load is {value} for each core"),
    "memory": N_("all wait for memory {value} of the time"),
    "io": N_("all wait for the disk {value} of the time"),
    "temperature": N_("{name} is {value} hot"),
    "ping": N_("the internet check takes {value}"),
}
# As it is again when that is over, if the figure does not say it.
_IS_AGAIN: dict[str, str] = {"readonly": N_("{name} can be written")}
_HINTS: dict[str, str] = {
    "disk": N_(
        "See what is large: du -xh {name} | sort -h | tail -n 20. Often it is logs (journalctl --disk-usage), packages "
        "(apt clean), or images of Docker (docker system df)."
    ),
    "inodes": N_("See where very many files are: du -x --inodes {name} | sort -n | tail -n 20."),
    "readonly": N_(
        "The kernel does so when it meets errors, and worn-out memory cards do: see journalctl -k -p warning. Back up what is "
        "on it before you check it (fsck) or mount it anew."
    ),
    "cpu": N_("See what runs: top -o %CPU, or systemd-cgtop."),
    "ram": N_("See who takes it: ps aux --sort=-rss | head, or systemd-cgtop -m."),
    "swap": N_("See who takes memory: ps aux --sort=-rss | head, or systemd-cgtop -m."),
    "load": N_("See what runs or waits: top, or vmstat 5."),
    "memory": N_("See who takes memory: ps aux --sort=-rss | head, or systemd-cgtop -m."),
    "io": N_("See who reads and writes: iotop, or systemd-cgtop -i."),
    "temperature": N_("Look at its fan and at dust, and at what runs: sensors, top."),
    "ping": N_("Look at this host's uplink, and at what uses it."),
}
_UNITS = {"percent": " %", "load": "", "°C": " °C", "milliseconds": " ms", TRUTH: ""}


def threshold_text(host: str, announcement: Announcement, locale: Locale) -> Text:
    """Value, limit, since when, and what to do."""
    observed = announcement.observed
    kind, name = observed.subject.kind, observed.subject.name
    if observed.reason == GONE:
        return state_text(host, announcement, locale, Words("{name}", str(observed.subject)))
    value = "?" if observed.value is None else figure(kind, observed.value)
    hints = [Sentence(_HINTS[kind], (("name", name or "/"),))]
    if observed.ok and kind in _IS_AGAIN:
        return state_text(host, announcement, locale, Words(_IS_AGAIN[kind], name or "/"))
    if observed.limit is not None and OF_SUBJECT[kind].unit != TRUTH:
        hints.insert(0, Sentence(N_("The limit is {limit}."), (("limit", figure(kind, observed.limit)),)))
    return state_text(host, announcement, locale, Words(_IS[kind], name or "/", value, tuple(hints)))


def figure(kind: str, value: float) -> str:
    """With its unit, e.g. `91.2 %` for a disk."""
    metric = OF_SUBJECT[kind]
    return f"{value:.{metric.digits}f}".removesuffix(".0") + _UNITS[metric.unit]
