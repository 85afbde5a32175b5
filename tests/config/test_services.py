"""`[[service]]`: what is taken, and what is refused."""

import pytest

from heartbeatd.config.load import parse
from heartbeatd.config.services import service_of
from heartbeatd.core.service import Expected, Service, ServiceKind
from heartbeatd.core.subject import Severity
from heartbeatd.errors import ConfigError

WEB: dict[str, object] = {"name": "web", "check": "https://u:p@shop.example/health?key=hidden-value"}


def refused(*services: dict[str, object]) -> str:
    """What is said of them."""
    with pytest.raises(ConfigError) as caught:
        parse({"service": list(services)}, "config.toml")
    return str(caught.value)


def taken(**settings: object) -> Service:
    """The service of one section."""
    (config,) = parse({"service": [{**WEB, **settings}]}).services
    return service_of(config)


def test_a_section_becomes_a_service() -> None:
    """With its defaults, and with all keys."""
    assert taken() == Service("web", ServiceKind.HTTP, str(WEB["check"]))
    every = {
        "every": "30s",
        "timeout": "2s",
        "status": "200, 3xx",
        "text": "ok",
        "header": "Server: nginx",
        "for": "0s",
    }
    made = taken(**every, resolve="192.0.2.1", certificate_days=30, severity="warning")
    expected = Expected(((200, 200), (300, 399)), "ok", ("Server", "nginx"))
    assert made == Service(
        "web", ServiceKind.HTTP, str(WEB["check"]), 30, 2, expected, "192.0.2.1", 30, Severity.WARNING, 0
    )


@pytest.mark.parametrize(
    ("check", "kind", "at", "shown"),
    [
        ("HTTP://shop/", "http", "HTTP://shop/", "http://shop/"),
        ("tcp://db.lan:5432", "tcp", "db.lan:5432", "tcp://db.lan:5432"),
        ("tcp://[::1]:22", "tcp", "[::1]:22", "tcp://[::1]:22"),
        ("unit:nginx.service", "unit", "nginx.service", "unit:nginx.service"),
        ("unit:getty@tty1.service", "unit", "getty@tty1.service", "unit:getty@tty1.service"),
        ("container:web-1", "container", "web-1", "container:web-1"),
    ],
)
def test_where_it_is(check: str, kind: str, at: str, shown: str) -> None:
    """Each kind of check, and how it is shown."""
    made = taken(check=check)
    assert (made.kind, made.at, made.shown) == (kind, at, shown)


def test_no_secret_is_shown() -> None:
    """The parts of a URL that may be secret are known as such, and in nobody's repr."""
    config = parse({"service": [WEB]})
    assert {"u:p", "p", "hidden-value"} <= set(config.secrets)
    assert "hidden-value" not in repr(config) + repr(taken()) + taken().shown
    assert "hidden" not in refused({**WEB, "check": "https://hidden/x@y/"})


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        ({"check": "tcp://a:1"}, "service[1].name: is missing"),
        ({"name": "", "check": "tcp://a:1"}, "service[1].name: is empty"),
        ({"name": "web"}, "service[1].check: is missing"),
        ({**WEB, "name": "a b"}, "service[1].name: character 2 of it is not allowed"),
        ({**WEB, "check": "ftp://a/"}, "service[1].check: it begins with none of them"),
        ({**WEB, "check": "tcp://a"}, "service[1].check: it is not tcp://HOST:PORT"),
        ({**WEB, "check": "tcp://a:0"}, "service[1].check: it is not tcp://HOST:PORT"),
        ({**WEB, "check": "tcp://::1:22"}, "service[1].check: it is not tcp://HOST:PORT"),
        ({**WEB, "check": "unit:--help"}, "what stands behind unit: is no name that a unit can have"),
        ({**WEB, "check": "unit:a b"}, "what stands behind unit: is no name that a unit can have"),
        ({**WEB, "check": "container:/a"}, "what stands behind container: is no name that a container can have"),
        ({**WEB, "status": "200,"}, "service[1].status: word 2 of it is no status"),
        ({**WEB, "status": 200}, "service[1].status: it is a whole number; write it in quotes"),
        ({**WEB, "header": "Server"}, "service[1].header: it is no name, colon and value"),
        ({**WEB, "resolve": "nas"}, "service[1].resolve: it is no IP address"),
        ({**WEB, "every": "0s"}, "service[1].every: it is out of range"),
        ({**WEB, "every": "3s"}, "service[1].timeout: is longer than every (set it to less)"),
        ({**WEB, "check": "tcp://a:1", "text": "x"}, "service[1].text: says nothing of a tcp check (remove it)"),
        ({**WEB, "check": "unit:a", "resolve": "::1"}, "service[1].resolve: says nothing of a unit check"),
    ],
)
def test_what_is_refused(service: dict[str, object], problem: str) -> None:
    """With the key path, what is wrong, and what would be right."""
    assert problem in refused(service)


def test_names_are_unique_and_there_are_so_many() -> None:
    """Two of one name could not be told apart."""
    assert "service[2].name: is that of service[1], too" in refused(WEB, WEB)
    assert "there are 101 of these (allowed: at most 100)" in refused(*({**WEB, "name": f"w{n}"} for n in range(101)))
