"""Measures how soon an alert of the installed agent arrives: `make bench` as root, or `python3 -m tests.bench.alerts_installed`.

On a booted Debian, where systemd starts the notifier in its sandbox for each try. Two minutes, and as much for a first boot.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.alerts import ARRIVES_MS, CHANGES, channel_toml
from tests.bench.figures import Figure, table
from tests.bench.stage import build_package, copy_in, say
from tests.support.receiver import WORKER, Receiver
from tests.support.wait import wait_until
from tests.system.host import BootedHost
from tests.system.tree import PREPARED, SUITES


def main() -> int:
    """Print a table. Exit status: 0 done, 130 interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0], help="the Debian (default: %(default)s)")
    parser.add_argument(
        "--lives", type=int, default=3, help=f"of the agent, {CHANGES} alerts each (default: %(default)s)"
    )
    wanted = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="hb-alerts-") as folder, BootedHost(wanted.suite, (), PREPARED) as host:
            say("building the package, and installing it and apprise")
            copy_in(host, build_package(Path(folder)), "/srv/heartbeatd.deb")
            host.run("apt-get update -qq", timeout_s=180)
            host.run("apt-get install -y -qq --no-install-recommends /srv/heartbeatd.deb apprise", timeout_s=400)
            columns = [_figures(host, channel, wanted.lives) for channel in ("webhook", "json")]
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    print(table(["webhook", "json://"], columns))
    return 0


def _figures(host: BootedHost, channel: str, lives: int) -> list[Figure]:
    say(f"{channel}: {lives * CHANGES} alerts")
    late_ms = [ms for _ in range(lives) for ms in _life(host, channel)]
    most = ARRIVES_MS if channel == "webhook" else None
    return [
        Figure("cycle's end to arrival: median", median(late_ms), "ms"),
        Figure("cycle's end to arrival: most", max(late_ms), "ms", most),
    ]


def _life(host: BootedHost, channel: str) -> list[float]:
    """On an empty database. A cycle has ended when its line is in the journal, by the clock that the machine has one of."""
    host.run("systemctl stop heartbeatd; rm -f /var/lib/heartbeat/*; journalctl --rotate --vacuum-time=1s", check=False)
    with Receiver() as receiver:
        receiver.answer(WORKER, *[200] * 4, *([503] * 4 + [200] * 4) * (CHANGES // 2))
        host.path("/etc/heartbeat/config.toml").write_text(
            f'[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n'
            f'[internet]\nurl = "{receiver.url("/")}"\ntimeout_seconds = 0.3\n'
            f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\ntimeout_seconds = 0.3\n'
            f"{channel_toml(channel, receiver.url('/alert'))}"
        )
        host.run("systemctl start heartbeatd")
        wait_until(lambda: len(receiver.received("/alert")) >= CHANGES)
        arrivals_s = [alert.at_s for alert in receiver.received("/alert")][:CHANGES]
    lines = map(json.loads, host.out("journalctl -u heartbeatd -o json").splitlines())
    ends_s = [int(line["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in lines if str(line["MESSAGE"]).startswith("cpu ")]
    return [min(at_s - end_s for end_s in ends_s if end_s <= at_s) * 1000 for at_s in arrivals_s]


if __name__ == "__main__":
    sys.exit(main())
