"""The kind of setting that is an Apprise URL.

The agent never loads Apprise, so the schemes are listed here: those of version 1.2 (Debian 12) and of 1.9 (Debian 13). A test
holds the list against the Apprise that is installed.
"""

import re
from dataclasses import dataclass

from heartbeatd.config.options import Refused, text_of

_LIST = """\
apprise apprises aprs atalk azure bark barks bluesky boxcar bsky bulksms bulkvs burstsms chanify clicksend d7sms dapnet dbus
dingtalk discord emby embys enigma2 enigma2s faast fcm feishu flock form forms freemobile gchat gitter glib gnome gotify
gotifys growl guilded hassio hassios httpsms ifttt join json jsons kavenegar kde kodi kodis kumulos lametric lametrics line
lsea lseas lunasea lunaseas macosx mailgun mailto mailtos mastodon mastodons matrix matrixs misskey misskeys mmost mmosts mqtt
mqtts msg91 msgbird msteams ncloud nclouds nctalk nctalks nexmo notica noticas notifiarr notifico ntfy ntfys o365 onesignal
opsgenie pagerduty pagertree parsep parseps pbul pjet pjets plivo popcorn pover prowl psafer psafers push pushdeer pushdeers
pushed pushme pushy qt reddit resend revolt rocket rockets rsyslog ryver schan sendgrid ses seven sfr signal signals sinch
slack smseagle smseagles smsmanager smsmgr smtp2go sns sparkpost splunk spontit spush strmlabs synology synologys syslog tgram
threema toot toots tweet twilio twist twitter victorops voipms vonage webex wecombot whatsapp windows workflow workflows
wxpusher wxteams x xbmc xbmcs xml xmls zulip"""
SCHEMES = frozenset(_LIST.split())


@dataclass(frozen=True, slots=True)
class ChannelUrl:
    """A URL of Apprise, such as `ntfys://ntfy.sh/TOPIC`, or the https:// address that some services give out."""

    allowed: str = 'a URL of Apprise, such as mailtos://… or ntfys://…, or ""'

    def check(self, value: object) -> str:
        """Raises ValueError without any of the text: nearly all of it may be a secret."""
        text = text_of(value)
        if text == "":
            return text
        if not re.fullmatch(r"[!-~]+", text):
            raise Refused(
                "it has a space or a character outside ASCII", "in a URL they are written %20, %C3%A9 and so on"
            )
        scheme, found, _ = text.partition("://")
        if not found:
            raise ValueError("it is no URL: it has no scheme with :// behind it")
        if scheme.lower() == "http":
            raise Refused(
                "it begins with http://", "n8n is alerts.webhook_url; elsewhere JSON is posted by json:// or jsons://"
            )
        if scheme.lower() not in SCHEMES | {"https"}:
            raise Refused("Apprise knows no such scheme", _nearest(scheme.lower()))
        return text


def _nearest(scheme: str) -> str:
    """The scheme that is most like it, or where all of them are listed."""
    import difflib

    near = difflib.get_close_matches(scheme, sorted(SCHEMES), n=1, cutoff=0.6)
    return f"did you mean {near[0]}://?" if near else "apprise(1) and github.com/caronc/apprise/wiki list all there are"
