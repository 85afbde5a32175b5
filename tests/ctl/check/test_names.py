"""Names that cannot be resolved: why, and which name server is to blame."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.net.test_dns import seen

CHILD = "tests.ctl.check.names_child"
pytestmark = pytest.mark.namespaces


def lines(seen: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The findings by the first word of their text."""
    return {finding["text"].split()[0]: finding for finding in seen["found"]}


def test_the_first_of_two_name_servers_is_dead(tmp_path: Path) -> None:
    """glibc waits 5 s for it: `check` waits longer, resolves both names at once, and names the server."""
    found = seen(tmp_path, "dead first", "nameserver 127.0.0.2\nnameserver 127.0.0.3\n", CHILD)
    said = lines(found)
    assert said["heartbeat.url:"]["verdict"] == "ok"
    assert said["internet.url:"]["verdict"] == "ok"
    assert said["not"]["verdict"] == "warning"
    assert "127.0.0.2 is silent" in said["not"]["text"]
    assert "127.0.0.3" not in said["not"]["text"]
    assert "take it out of /etc/resolv.conf" in said["not"]["hint"]
    assert ("resolvectl" in said["not"]["hint"]) is bool(shutil.which("resolvectl"))
    assert found["took_s"] < 60


def test_there_is_no_such_name(tmp_path: Path) -> None:
    """The name is wrong, and nothing else; an error for the Worker, a warning for the internet check."""
    said = lines(seen(tmp_path, "no such name", "nameserver 127.0.0.1\n", CHILD))
    assert set(said) == {"heartbeat.url:", "internet.url:", "alerts.webhook_url:"}
    assert said["heartbeat.url:"]["verdict"] == "error"
    assert said["internet.url:"]["verdict"] == "warning"
    assert "there is no host worker.example" in said["heartbeat.url:"]["text"]
    assert said["heartbeat.url:"]["hint"] == "look at the name in heartbeat.url"
    assert said["alerts.webhook_url:"]["verdict"] == "ok"


def test_a_filter(tmp_path: Path) -> None:
    """0.0.0.0 is no address of the Worker's."""
    said = lines(seen(tmp_path, "filtered", "nameserver 127.0.0.1\n", CHILD))
    assert "blocked by a DNS filter" in said["heartbeat.url:"]["text"]
    assert "allow worker.example" in said["heartbeat.url:"]["hint"]


def test_nobody_answers(tmp_path: Path) -> None:
    """All servers are named, and no name is blamed."""
    said = lines(seen(tmp_path, "nobody", "nameserver 127.0.0.1\n", CHILD))
    assert "127.0.0.1 is silent" in said["none"]["text"]
    assert "no name server answers" in said["heartbeat.url:"]["text"]
