"""What the notifier takes for the credentials that were stored for it."""

import base64

import pytest

from heartbeatd.config.secrets import Origin, OriginKind
from heartbeatd.config.stored import parse


def line(identifier: str, text: str) -> str:
    """As the helper writes it."""
    return f"{identifier} {base64.b64encode(text.encode()).decode()}\n"


def test_each_is_found_by_its_name() -> None:
    """Encrypted or as it is, with where it came from."""
    found = parse(
        (
            line("heartbeat.webhook_url", "http://x/")
            + line("heartbeat.webhook_headers.plain", "A: b\nC: d")
            + line("heartbeat.channel_phone", "json://x")
            + line("heartbeat.channel.plain_tablet", "json://y")
            + "end\n"
        ).encode()
    )
    assert found is not None
    assert {name: one.data for name, one in found.items()} == {
        "heartbeat.webhook_url": b"http://x/",
        "heartbeat.webhook_headers": b"A: b\nC: d",
        "heartbeat.channel_phone": b"json://x",
        "heartbeat.channel_tablet": b"json://y",
    }
    assert found["heartbeat.channel_tablet"].origin == Origin(
        OriginKind.CREDENTIAL, "/etc/credstore/heartbeat.channel.plain/tablet", "heartbeat.channel.plain_tablet"
    )
    assert found["heartbeat.channel_phone"].origin.path == "/etc/credstore.encrypted/heartbeat.channel/phone"
    assert not any(one.spoilt for one in found.values())


def test_the_encrypted_one_wins() -> None:
    """Also where it cannot be decrypted: the other is an older one."""
    plain, spoilt = line("heartbeat.webhook_url.plain", "http://old/"), "heartbeat.webhook_url -\n"
    for lines in (plain + spoilt, spoilt + plain):
        found = parse(f"{lines}end\n".encode())
        assert found is not None
        assert found["heartbeat.webhook_url"].spoilt


@pytest.mark.parametrize("text", ["", "\n", "end of it\n", line("heartbeat.webhook_url", "x"), "\udcff"])
def test_what_was_cut_off_is_nothing(text: str) -> None:
    """Nobody can tell then whether there is one."""
    assert parse(text.encode(errors="surrogateescape")) is None


def test_rubbish_is_no_credential() -> None:
    """A name that nobody asks for does no harm; what is no base64 cannot be decrypted."""
    found = parse(b"heartbeat.webhook_url %%%\n\nend\n")
    assert found is not None
    assert found["heartbeat.webhook_url"].spoilt
