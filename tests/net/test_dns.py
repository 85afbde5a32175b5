"""A resolver that never answers holds nobody up, and threads do not pile up behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
# In a network of its own, with its own resolver on loopback; nothing of it is seen outside.
INSIDE = """
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
exec "$2" -m tests.net.dns_child
"""


@pytest.mark.namespaces
def test_a_hung_resolver(tmp_path: Path) -> None:
    """Lookups end at their deadline, one thread serves them all, the cause is dns; and an answer is taken when it comes."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", INSIDE, "sh", str(tmp_path), sys.executable],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    for name in ("hung", "beat", "again"):
        assert seen[name]["cause"] == "dns"
        assert 0.25 < seen[name]["took_s"] < 2
    assert "did not answer" in seen["hung"]["detail"]
    assert seen["threads"] == ["lookup worker.example"]
    assert seen["unknown"]["cause"] == "dns"
    assert "other.example" in seen["unknown"]["detail"]
    assert seen["unknown"]["took_s"] < 8
