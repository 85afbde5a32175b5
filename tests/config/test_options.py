"""Single settings: what a URL and the path of the database may be, and what is said of the others."""

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.config.load import parse
from heartbeatd.config.paths import of_the_system
from heartbeatd.config.urls import Url
from heartbeatd.errors import ConfigError
from heartbeatd.net.target import Target

ESCAPES = "/ ? # @ are written %2F %3F %23 %40"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://a..b/", "two dots in a row"),
        ("http://.a/", "two dots in a row, or begins with one"),
        (f"http://{'a' * 64}.example/", "more than 63 characters"),
        ("http://" + "a." * 127 + "example/", "longer than 253"),
        ("http://a_b!c/", "more than letters, digits"),
        ("http://-a.example/", 'a "-" beside a dot'),
        ("http://a%20b/", "more than letters"),
        ("http://a\\b/", "more than letters"),
        ("http://./", "names no host"),
        ("http:///path", "names no host"),
        ("http://:80/", "names no host"),
        ("http://u:p@/", "names no host"),
        ("http://::1/", "an IPv6 address stands in [ ]"),
        ("http://[::1/", "an IPv6 address stands in [ ]"),
        ("http://[::g]/", "not an IPv6 address"),
        ("http://[1.2.3.4]/", "not an IPv6 address"),
        ("http://[fe80::1%e/x]/", "neither a name nor an address"),
        ("http://host:0/", "from 1 to 65535"),
        ("http://host:65536/", "from 1 to 65535"),
        ("http://host:+80/", "from 1 to 65535"),
        ("http://host:\u0661/", "outside ASCII"),
        ("http://host:8o/", "from 1 to 65535"),
        ("https:/host/", "begins neither with https:// nor with http://"),
        ("host/path", "begins neither with"),
        ("https://n8n:pass/word@host/", ESCAPES),
        ("https://n8n:1234/x@host/", ESCAPES),
        ("https://n8n:1234?x@host/", ESCAPES),
        ("https://n8n:1234#x@host/", ESCAPES),
        ("https://host/#part", ESCAPES),
        ("https://host/x?mail=a@b", ESCAPES),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str, what: str) -> None:
    """Before anything is asked to look it up; a mark in a password is said to be written in another way."""
    with pytest.raises(ConfigError) as caught:
        parse({"alerts": {"webhook_url": url}}, "file")
    (problem,) = caught.value.problems
    assert what in problem.what


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://host", "host", 80),
        ("HTTPS://Host.Example./x", "host.example.", 443),
        ("http://a_b.example:5678/webhook", "a_b.example", 5678),
        ("http://n8n:p%40ss%2Fword%23%3F@127.0.0.1:1/?t=1", "127.0.0.1", 1),
        ("http://u:p@ss:w@host/", "host", 80),
        ("http://[::1]:5678/x", "::1", 5678),
        ("http://[fe80::1%eth0]/x", "fe80::1%eth0", 80),
        ("http://host:/x", "host", 80),
        ("http://host?x=1", "host", 80),
    ],
)
def test_a_url_that_leads_somewhere_is_taken(url: str, host: str, port: int) -> None:
    """And is understood by what sends the request."""
    assert parse({"alerts": {"webhook_url": url}}).alerts.webhook_url.reveal() == url
    target = Target.of(url)
    assert (target.host, target.port) == (host, port)


@given(st.from_regex(r"https?://[!-~]{0,30}", fullmatch=True))
def test_a_url_that_is_taken_is_one_to_urlsplit(url: str) -> None:
    """What is accepted here can be taken apart later without an error, with the same host and port."""
    try:
        Url().check(url)
    except ValueError:
        return
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port != 0
    assert "@" not in parts.path + parts.query


@pytest.mark.parametrize(
    "path",
    [
        "/metrics.db",
        "//metrics.db",
        "/./metrics.db",
        "/etc/metrics.db",
        "//etc/metrics.db",
        "/etc/heartbeat/metrics.db",
        "/var/metrics.db",
        "/var/lib/metrics.db",
        "/home/metrics.db",
        "/root/metrics.db",
        "/boot/x/metrics.db",
        "/tmp/metrics.db",
        "/usr/metrics.db",
        "/usr/lib/x/metrics.db",
        "/srv/metrics.db",
        "/proc/1/metrics.db",
        "/dev/shm/metrics.db",
        "/run/metrics.db",
    ],
)
def test_a_database_in_a_folder_of_the_system_is_refused(path: str) -> None:
    """The agent has to be able to write in the folder, and no such folder can be given to it."""
    with pytest.raises(ConfigError, match="its folder belongs to the system") as caught:
        parse({"storage": {"path": path}}, "file")
    assert "in a folder of its own" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/srv/x/../../etc/metrics.db", "it has .. in it"),
        ("/srv/x/", "the path of a folder"),
        ("/srv/x/.", "the path of a folder"),
        ("srv/x", "does not begin with /"),
        ("", "does not begin with /"),
        ("/srv/x\0/y", "a NUL"),
    ],
)
def test_a_path_that_is_no_file_is_refused(path: str, what: str) -> None:
    """With the reason."""
    with pytest.raises(ConfigError) as caught:
        parse({"storage": {"path": path}}, "file")
    assert what in caught.value.problems[0].what


@pytest.mark.parametrize(
    "path", ["/var/lib/heartbeat/metrics.db", "/srv/x/metrics.db", "/root/heartbeatd/var/metrics.db", "/mnt/m.db"]
)
def test_a_database_in_a_folder_of_its_own_is_taken(path: str) -> None:
    """Whether it is there already is not asked here."""
    assert parse({"storage": {"path": path}}).storage.path == path


def test_a_database_is_a_file_in_a_folder_that_is_what_it_looks_like(tmp_path: Path) -> None:
    """No folder, no FIFO, and no way into a folder of the system by another name."""
    (tmp_path / "link").symlink_to("/etc")
    for path, what in (
        (tmp_path, "it is a folder, not a regular file"),
        (tmp_path / "link/metrics.db", "leads to one that belongs"),
    ):
        with pytest.raises(ConfigError, match=what):
            parse({"storage": {"path": str(path)}}, "file")


@given(st.text(st.characters(blacklist_characters="/\0"), min_size=1))
def test_a_folder_of_ones_own_is_never_the_systems(name: str) -> None:
    """Below /srv and /var/lib there are others' folders."""
    if name not in (".", ".."):
        assert not of_the_system(PurePosixPath("/srv") / name)
        assert of_the_system(PurePosixPath("/etc") / name)
