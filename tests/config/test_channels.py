"""`[[channel]]`, the webhook's headers and authorities: what is taken, what is refused, and that nothing of it is shown."""

import json
import subprocess
import sys

import pytest

from heartbeatd.config.channel_urls import SCHEMES, ChannelUrl
from heartbeatd.config.load import parse
from heartbeatd.config.several import Headers, SomeOf, headers_of
from heartbeatd.errors import ConfigError

PHONE = {"name": "phone", "url": "ntfys://ntfy.sh/hidden-topic"}


def refused(**sections: object) -> str:
    """What is said of a configuration."""
    with pytest.raises(ConfigError) as caught:
        parse(sections, "config.toml")
    assert "hidden" not in str(caught.value)
    return str(caught.value)


def test_channels_and_headers_are_taken_and_not_shown() -> None:
    """Their secrets are among those that are never logged."""
    config = parse(
        {
            "alerts": {
                "webhook_headers": {"Authorization": "Bearer hidden-token", "X-Flow": "beat"},
                "ca_file": "/ca.pem",
            },
            "channel": [{**PHONE, "min_severity": "critical", "events": ["problem", "recovery"]}, {"name": "mail"}],
        }
    )
    phone, mail = config.channels
    assert (phone.name, phone.min_severity, phone.events) == ("phone", "critical", ("problem", "recovery"))
    assert (mail.url.reveal(), mail.min_severity, mail.events) == ("", "info", ())
    assert headers_of(config.alerts.webhook_headers.reveal()) == {
        "Authorization": "Bearer hidden-token",
        "X-Flow": "beat",
    }
    assert "hidden" not in repr(config)
    assert {"hidden-token", "Bearer hidden-token", phone.url.reveal()} <= set(config.secrets)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("nfty://ntfy.sh/hidden", "did you mean ntfy://?"),
        ("maito://me:hidden@example.org", "did you mean mailto://?"),
        ("telegram-hidden://x", "apprise(1)"),
        ("http://n8n/hidden", "alerts.webhook_url"),
        ("ntfy:/hidden", "a URL of Apprise"),
        ("ntfys://a hidden", "%20"),
        (5, "a URL of Apprise"),
    ],
)
def test_a_url_with_a_typo(url: object, hint: str) -> None:
    """Refused when the file is read, with the nearest scheme, and nothing of the URL."""
    said = refused(channel=[{"name": "a", "url": url}])
    assert "channel[1].url" in said
    assert hint in said


def test_https_addresses_of_services_are_taken() -> None:
    """Apprise knows where they lead; and there are those that need no more than a scheme."""
    assert ChannelUrl().check("syslog://") == "syslog://"
    assert ChannelUrl().check("https://discord.com/api/webhooks/1/x") == "https://discord.com/api/webhooks/1/x"


def test_names_are_there_once() -> None:
    """By its name an alert is queued for a channel."""
    assert "channel[1].name: is missing" in refused(channel=[{}])
    assert "channel[1].name: is empty" in refused(channel=[{"name": ""}])
    assert "channel[2].name: is that of channel[1], too" in refused(channel=[PHONE, PHONE])
    assert "alerts.webhook_url" in refused(channel=[{"name": "webhook"}])
    assert "character 1" in refused(channel=[{"name": "Phone"}])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hidden name": "x"}, "the name of header 1"),
        ({"A": "x", "a": "y"}, "header 2 is there already"),
        ({"Host": "hidden"}, "header 1 is one that the agent sets"),
        ({"A": "hidden\r\nB: c"}, "the value of header 1"),
        ({"A": "hidden ñ"}, "the value of header 1"),
        ({"A": ""}, "the value of header 1"),
        ({"A": 5}, "the value of header 1"),
        ({"A": {"b": "hidden"}}, "the value of header 1"),
        ({"A": "hidden" * 1000}, "longer than"),
        ({f"A{n}": "x" for n in range(17)}, "17 headers"),
        ("hidden", "the value of header 1"),
        (["hidden"], "it is a list"),
    ],
)
def test_headers_that_are_none(given: object, said: str) -> None:
    """Told by their number alone."""
    text = refused(alerts={"webhook_headers": given})
    assert "alerts.webhook_headers" in text
    assert said in text


def test_headers_as_lines() -> None:
    """As a credential has them."""
    assert Headers().check("A: b\n\n C :d: e \n") == "A: b\nC: d: e"
    assert Headers().check({}) == Headers().check("") == ""


def test_events_are_some_of_the_kinds() -> None:
    """A word that is none is told by its number, with all there are."""
    kind = SomeOf(("problem", "gap"))
    assert kind.check(["gap"]) == ("gap",)
    assert kind.check([]) == ()
    for wrong in ("gap", ["gap", "hidden"], [5], {"a": 1}):
        with pytest.raises(ValueError) as caught:
            kind.check(wrong)
        assert "hidden" not in str(caught.value)


INSTALLED = """
import apprise, json
if hasattr(apprise.common, "NOTIFY_SCHEMA_MAP"):
    found = apprise.common.NOTIFY_SCHEMA_MAP
else:
    from apprise.manager_plugins import NotificationManager
    found = NotificationManager().schemas()
print(json.dumps(sorted(found)))
"""


@pytest.mark.slow
def test_every_scheme_of_the_installed_apprise_is_known() -> None:
    """Those of Debian 12's and of Debian 13's, wherever this runs."""
    command = [sys.executable, "-W", "ignore", "-c", INSTALLED]
    installed = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert len(installed) > 100
    assert set(installed) - SCHEMES == set()
