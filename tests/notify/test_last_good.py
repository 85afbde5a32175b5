"""The copy of the configuration that was good last: when it is made, when it is used, and who can read it."""

import base64
from pathlib import Path

import pytest

from heartbeatd.core.delivery import Channel, Failure
from heartbeatd.core.subject import Severity
from heartbeatd.notify.protocol import Listed, Reached
from tests.support.notifier import about, ask, checked, listed
from tests.support.receiver import WEBHOOK, Receiver

GOOD = '[agent]\nhostname = "nas"\n[alerts]\nwebhook_url = "http://127.0.0.1:9/hook"\nlanguage = "es"\n'
SPOILT = [
    GOOD + "nonsense =\n",
    "\xff",
    GOOD.replace('"http', '"jttp'),
    GOOD + '[[channel]]\nname = "a"\n[[channel]]\nname = "a"\n',
    GOOD + "[[channel]]\n",
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The folder that systemd makes for the notifier."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def test_which_channels_there_are(config: Path) -> None:
    """With what decides whether they take an alert, and what an alert is made with; no secret."""
    config.write_text(
        GOOD + '[[channel]]\nname = "phone"\nurl = "json://hidden/"\nmin_severity = "critical"\nevents = ["failure"]\n'
    )
    assert listed(config) == Listed(
        (Channel("webhook", 2.0), Channel("phone", 20.0, Severity.CRITICAL, ("failure",))), "nas", "es"
    )
    config.write_text("")
    assert listed(config) == Listed(())


def test_a_long_list_arrives_whole(config: Path) -> None:
    config.write_text("".join(f'[[channel]]\nname = "channel-{n}"\nevents = ["gap", "test"]\n' for n in range(200)))
    assert len(listed(config).channels) == 200


def test_a_good_file_is_kept(config: Path, cache: Path) -> None:
    """As it stands, whoever asks for what; what is wrong in other sections does not matter."""
    for text in (GOOD, GOOD + "[heartbeat]\nurl = 3\n", GOOD):
        config.write_text(text)
        listed(config, CACHE_DIRECTORY=str(cache))
        assert [(kept.name, kept.read_text()) for kept in cache.iterdir()] == [("config.toml", text)]


@pytest.mark.parametrize("text", SPOILT)
def test_a_file_that_is_refused_gives_way_to_the_copy(config: Path, cache: Path, text: str) -> None:
    """And is not kept. Without a copy what can be used of it is used, which may be nothing."""
    with Receiver() as receiver:
        good = GOOD.replace("http://127.0.0.1:9/hook", receiver.url(WEBHOOK))
        config.write_text(good)
        listed(config, CACHE_DIRECTORY=str(cache))
        config.write_text(text, encoding="latin-1")
        assert listed(config, CACHE_DIRECTORY=str(cache)) == Listed((Channel("webhook", 2.0),), "nas", "es")
        said = ask(config, about("webhook"), CACHE_DIRECTORY=str(cache))
        assert said.failure is None, said
        assert (cache / "config.toml").read_text() == good
        assert len(receiver.received(WEBHOOK)) == 1


def test_a_check_is_of_the_file_as_it_stands(config: Path, cache: Path) -> None:
    """It says what is wrong with it."""
    config.write_text(GOOD)
    listed(config, CACHE_DIRECTORY=str(cache))
    config.write_text(SPOILT[0])
    report = checked(config, "webhook", CACHE_DIRECTORY=str(cache))
    assert report.reached is Reached.NOTHING
    assert str(config) in report.reason


def test_a_folder_that_cannot_be_written_keeps_no_alert_from_leaving(config: Path, tmp_path: Path) -> None:
    config.write_text(GOOD)
    assert listed(config, CACHE_DIRECTORY=str(tmp_path / "nowhere")).hostname == "nas"


def test_a_credential_that_cannot_be_decrypted_gives_way_to_the_file(config: Path, tmp_path: Path) -> None:
    """Somebody is told; a check says what is wrong, and without an address in the file so does a try."""
    (tmp_path / "heartbeat.stored").write_text("heartbeat.webhook_url -\nend\n")
    given = str(tmp_path)
    with Receiver() as receiver:
        config.write_text(f'[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
        assert ask(config, about("webhook"), CREDENTIALS_DIRECTORY=given).failure is None
        assert "cannot be decrypted" in checked(config, "webhook", CREDENTIALS_DIRECTORY=given).reason
        config.write_text("")
        said = ask(config, about("webhook"), CREDENTIALS_DIRECTORY=given)
        assert said.failure is Failure.DOWN
        assert "cannot be decrypted" in said.reason
        assert listed(config, CREDENTIALS_DIRECTORY=given).channels == (Channel("webhook", 2.0),)
        url = base64.b64encode(receiver.url(WEBHOOK).encode()).decode()
        (tmp_path / "heartbeat.stored").write_text(f"heartbeat.webhook_url {url}\nend\n")
        assert ask(config, about("webhook"), CREDENTIALS_DIRECTORY=given).failure is None


def test_whether_there_is_a_webhook_is_known_with_the_credentials_only(config: Path, tmp_path: Path) -> None:
    """One that stands in for the unit's, and was passed them all, knows; one that was not cannot."""
    config.write_text("")
    assert listed(config, "--stand-in").channels == (Channel("webhook", 2.0),)
    (tmp_path / "heartbeat.stored").write_text("end\n")
    assert listed(config, "--stand-in", CREDENTIALS_DIRECTORY=str(tmp_path)).channels == ()
