"""Faults of the process and of what it looks at: kills, hanging mounts, a dead Docker engine, memory over weeks."""

import ctypes
import itertools
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial

from heartbeatd import components
from heartbeatd.config.load import parse
from heartbeatd.probes import registry
from heartbeatd.probes.base import on_thread
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.disks import usage
from heartbeatd.runtime import Runtime
from tests.bench.memory import run_cycles
from tests.faults.stage import Outcome, Stage, run, sleep_s
from tests.support.agent import AgentProcess
from tests.support.engine import own_engine
from tests.support.receiver import WORKER
from tests.support.wait import wait_until

GROWTH_KB = 1024


def killed_at_any_moment(stage: Stage) -> Outcome:
    """kill -9 again and again while the Worker changes its mind: every change told, none under two ids, no row half-written."""
    kills = stage.seconds
    outcome = Outcome(f"{kills} times kill -9 at a random moment")
    slowest_s = 0.0
    ends = []
    for number in range(kills):
        stage.receiver.answer(WORKER, 200 if number % 3 else 503)
        began_s = time.monotonic()
        with AgentProcess(stage.folder, stage.toml()) as agent:
            ends.append(len(stage.beats()))  # of the run before: this one takes longer to its first
            agent.ready()
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            sleep_s(random.random() * 1.6)
            agent.process.send_signal(signal.SIGKILL)
    stage.receiver.answer(WORKER, 200)
    ends.append(len(stage.beats()))
    with stage.agent() as agent:
        seen = len(stage.beats())
        wait_until(lambda: len(stage.beats()) >= seen + 2)
        sleep_s(3)
        agent.stop()
    outcome.recovered_s = slowest_s
    outcome.expect(slowest_s < 1.5, f"a start took {slowest_s:.1f} s")
    with closing(sqlite3.connect(agent.database)) as reader:
        outcome.expect(reader.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the file is damaged")
        queued = reader.execute("SELECT count(*) FROM deliveries WHERE delivered_ns IS NULL").fetchone()
        outcome.expect(queued == (0,), f"{queued[0]} alerts were never delivered")
    # At least once is the promise: a kill between n8n's answer and the note of it sends the same event id again.
    details = {a.body["details"]["event_id"]: a.body["details"] for a in stage.delivered()}
    chain = [(d["previous"], d["current"]) for _, d in sorted(details.items())]
    outcome.expect(
        all(a[1] == b[0] for a, b in itertools.pairwise(chain)), f"a change is missing or told twice: {chain}"
    )
    outcome.expect(not chain or chain[-1][1] == "ok", f"the last word was {chain[-1:]}")
    stored = {row[0] for row in agent.rows("id")}
    sent = [beat.body["metrics"]["id"] for beat in stage.beats()]
    outcome.rows = f"{len(stored)}/{len(sent)}"
    last_of_runs = {sent[end - 1] for end in ends if end}
    outcome.expect(set(sent) - stored <= last_of_runs, "a heartbeat that was followed by another has no row")
    outcome.alerts = str(len(details))
    outcome.expect("Traceback" not in agent.log, agent.log[-3000:])
    return outcome


def hanging_mount(stage: Stage) -> Outcome:
    """statvfs(3) on a FUSE mount whose server never answers: disk unknown, all else on time, one thread and no more."""
    outcome = Outcome(f"statvfs never returns, {stage.seconds} cycles")
    mount = stage.folder / "mount"
    mount.mkdir()
    with ExitStack() as stack:
        server = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        libc = ctypes.CDLL(None, use_errno=True)
        flags = 0
        assert libc.mount(b"dead", os.fsencode(mount), b"fuse", flags, options.encode()) == 0, os.strerror(
            ctypes.get_errno()
        )
        config = parse({"internet": {"url": stage.receiver.url("/")}, "docker": {"socket": ""}})
        process = Runtime()
        _, client = components.probes(config, process)
        read = on_thread(process.thread("disk"), partial(usage, str(mount)))
        table = registry.table(config, client, process.thread)
        probes = Probes(tuple(replace(row, deadline_s=0.3, read=read) if row.name == "disk" else row for row in table))
        samples, took_s, threads = [], [], set()
        for _ in range(stage.seconds):
            began_s = time.monotonic()
            samples.append(probes.collect(process.clock.now_ns, process.cancel))
            took_s.append(time.monotonic() - began_s)
            threads.add(threading.active_count())
        outcome.expect(all(sample.disk_percent is None for sample in samples), "a disk figure was made up")
        outcome.expect(
            all(s.internet_ok and s.ram_percent and s.cpu_percent is not None for s in samples), "others failed"
        )
        outcome.expect(took_s[0] < 1, f"the first took {took_s[0]:.1f} s")
        outcome.expect(max(took_s[1:]) < 0.3, f"a later one waited {max(took_s[1:]):.1f} s again")
        outcome.expect(len(threads) == 1, f"threads: {threads}")
        outcome.on_time = f"{sum(s < 1 for s in took_s)}/{stage.seconds}"
        # The connection aborted: statvfs fails at last, and the thread is free.
        os.close(server)
        stack.callback(client.close)
        wait_until(lambda: not process.thread("disk").busy)
        after = probes.collect(process.clock.now_ns, process.cancel)
        outcome.expect(
            any("connected" in report.detail for report in after.reports), f"not free again: {after.reports}"
        )
        run("umount", "--lazy", str(mount))
        process.close()
    return outcome


def docker_engine(stage: Stage) -> Outcome:
    """Stopped, hung, back: NULL while it cannot be read, right at the next cycle, one line a change."""
    containers = 200 if stage.seconds > 60 else 5
    outcome = Outcome(f"engine with {containers} containers stopped still, killed, restarted")
    with own_engine() as engine:
        for _ in range(containers):
            engine.run_container()
        toml = stage.toml().replace('socket = ""', f'socket = "unix://{engine.socket}"\ntimeout_seconds = 0.4')
        with stage.agent(toml) as agent:
            sleep_s(3)
            engine.signal(signal.SIGSTOP)
            sleep_s(4)
            engine.signal(signal.SIGCONT)
            wait_until(lambda: _counts(agent)[-1] == containers)
            engine.stop()
            sleep_s(4)
            began_s = time.monotonic()
            engine.start()
            wait_until(lambda: _counts(agent)[-1] is not None)
            outcome.recovered_s = time.monotonic() - began_s
            agent.stop()
    runs = [count for count, _ in itertools.groupby(_counts(agent))]
    # Containers end with an engine that stops in good order.
    outcome.expect(runs[:4] == [containers, None, containers, None] and runs[-1] == 0, f"counts: {runs}")
    lines = [line for line in agent.log.splitlines() if " containers: " in line]
    outcome.expect(2 <= len(lines) <= 6, f"{len(lines)} lines in the log: {lines}")
    return stage.conclude(outcome, agent, alerts=0)


def memory(stage: Stage) -> Outcome:
    """Cycles at full speed with all that is real, the Worker failing now and then: its memory stays as it is."""
    cycles = 20_000 if stage.seconds > 60 else 3000
    outcome = Outcome(f"{cycles} cycles at full speed")
    stage.receiver.answer(WORKER, *([200] * 50 + [503] * 3) * 400, 200)
    config = parse(
        {
            "internet": {"url": stage.receiver.url("/")},
            "docker": {"socket": ""},
            "heartbeat": {"url": stage.receiver.url(WORKER), "secret_key": "the-key"},
            "storage": {"path": str(stage.data / "metrics.db")},
        }
    )
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            looks = list(run_cycles(config, cycles, looks=cycles // 500))
            (stage.folder / "looks").write_text(f"{looks[0].anonymous_kib} {looks[-1].anonymous_kib}")
        os._exit(0)
    os.waitpid(pid, 0)
    after_500, at_end = (int(number) for number in (stage.folder / "looks").read_text().split())
    with closing(sqlite3.connect(config.storage.path)) as reader:
        (rows,) = reader.execute("SELECT count(*) FROM metrics").fetchone()
    outcome.rows = f"{rows}/{cycles}"
    outcome.expect(rows == cycles, "rows are missing")
    outcome.expect(at_end - after_500 < GROWTH_KB, f"memory grew from {after_500} to {at_end} KiB")
    outcome.injected += f": {after_500} → {at_end} KiB of its own"
    return outcome


def _counts(agent: AgentProcess) -> list[object]:
    return [count for (count,) in agent.rows("container_count")]
