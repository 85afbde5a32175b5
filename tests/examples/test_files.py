"""The examples that are not programs: they fit what the agent sends and reads."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from heartbeatd.config.load import load
from heartbeatd.config.model import SETTINGS
from heartbeatd.config.secrets import SECRET_KEY as CREDENTIAL
from heartbeatd.config.secrets import load_credentials
from heartbeatd.errors import ConfigError
from tests.project import wire

EXAMPLES = Path(__file__).resolve().parents[2] / "debian/examples"
FLOW = json.loads((EXAMPLES / "n8n/heartbeat.json").read_text())
NODES = {node["name"]: node for node in FLOW["nodes"]}


def test_the_flow_reads_only_what_an_alert_has() -> None:
    """Every expression in the n8n workflow names a field of a real alert, title, message and event_id among them."""
    named = re.findall(r"\$json\.body\.([\w.]+)", json.dumps(FLOW))
    assert set(named) <= set(wire.fields(wire.problem()))
    assert set(named) == {"title", "message", "details.event_id"}
    assert json.dumps(FLOW).count("{{") == len(named)


def test_the_flow_listens_where_the_configuration_says() -> None:
    """The example of alerts.webhook_url is the address of the workflow's webhook, which answers before the mail is sent."""
    (webhook,) = (node for node in FLOW["nodes"] if node["type"] == "n8n-nodes-base.webhook")
    (setting,) = (setting for setting in SETTINGS if setting.key == "alerts.webhook_url")
    assert urlsplit(str(setting.option.example)).path == f"/webhook/{webhook['parameters']['path']}"
    assert webhook["parameters"]["httpMethod"] == "POST"
    assert webhook["parameters"]["responseMode"] == "onReceived"
    assert webhook["webhookId"]  # without one, n8n puts the workflow's id into the path


def test_the_flow_leads_from_the_webhook_to_the_mail() -> None:
    """Each node leads to the next one, and all of them are on the way."""
    name, way = "Alert", []
    while name:
        way.append(NODES[name]["type"].rpartition(".")[2])
        name = next((to["node"] for to in FLOW["connections"].get(name, {}).get("main", [[]])[0]), "")
    assert way == ["webhook", "removeDuplicates", "emailSend"]
    assert len(way) == len(NODES)


def test_one_configuration_for_several_hosts(tmp_path: Path) -> None:
    """The template is accepted with the key as a credential, names no host, and holds no key: without one it is refused."""
    template = EXAMPLES / "several-hosts/config.toml"
    (tmp_path / CREDENTIAL).write_text("the key\n".replace(" ", "-"))
    config = load(template, load_credentials(tmp_path))
    assert str(config.heartbeat.secret_key.origin) == f"systemd credential {CREDENTIAL}"
    assert config.agent.hostname == ""
    assert config.alerts.alert_after == config.alerts.recover_after == 2
    with pytest.raises(ConfigError, match="secret_key"):
        load(template)


def test_how_many_hosts_the_free_plan_carries() -> None:
    """The template's figures are 100,000 requests a day divided by the heartbeats of one host."""
    text = (EXAMPLES / "several-hosts/config.toml").read_text().replace("\n# ", " ")
    assert "carry 11 hosts at 10 seconds, 34 at 30, 69 at 60." in text
    assert [100_000 // (86_400 // seconds) for seconds in (10, 30, 60)] == [11, 34, 69]
