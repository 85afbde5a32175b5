"""Agent and notifier killed at any moment, as systemd runs them, while the Worker and the webhook go down and up.

What is stored is held against what the webhook took: each alert arrived, under one event id, in order. The faults of the alarm
path do the same at length, with a second channel and a clock that is set, and the notifier as the agent's child.
"""

import itertools
import json
import random
import time
from contextlib import suppress

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import configure, reporting
from tests.system.host import BootedHost

KILLS = 50
DATABASE = "/var/lib/heartbeat/metrics.db"
DROP_IN = "/run/systemd/system/heartbeatd.service.d/soon.conf"
KILL = "systemctl kill --signal=KILL {} 2>/dev/null || :"
AGENT, TRIES = "heartbeatd.service", "'heartbeatd-notify@*'"
ANSWERS = (200, 200, 404, 503)  # of the webhook


def test_no_alert_is_lost_or_told_under_two_ids(installed: BootedHost, receiver: Receiver) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    installed.path(DROP_IN).parent.mkdir(exist_ok=True)
    installed.path(DROP_IN).write_text("[Service]\nRestartSec=1s\n")
    configure(installed, reporting(receiver, "k").replace("[alerts]\n", "[alerts]\nalert_after = 1\n"))
    installed.run(
        "systemctl daemon-reload; systemctl stop heartbeatd; rm -rf /var/lib/heartbeat/*; systemctl start heartbeatd"
    )
    for status in itertools.islice(itertools.cycle((503, 200, 403, 200)), KILLS):
        receiver.answer(WORKER, status)
        receiver.answer(WEBHOOK, chance.choice(ANSWERS))
        time.sleep(chance.uniform(0, 2.5))
        installed.run(KILL.format(chance.choice((AGENT, TRIES, f"{AGENT} {TRIES}"))))
        # An agent that remembers no change tells the next six at once: what changes often is told ten minutes later.
        installed.run(f'sqlite3 {DATABASE} "UPDATE alert_state SET changes_ns = NULL"', check=False)
    receiver.answer(WORKER, 200)
    receiver.answer(WEBHOOK, 200)
    installed.wait_for("the last alert", lambda: settled(installed), timeout_s=90)
    installed.run(f"systemctl stop heartbeatd; rm {DROP_IN}; systemctl daemon-reload")

    stored = [json.loads(body)["details"] for body in rows(installed, "SELECT body FROM notifications ORDER BY number")]
    ids = rows(installed, "SELECT event_id FROM notifications ORDER BY number")
    changes = [(one["previous"], one["current"]) for one in stored if one["subject"] == "worker"]
    assert len(changes) > 5, seed
    assert [pair for pair in itertools.pairwise(changes) if pair[0][1] != pair[1][0]] == [], seed
    assert changes[-1][1] == "ok", seed
    taken = [one.body["details"]["event_id"] for one in receiver.received(WEBHOOK) if one.answered == 200]
    assert list(dict.fromkeys(taken)) == ids, seed  # at least once, as n8n is promised: a kill may send one again
    left = (
        "systemctl list-units --all --plain --no-legend 'heartbeatd-notify@*'; systemctl --failed --plain --no-legend"
    )
    installed.wait_for("nothing left behind", lambda: installed.out(left) == "")


def rows(host: BootedHost, query: str) -> list[str]:
    """One value a row."""
    return host.out(f'sqlite3 -readonly {DATABASE} "{query}"').splitlines()


def settled(host: BootedHost) -> bool:
    """True once the Worker is ok for all who are told, and nothing waits: what does is tried again now, not in minutes."""
    with suppress(AssertionError):  # the agent has only just been started
        host.run("heartbeatctl alerts retry", check=False)  # 1 if nothing waits
        waiting = "SELECT count(*) FROM deliveries WHERE delivered_ns IS NULL"
        announced = "SELECT announced FROM alert_state WHERE subject = 'worker'"
        return [*rows(host, waiting), *rows(host, announced)] == ["0", "ok"]
    return False
