"""Injects every fault for real and prints what came of it: `make faults`, or `python3 -m tests.faults [--short] [FAULT…]`.

Needs root. Each fault runs in a process, a network and a mount namespace of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.faults import alarm, clocks, network, process, rules, storage
from tests.faults.stage import Outcome, Stage
from tests.support.agent import CHECKOUT, environment, python
from tests.support.receiver import Receiver

# Fault → what injects it, and for how many seconds (or how often) in the long and in the short form.
FAULTS: dict[str, tuple[Callable[[Stage], Outcome], int, int]] = {
    "name resolution hangs": (network.name_resolution_hangs, 200, 8),
    "first name server dies": (network.first_name_server_dies, 60, 5),
    **{name: (fault, 30, 3) for name, fault in network.WORKER_FAULTS.items()},
    "worker's trailers without end": (network.worker_sends_trailers_without_end, 30, 5),
    "internet check without end": (network.internet_check_without_end, 30, 5),
    "kept connection dies": (network.kept_connection_dies, 60, 9),
    "worker redirects": (network.worker_redirects, 30, 2),
    "worker's certificate is bad": (network.worker_shows_a_bad_certificate, 3, 1),
    "worker closes kept connections": (network.worker_closes_kept_connections, 60, 5),
    "webhook fails": (network.webhook_fails, 60, 10),
    "webhook answers too late": (network.webhook_answers_too_late, 1, 1),
    "one alert refused for good": (network.one_alert_refused, 1, 1),
    "internet and Worker": (network.internet_and_worker, 3, 3),
    "worker fails in two ways": (network.worker_fails_in_two_ways, 60, 12),
    "worker flaps": (network.worker_flaps, 120, 34),
    "IPv6 is black-holed": (network.ipv6_black_holed, 60, 5),
    "disk full": (storage.disk_full, 60, 5),
    "read-only filesystem": (storage.read_only_filesystem, 60, 5),
    "database locked": (storage.locked, 60, 6),
    "database's folder taken away": (storage.folder_taken_away, 60, 5),
    "database damaged": (storage.damaged, 1, 1),
    "database deleted": (storage.deleted, 1, 1),
    "-wal deleted": (storage.wal_deleted, 1, 1),
    "backup copied over": (storage.backup_copied_over, 1, 1),
    "filesystem frozen": (storage.frozen, 60, 5),
    "power cut": (storage.power_cut, 30, 4),
    "power cut, sync = full": (partial(storage.power_cut, sync="full"), 30, 4),
    "database of a later version": (storage.newer_schema, 20, 4),
    "folder not writable": (storage.folder_not_writable, 1, 1),
    "clock stepped": (clocks.clock_is_stepped, 1, 1),
    "clock slewed": (clocks.clock_is_slewed, 120, 8),
    "clock without RTC": (clocks.clock_of_a_machine_without_rtc, 1, 1),
    "outage before a boot": (clocks.outage_before_a_boot, 1, 1),
    "killed while a clock is awaited": (clocks.killed_while_the_clock_is_waited_for, 1, 1),
    "clock set back while off": (clocks.clock_set_back_while_nothing_ran, 1, 1),
    "clock stepped, alert waiting": (clocks.clock_is_stepped_while_an_alert_waits, 1, 1),
    "a long cycle": (clocks.long_cycle, 1, 1),
    "a generous timeout": (clocks.generous_timeout, 15, 5),
    "signals": (clocks.signals_at_any_moment, 90, 9),
    "kill -9": (process.killed_at_any_moment, 300, 8),
    "alarm path killed": (alarm.alarm_path_killed, 300, 12),
    "a mount hangs": (process.hanging_mount, 200, 10),
    "200 containers made anew": (rules.containers_made_anew, 90, 10),
    "1,000 subjects": (rules.a_thousand_subjects, 30, 3),
    "services misbehave": (rules.services_misbehave, 60, 3),
    "clock stepped while for counts": (rules.clock_is_stepped_while_for_counts, 10, 3),
    "a rule removed while bad": (rules.rule_removed_while_bad, 5, 2),
    "kill -9 while a rule tells": (rules.killed_while_a_rule_tells, 100, 12),
    "Docker engine": (process.docker_engine, 90, 10),
    "memory": (process.memory, 90, 10),
}
INSIDE = 'ip link set lo up; mount -t tmpfs tmpfs /dev/shm; exec "$@"'
_HEAD = ("fault", "injected", "on time", "rows", "alerts", "recovered")
_FORM = "{:<31} {:<62} {:>9} {:>9} {:>7} {:>10}"


def inject(name: str, *, short: bool) -> Outcome:
    """Run one fault in namespaces of its own.

    /dev/shm is its own, too: a killed agent leaves what libfaketime keeps there under its pid, and where part of that is left, a
    later agent with the same pid ends at once.
    """
    words = python("tests.faults", "--inside", name, *(["--short"] if short else []))
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", INSIDE, "sh", *words],
        cwd=CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode != 0:
        return Outcome("", problems=[f"exit status {done.returncode}\n{done.stdout}{done.stderr}"])
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Exit status 0 if all held, 1 if something did not."""
    parser = argparse.ArgumentParser(description="Inject faults, and print what came of them.")
    parser.add_argument("--short", action="store_true", help="shorter faults, as `make test` does")
    parser.add_argument("--inside", metavar="FAULT", help=argparse.SUPPRESS)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"one of: {', '.join(FAULTS)} (default: all)")
    arguments = parser.parse_args()
    if arguments.inside:
        print(json.dumps(asdict(_inside(arguments.inside, short=arguments.short))))
        return 0
    for name in set(arguments.faults) - set(FAULTS):
        parser.error(f"there is no fault {name!r}")
    print(_FORM.format(*_HEAD))
    bad = 0
    for name in arguments.faults or FAULTS:
        outcome = inject(name, short=arguments.short)
        recovered = "" if outcome.recovered_s is None else f"{outcome.recovered_s:.1f} s"
        print(
            _FORM.format(name, outcome.injected, outcome.on_time, outcome.rows, outcome.alerts, recovered), flush=True
        )
        for problem in outcome.problems:
            print(f"    did not hold: {problem}", flush=True)
        bad += bool(outcome.problems)
    print(f"{bad} faults did not hold" if bad else "all held")
    return 1 if bad else 0


def _inside(name: str, *, short: bool) -> Outcome:
    fault, long_s, short_s = FAULTS[name]
    with tempfile.TemporaryDirectory(prefix="hb-", ignore_cleanup_errors=True) as folder, Receiver() as receiver:
        return fault(Stage(Path(folder), short_s if short else long_s, receiver))


if __name__ == "__main__":
    sys.exit(main())
