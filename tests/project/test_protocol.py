"""heartbeat-protocol(7) says what the code does: each field, type, header, state and column, and no other."""

import contextlib
import json
import re
import sqlite3

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.components import USER_AGENT
from heartbeatd.config.alerts import AlertsConfig
from heartbeatd.config.secrets import Secret
from heartbeatd.core.alerting import Event
from heartbeatd.core.gap import GapKind
from heartbeatd.core.notification import Notification
from heartbeatd.core.policy import CHANGE_CYCLES
from heartbeatd.core.sample import Sample
from heartbeatd.core.subject import Severity
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.notify.channels.webhook import Webhook
from heartbeatd.store import migrations
from tests.project import wire
from tests.project.generated import PROTOCOL, README, between
from tests.support.scripted import Scripted, answers

PAGE = PROTOCOL.read_text()


def section(title: str) -> str:
    """A section of the page, without its heading."""
    return PAGE.partition(f"\n# {title}\n")[2].partition("\n# ")[0]


def described(title: str) -> dict[str, str]:
    """The fields a section explains, with their types: `*host* (string)` and a text below it."""
    found = re.findall(r"^\*([\w.\\]+)\* \(([A-Za-z ]+)\)\n\t\S", section(title), re.MULTILINE)
    return {name.replace("\\", ""): kind for name, kind in found}


def types(*bodies: bytes) -> dict[str, str]:
    """The types each field has in the bodies, as the page writes them: `integer or null`."""
    found: dict[str, list[str]] = {}
    for body in bodies:
        for path, kind in wire.fields(body).items():
            found.setdefault(path, []).append(kind)
    return {path: " or ".join(sorted(set(kinds), key="null".__eq__)) for path, kinds in found.items()}


def test_every_field_of_the_heartbeat_is_explained() -> None:
    """The page names the fields of a real heartbeat in its order, with the types they have when all or nothing could be read."""
    real = types(wire.heartbeat(), wire.heartbeat(Sample(wire.AT_NS)))
    assert list(described("THE HEARTBEAT").items()) == list(real.items())


def test_every_field_of_the_alert_is_explained() -> None:
    """The page names the fields of real alerts in their order, with the types they have over all kinds of event."""
    told = wire.alerts(wire.OK, wire.SILENT, *[wire.FAILING] * CHANGE_CYCLES, wire.OK_AGAIN)
    gaps = [wire.gap_alert(kind) for kind in GapKind]
    bodies = [*told, wire.reminder(), *gaps, wire.last_alert(), wire.test_alert(wire.URL), wire.test_alert("")]
    assert {json.loads(body)["details"]["event"] for body in bodies} == set(Event)
    assert list(described("THE ALERT").items()) == list(types(*bodies).items())
    assert all(f"_{event}_:" in section("THE ALERT") for event in Event)
    assert all(f"_{kind}_" in section("THE ALERT") for kind in GapKind)


def test_every_column_is_explained() -> None:
    """The page names the columns of `metrics` with their types in order, and every further table."""
    assert tuple(described("THE DATABASE").items()) == migrations.METRICS
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        migrations.migrate(database, 0)
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        assert all(f"*{name}*".replace("_", "\\_") in section("THE DATABASE") for (name,) in tables)


def test_the_rows_values_are_the_heartbeats_metrics() -> None:
    """`metrics` has the columns of the table, less the two that the page says are not known yet."""
    sent = json.loads(wire.heartbeat())["metrics"]
    assert [name for name, _ in migrations.METRICS] == [*sent, "worker_status", "cycle_duration_ms"]


@pytest.mark.parametrize(
    "text",
    [section("THE HEARTBEAT"), between(README.read_text(), "heartbeat", "<!-- {} -->").group()],
    ids=["page", "README"],
)
def test_the_headers_are_those_that_are_sent(text: str) -> None:
    """Page and README show the headers of a real heartbeat, in its order; an alert has the same but for the key."""
    with Scripted(answers(200)) as server:
        sent = _sent(server)
    shown = re.findall(r"^\*?([A-Z][A-Za-z-]+):", text, re.MULTILINE)
    assert shown == [name for name, _ in sent["heartbeat"]]
    assert [name for name in shown if name != "Authorization"] == [name for name, _ in sent["alert"]]
    assert dict(sent["alert with a password"])["Authorization"].startswith("Basic ")
    fixed = {"Accept-Encoding", "Accept", "Connection", "Content-Type"}
    assert all(f"{name}: {value}" in text.replace("\\", "") for name, value in sent["heartbeat"] if name in fixed)


def _sent(server: Scripted) -> dict[str, list[tuple[str, str]]]:
    """The headers of a heartbeat, of an alert, and of an alert to a URL with user name and password."""
    resolver, cancel = Resolver(), CancelToken()
    found = {}
    alert = Notification("id", 0, Severity.OK, "t", "m", {})
    for name, url in (
        ("heartbeat", server.url),
        ("alert", server.url),
        ("alert with a password", server.url.replace("//", "//user:word@")),
    ):
        client = Client(resolver, USER_AGENT)
        if name == "heartbeat":
            Heartbeat(client, url, "key", 5).send(wire.heartbeat(), cancel)
        else:
            Webhook(AlertsConfig(webhook_url=Secret(url))).deliver(alert)
        client.close()
        head = server.requests[-1].partition(b"\r\n\r\n")[0].decode()
        found[name] = [(n, v) for n, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])]
    return found
