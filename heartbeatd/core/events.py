"""The kinds of event in the journal, each with its MESSAGE_ID; `systemd/heartbeatd.catalog` explains every one.

The numbers were drawn once with `systemd-id128 new` and never change: people filter by them
(`journalctl MESSAGE_ID=…`).
"""

from enum import StrEnum


class MessageId(StrEnum):
    """One 128-bit id for each kind of log entry."""

    STARTED = "ed33aadee6d44d15865a27e766a94450"
    STOPPED = "36c9a155d30e43b698b7d2dc0487ccb3"
    CONFIG_REFUSED = "c02bf468ae474e11a2f0e727882cb3cb"
    CONFIG_RELOADED = "14971ecea0dc49f481ba0960d498ec74"
    CYCLE = "a65b5f9cdbd94af1873c68598951c22b"
    HOUR = "f415c8a3e6e447629ff7466a430bf4f1"
    CYCLE_FAILED = "a2cd243ac18b4def9cf5591983c3b1f4"
    SLOTS_MISSED = "8f6f6dd1209e4a05bfb1009510a64b05"
    CLOCK_STEPPED = "b5f9272d954049faa752561b429fe5ee"
    PROBE_CHANGED = "010588366ac542c986e95cea10aed7ea"
    INTERNET_CHANGED = "299da2ad210c495482366f307d3486c6"
    WORKER_CHANGED = "d18d90dd467e401a9635dbf53f6f60fa"
    GAP = "c3107ba3a0af45bba27979668695b793"
    ALERT_DELIVERED = "ad667aac71c74ed7932dd39c4c70ebf0"
    ALERT_DELAYED = "fc4a32e4296247a892eedbd07c385a99"
    ALERT_SET_ASIDE = "e21890fa30314d929df6c77f724f984c"
    DELIVERY_ENDED = "b5515019eb374010a6b763e07cfd0d3b"
    ALERTS_GIVEN_UP = "969cd518b3c145c0873b07416f1b4544"
    STORE_FAILED = "1ba18ec0d7904b70ab3fa59705a1b0f0"
    STORE_RECOVERED = "fbd3b3c990894d98bfae2d7fc87ab0f6"
    STORE_REPLACED = "e0ba2456ad154caca1d21837fdcce716"
    STORE_TAKEN_OVER = "9608df0ce1854d399b61e1dda036b9fa"


NOTICE = 25  # between logging's INFO and WARNING, as syslog's notice is; journald knows it as priority 5


def said(message_id: MessageId, **values: object) -> dict[str, dict[str, str]]:
    """The `extra` of a log call: the structured fields of a journal entry, `HEARTBEAT_` before each name.

    `said(MessageId.CYCLE, cpu_percent=3.2)` → `{"fields": {"MESSAGE_ID": "…", "HEARTBEAT_CPU_PERCENT": "3.2"}}`.
    What is None is left out: the field is absent where the value is unknown.
    """
    fields = {f"HEARTBEAT_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return {"fields": {"MESSAGE_ID": str(message_id), **fields}}
