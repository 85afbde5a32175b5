"""Where and when alerts are sent: the sections [alerts] and [[channel]]."""

from dataclasses import dataclass

from heartbeatd.config.channel_urls import ChannelUrl
from heartbeatd.config.options import Number, OneOf, Text, Whole
from heartbeatd.config.paths import Path
from heartbeatd.config.schema import REQUIRED, option
from heartbeatd.config.secrets import Secret
from heartbeatd.config.several import Headers, SomeOf, headers_of
from heartbeatd.config.urls import Url
from heartbeatd.core.alerting import Event

_CHANNEL = Text('lower-case letters, digits and "-", at most 32', r"[a-z0-9-]", longest=32)
WEBHOOK = "webhook"  # the name of the channel that `alerts.webhook_url` is


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig:
    webhook_url: Secret = option(
        Url(),
        "",
        "Where alerts are posted. A user name and password, as in https://USER:PASSWORD@HOST/PATH, are sent as Basic "
        "authentication; in them / ? # @ are written %2F %3F %23 %40.",
        example="http://127.0.0.1:5678/webhook/heartbeat",
        secret=True,
    )
    timeout_seconds: float = option(Number(0.1, 60), 2.0, "Seconds for one try to deliver an alert.")
    ca_file: str = option(
        Path(optional=True),
        "",
        "A PEM file of certificate authorities to trust for webhook_url beside the system's own.",
    )
    webhook_headers: Secret = option(
        Headers(),
        {},
        "Headers to send to the webhook, for n8n's header authentication, a bearer token or Cloudflare Access. "
        "`heartbeatctl set-secret webhook_headers` keeps them encrypted in place of this: a line `Name: value` for each.",
        example={"Authorization": "Bearer TOKEN"},
        secret=True,
    )
    alert_after: int = option(
        Whole(1, 1000),
        2,
        "Consecutive bad cycles before a change to bad is announced: a single lost heartbeat is no outage. While this host has "
        "no internet they are 6 or 3 times as many, whichever is more.",
    )
    recover_after: int = option(Whole(1, 1000), 1, "Consecutive good cycles before a recovery is announced.")
    language: str = option(
        OneOf(("en", "es")),
        "en",
        "The language of alerts: English or Spanish. What programs read, the journal's other lines and commands stay English.",
    )
    gap_alert_seconds: int = option(
        Whole(0, 31_536_000),
        120,
        "After a start: how long no cycle may have run, because of a stop, a crash or a power cut, before that is announced; "
        "0 is never.",
    )

    @property
    def header_secrets(self) -> tuple[str, ...]:
        """The values in `webhook_headers`, and what stands behind a word like Bearer in them."""
        values = headers_of(self.webhook_headers.reveal()).values()
        return (*values, *(value.rpartition(" ")[2] for value in values))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """`url` is what stands in the file. The one in force may come from a credential or a file that only the notifier can read."""

    name: str = option(_CHANNEL, REQUIRED, "What it is called in messages and by heartbeatctl.", example="phone")
    url: Secret = option(
        ChannelUrl(),
        "",
        "Where it leads, as a URL of Apprise (apprise(1)): e-mail, ntfy, Telegram, Matrix and a hundred others. "
        "`heartbeatctl set-secret channel.NAME` keeps it encrypted in place of this, out of the agent's own reach.",
        example="mailtos://USER:PASSWORD@example.org?to=me@example.org",
        secret=True,
    )
    url_file: str = option(
        Path(optional=True),
        "",
        "A file that holds the URL, in place of url; the user heartbeat-notify has to be able to read it.",
        shown=False,  # it may be the URL itself, put into the wrong setting
    )
    timeout_seconds: float = option(
        Number(0.1, 60), 20.0, "Seconds for one try to deliver an alert. A mail server may take some."
    )
    min_severity: str = option(
        OneOf(("info", "warning", "critical")), "info", "How severe an alert has to be to be sent here."
    )
    events: tuple[str, ...] = option(SomeOf(tuple(Event)), (), "Which kinds of alert are sent here.")
