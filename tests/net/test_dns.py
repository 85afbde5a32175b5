"""Name servers that are silent, late, or filter: nobody is held up, threads do not pile up, and late answers are of use."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.nameservers import listed
from heartbeatd.net.resolve import Resolver

CHECKOUT = Path(__file__).resolve().parents[2]
# In a network of its own, with its own resolver on loopback; nothing of it is seen outside.
INSIDE = """
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
mount --bind "$1/hosts" /etc/hosts
exec "$2" -m "$4" "$3"
"""


def seen(folder: Path, case: str, resolv_conf: str, child: str = "tests.net.dns_child") -> dict[str, Any]:
    """What a case of `child` saw."""
    (folder / "resolv.conf").write_text(resolv_conf)
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n0.0.0.0 filtered-by-hosts.example\n")
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", INSIDE, "sh", str(folder), sys.executable, case, child],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.namespaces
def test_a_hung_resolver(tmp_path: Path) -> None:
    """Lookups end at their deadline, one thread serves them all, the cause is dns; and an answer is taken when it comes."""
    found = seen(tmp_path, "hung", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    for name in ("hung", "beat", "again"):
        assert found[name]["cause"] == "dns"
        assert 0.25 < found[name]["took_s"] < 20  # and not the 30 s of resolv.conf
    assert "did not answer" in found["hung"]["detail"]
    assert found["threads"] == ["lookup worker.example"]
    assert found["unknown"]["cause"] == "dns"
    assert "other.example" in found["unknown"]["detail"]
    assert found["unknown"]["took_s"] < 50


@pytest.mark.namespaces
@pytest.mark.timing  # 0.6 s of patience beside the second that glibc has
def test_the_first_of_two_name_servers_is_dead(tmp_path: Path) -> None:
    """The first beat is lost; the late answer serves those after it, is replaced by each later one, and ends with the fault."""
    found = seen(tmp_path, "dead first", "nameserver 127.0.0.2\nnameserver 127.0.0.3\noptions timeout:1 attempts:1\n")
    assert (found["first"]["cause"], found["first"]["detail"]) == (
        "dns",
        "the resolver did not answer for worker.example",
    )
    assert (found["second"].get("status"), found["third"].get("status")) == (200, 200)
    assert found["before it changed"]["addresses"] == ["127.0.0.1"]
    assert found["after it changed"]["addresses"] == ["127.0.0.9"]
    assert found["healed"]["addresses"] == ["127.0.0.4"]
    assert found["silent again"]["cause"] == "dns"


@pytest.mark.namespaces
def test_an_address_that_changes(tmp_path: Path) -> None:
    """A kept connection to the old address is good as long as it answers; once it does not, the name is looked up anew."""
    found = seen(tmp_path, "moved", "nameserver 127.0.0.1\n")
    assert found == {"statuses": [200] * 5, "old": 1, "new": 1}


@pytest.mark.namespaces
def test_a_name_that_a_filter_blocks(tmp_path: Path) -> None:
    """Said to be blocked, cause dns, and never a connection to this host itself; loopback addresses are taken as they are."""
    found = seen(tmp_path, "filtered", "nameserver 127.0.0.1\n")
    assert found["beat"]["cause"] == "dns"
    assert found["beat"]["detail"] == "blocked.example is blocked by a DNS filter, which answers 0.0.0.0"
    assert found["connections"] == 0
    assert found["loopback"]["addresses"] == ["127.0.0.5"]
    assert found["nobody"]["cause"] == "refused"
    assert found["nobody"]["detail"] == "Connection refused (filtered.example is 127.0.0.5, which is this host itself)"
    assert "blocked by a DNS filter" in found["hosts"]["detail"]


@pytest.mark.namespaces
def test_which_name_server_is_silent(tmp_path: Path) -> None:
    """The one that never answers and the one where nobody listens; not one that lost a packet; within the time."""
    found = seen(tmp_path, "silent", "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4\n")
    assert found["silent"] == ["127.0.0.2", "127.0.0.4"]
    assert 1.4 < found["took_s"] < 30
    assert found["lossy"] == []
    assert found["lossy_s"] < 50


def test_the_servers_of_resolv_conf(tmp_path: Path) -> None:
    """In their order, three at the most; 127.0.0.1 for none; no trouble with whatever the file is."""
    conf = tmp_path / "resolv.conf"
    assert listed(conf) == ("127.0.0.1",)
    conf.write_text(
        "# nameserver 9.9.9.9\nsearch a\nnameserver 192.0.2.1\nnameserver fe80::1%lo\nnameserver\nnameserver x..y\n"
        "nameserver 192.0.2.1\nnameserver 192.0.2.3\n"
    )
    assert listed(conf) == ("192.0.2.1", "fe80::1%lo")
    conf.write_bytes(b"\xff\x00nameserver\n" * 100_000)
    assert listed(conf) == ("127.0.0.1",)


@pytest.mark.parametrize("host", ["a..b", ".a", "x" * 64 + ".example", "x" * 300])
def test_what_is_no_host_name(host: str) -> None:
    """Cause dns, and words for it, not a traceback."""
    cancel = CancelToken()
    with pytest.raises(RequestError, match="is no host name") as caught:
        Resolver().lookup(host, 80, cancel.deadline(60), cancel)
    assert caught.value.cause is Cause.DNS
    assert len(caught.value.detail) < 400
