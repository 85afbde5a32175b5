"""The name a host goes by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.config.model import kind_of
from heartbeatd.core.hostname import HostNames, name_in_file, name_in_force, plain_name, unhelpful_name

names = st.builds(HostNames, st.text(max_size=64), st.text(max_size=64))


@given(names, names)
def test_any_bytes_give_a_name_that_can_be_sent(at_start: HostNames, now: HostNames) -> None:
    """Whatever the kernel and the file hold, the name is one that `agent.hostname` allows, and not empty."""
    found = name_in_force(at_start, now)
    assert found
    kind_of("agent.hostname").check(found)


@pytest.mark.parametrize(
    ("at_start", "now", "name"),
    [
        (HostNames("old", "old"), HostNames("old", "old"), "old"),
        # hostnamectl, seen from inside the sandbox: the file is new, the kernel's name a copy from the start.
        (HostNames("old", "old"), HostNames("old", "new"), "new"),
        # hostnamectl, seen from outside of one.
        (HostNames("old", "old"), HostNames("new", "new"), "new"),
        # A transient name, from DHCP or `hostname NAME`, goes before the file's as long as that is not changed.
        (HostNames("lease-7", "old"), HostNames("lease-7", "old"), "lease-7"),
        (HostNames("lease-7", ""), HostNames("lease-7", ""), "lease-7"),
        (HostNames("old", "old"), HostNames("old", ""), "old"),
        (HostNames("", "old"), HostNames("", "old"), "old"),
        (HostNames("(none)", ""), HostNames("(none)", ""), "localhost"),
        (HostNames("\udcff\udcffweb", ""), HostNames("\udcff\udcffweb", ""), "--web"),
        (HostNames("\x1b[2Jweb\n1", ""), HostNames("\x1b[2Jweb\n1", ""), "--2Jweb-1"),
    ],
)
def test_the_name_that_changed_counts(at_start: HostNames, now: HostNames, name: str) -> None:
    """The kernel's, until /etc/hostname has changed and the kernel's has not."""
    assert name_in_force(at_start, now) == name


@pytest.mark.parametrize(
    ("text", "name"), [("web\n", "web"), ("# mine\n\n  web  \nother\n", "web"), ("", ""), ("#\n", "")]
)
def test_the_name_in_the_file(text: str, name: str) -> None:
    """The first line that is neither empty nor a comment."""
    assert name_in_file(text) == name


@pytest.mark.parametrize("name", ["localhost", "Debian", "raspberrypi", "debian.lan", "--", "localhost.localdomain"])
def test_a_name_that_many_hosts_have(name: str) -> None:
    """What an installer or an image called it."""
    assert unhelpful_name(name)


@pytest.mark.parametrize("name", ["nas", "web-1", "debian-kitchen", "pi4.lan", "b-ro"])
def test_a_name_of_its_own(name: str) -> None:
    """Somebody chose it."""
    assert not unhelpful_name(name)


def test_a_plain_name_is_left_alone() -> None:
    """What `agent.hostname` allows is what it was."""
    assert plain_name("Web-1.example_net") == "Web-1.example_net"
