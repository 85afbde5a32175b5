"""Faults under the database: full, read-only, locked, damaged, deleted, newer, not ours to write."""

import fcntl
import os
import random
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from tests.faults.stage import Outcome, Stage, forget_changes, run, sleep_s
from tests.support.agent import AgentProcess
from tests.support.receiver import WEBHOOK, WORKER
from tests.support.wait import wait_until

MB = 1 << 20
TROUBLE = "heartbeats go on, rows wait in memory"


def _broken_for_a_while(stage: Stage, outcome: Outcome, hurt: Callable[[], Callable[[], None]]) -> Outcome:
    """`hurt` breaks the database and returns what heals it: beats go on, rows and alerts wait, all are there in the end."""
    with stage.agent() as agent:
        wait_until(lambda: len(stage.beats()) >= 2)
        heal = hurt()
        began = len(stage.beats())
        stage.receiver.answer(WORKER, 503)
        sleep_s(stage.seconds)
        outcome.expect(len(stage.beats()) - began >= stage.seconds - 2, "heartbeats stopped")
        heal()
        healed_s = time.monotonic()
        stage.receiver.answer(WORKER, 200)
        wait_until(lambda: "can be written again" in agent.log or len(_ids(agent)) >= len(stage.beats()))
        outcome.recovered_s = time.monotonic() - healed_s
        stage.wait_for_events(2)
        agent.stop()
    outcome.expect(agent.log.count(TROUBLE) == 1, f"said {agent.log.count(TROUBLE)} times")
    _all_rows(stage, agent, outcome)
    return stage.conclude(outcome, agent, alerts=2)


def _all_rows(stage: Stage, agent: AgentProcess, outcome: Outcome) -> None:
    """Every beat that was sent has its row, in order; the file is whole."""
    sent = [beat.body["metrics"]["id"] for beat in stage.beats()]
    outcome.expect(_ids(agent) == sent, f"{len(sent)} beats, {len(_ids(agent))} rows, or in another order")
    with closing(sqlite3.connect(agent.database)) as reader:
        outcome.expect(reader.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the file is damaged")


def _ids(agent: AgentProcess) -> list[object]:
    return [row for (row,) in agent.rows("id")]


def disk_full(stage: Stage) -> Outcome:
    """Not a byte is left."""
    run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(stage.data))
    ballast = stage.data / "ballast"

    def hurt() -> Callable[[], None]:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        return ballast.unlink

    outcome = Outcome(f"the disk is full for {stage.seconds} s")
    return _broken_for_a_while(stage, outcome, hurt)


def read_only_filesystem(stage: Stage) -> Outcome:
    """Mounted read-only at the start, as after an error; made writable later."""
    outcome = Outcome(f"the filesystem is read-only for {stage.seconds} s")
    run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(stage.data))
    with stage.agent() as agent:
        sleep_s(stage.seconds)
        outcome.expect(len(stage.beats()) >= stage.seconds - 1, "heartbeats stopped")
        run("mount", "-o", "remount,rw", str(stage.data))
        healed_s = time.monotonic()
        wait_until(lambda: "can be written again" in agent.log)
        outcome.recovered_s = time.monotonic() - healed_s
        agent.stop()
    outcome.expect(agent.log.count(TROUBLE) == 1, "not said once")
    _all_rows(stage, agent, outcome)
    return stage.conclude(outcome, agent, alerts=0)


def locked(stage: Stage) -> Outcome:
    """Another process holds a write transaction."""

    def hurt() -> Callable[[], None]:
        other = sqlite3.connect(stage.data / "metrics.db", isolation_level=None, timeout=10)
        other.execute("BEGIN IMMEDIATE")
        return other.close

    outcome = Outcome(f"another process holds the database locked for {stage.seconds} s")
    return _broken_for_a_while(stage, outcome, hurt)


def folder_taken_away(stage: Stage) -> Outcome:
    """Renamed, as when a disk is unplugged, and brought back."""
    away = stage.folder / "away"

    def hurt() -> Callable[[], None]:
        stage.data.rename(away)

        def heal() -> None:
            away.rename(stage.data)

        return heal

    outcome = Outcome(f"the database's folder is gone for {stage.seconds} s")
    return _broken_for_a_while(stage, outcome, hurt)


def damaged(stage: Stage) -> Outcome:
    """Overwritten with rubbish under the running agent: set aside, begun anew, what was announced is still known."""
    outcome = Outcome("the file is overwritten with rubbish while in use")
    with stage.agent() as agent:
        wait_until(lambda: len(stage.beats()) >= 3)
        stage.receiver.answer(WORKER, 503)
        stage.wait_for_events(1)
        for suffix in ("", "-wal"):
            with Path(f"{agent.database}{suffix}").open("r+b") as file:
                size = max(MB // 8, os.fstat(file.fileno()).st_size)
                file.write(os.urandom(size))
        hurt_s, seen = time.monotonic(), len(stage.beats())
        wait_until(lambda: list(stage.data.glob("metrics.db.corrupt-*")), 90)
        outcome.recovered_s = time.monotonic() - hurt_s
        wait_until(lambda: len(stage.beats()) >= seen + 3)
        agent.stop()
    with stage.agent() as agent:
        wait_until(lambda: len(stage.beats()) >= seen + 6)
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    told = [event for event, *_ in stage.events()]
    outcome.expect(told == ["problem", "recovery"], f"alerts: {told}")
    outcome.expect(agent.log.count("is set aside") == 1, "not said once")
    return stage.conclude(outcome, agent, alerts=2, may_miss=3)


def deleted(stage: Stage) -> Outcome:
    """rm metrics.db* under the running agent."""
    outcome = Outcome("the file is deleted while in use")
    with stage.agent() as agent:
        wait_until(lambda: len(stage.beats()) >= 3)
        stage.receiver.answer(WORKER, 503)
        stage.wait_for_events(1)
        for suffix in ("-wal", "-shm", ""):
            Path(f"{agent.database}{suffix}").unlink()
        seen = len(stage.beats())
        wait_until(lambda: len(stage.beats()) >= seen + 3)
        outcome.expect(len(_ids(agent)) >= 2, "rows went into a file without a name")
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    outcome.expect(agent.log.count("was deleted or replaced") == 1, "not said once")
    return stage.conclude(outcome, agent, alerts=2)


def power_cut(stage: Stage, sync: str = "normal") -> Outcome:
    """The filesystem stops dead at a random moment, with all that was not flushed: no alert and no state is lost.

    With storage.sync = "full" no row is, either, but the one that each cut meets.
    """
    outcome = Outcome(f"{stage.seconds} times, the disk keeps only what was flushed to it")
    cut_at = []
    image = stage.folder / "disk"
    with image.open("wb") as file:
        file.truncate(32 * MB)
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop", str(image), str(stage.data))
    for number in range(stage.seconds):
        stage.receiver.answer(WORKER, 200 if number % 2 else 503)
        stage.receiver.answer(WEBHOOK, 404)
        with stage.agent(sync=sync) as agent:
            sleep_s(1 + random.random())
            _cut_power(stage.data)
            agent.process.kill()
        cut_at.append(len(stage.beats()))
        run("umount", str(stage.data))
        run("mount", "-o", "loop", str(image), str(stage.data))
        forget_changes(agent.database)
    asked = {a.body["details"]["event_id"]: a.body["details"] for a in stage.receiver.received(WEBHOOK)}
    stage.receiver.answer(WORKER, 200)
    stage.receiver.answer(WEBHOOK, 200)
    with stage.agent(sync=sync) as agent:
        seen = len(stage.beats())
        wait_until(lambda: len(stage.beats()) >= seen + 3)
        wait_until(lambda: set(asked) <= {a.body["details"]["event_id"] for a in stage.delivered()}, 400)
        wait_until(lambda: _waiting(agent) == 0)
        agent.stop()
    details = {a.body["details"]["event_id"]: a.body["details"] for a in stage.delivered()}
    chain = [(d["previous"], d["current"]) for _, d in sorted(details.items())]
    outcome.expect(all(a[1] == b[0] for a, b in pairwise(chain)), f"a change is missing or told twice: {chain}")
    outcome.expect(chain and chain[-1][1] == "ok", f"the last word was {chain[-1:]}")
    with closing(sqlite3.connect(agent.database)) as reader:
        outcome.expect(reader.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the file is damaged")
    sent = [beat.body["metrics"]["id"] for beat in stage.beats()]
    lost = set(sent) - set(_ids(agent)) - {sent[end - 1] for end in (*cut_at, len(sent))}
    outcome.expect(sync == "normal" or not lost, f"{len(lost)} rows are lost")
    outcome.alerts = str(len(details))
    outcome.rows = f"{len(_ids(agent))}/{len(stage.beats())}"
    outcome.expect("is set aside" not in agent.log, "the file was damaged")
    outcome.expect("Traceback" not in agent.log, agent.log[-3000:])
    run("umount", str(stage.data))
    return outcome


def _waiting(agent: AgentProcess) -> int:
    with closing(sqlite3.connect(agent.database)) as reader:
        return int(reader.execute("SELECT count(*) FROM deliveries WHERE delivered_ns IS NULL").fetchone()[0])


def _cut_power(mount: Path) -> None:
    """EXT4_IOC_SHUTDOWN without flushing the journal, as filesystem developers simulate a crash (xfstests' godown)."""
    folder = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, 0x8004587D, struct.pack("I", 2))
    finally:
        os.close(folder)


def newer_schema(stage: Stage) -> Outcome:
    """A database that a later version wrote: left alone, beats go on, said once."""
    outcome = Outcome(f"a database of a later version, {stage.seconds} s")
    database = stage.data / "metrics.db"
    with closing(sqlite3.connect(database)) as made:
        made.execute("PRAGMA user_version = 99")
        made.execute("CREATE TABLE future (x)")
    with stage.agent() as agent:
        sleep_s(stage.seconds)
        agent.stop()
    outcome.expect(len(stage.beats()) >= stage.seconds - 1, "heartbeats stopped")
    outcome.expect(agent.log.count("newer heartbeatd") == 2, "not said once, and once more at the end")
    with closing(sqlite3.connect(database)) as reader:
        tables = reader.execute("SELECT name FROM sqlite_master").fetchall()
    outcome.expect(tables == [("future",)], f"it was changed: {tables}")
    return outcome


def folder_not_writable(stage: Stage) -> Outcome:
    """As an ordinary user, in a folder of root's."""
    outcome = Outcome(f"the folder belongs to root, the agent is another user, {stage.seconds} s")
    stage.folder.chmod(0o777)
    stage.data.chmod(0o755)
    with stage.agent(prefix=("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")) as agent:
        stage.receiver.answer(WORKER, 503)
        stage.wait_for_events(1)
        stage.data.chmod(0o777)
        healed_s = time.monotonic()
        wait_until(lambda: "can be written again" in agent.log)
        outcome.recovered_s = time.monotonic() - healed_s
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    _all_rows(stage, agent, outcome)
    return stage.conclude(outcome, agent, alerts=2)


def wal_deleted(stage: Stage) -> Outcome:
    """rm metrics.db-wal metrics.db-shm under the running agent: noticed within a minute, and no row is lost."""
    outcome = Outcome("the -wal and -shm are deleted while in use")
    with stage.agent() as agent:
        wait_until(lambda: len(stage.beats()) >= 3)
        for suffix in ("-wal", "-shm"):
            Path(f"{agent.database}{suffix}").unlink()
        hurt_s = time.monotonic()
        stage.receiver.answer(WORKER, 503)
        stage.wait_for_events(1)
        wait_until(lambda: "lost its -wal" in agent.log, 70)
        outcome.recovered_s = time.monotonic() - hurt_s
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    outcome.expect(agent.log.count("lost its -wal") == 1, "not said once")
    _all_rows(stage, agent, outcome)
    return stage.conclude(outcome, agent, alerts=2)


def backup_copied_over(stage: Stage) -> Outcome:
    """cp backup.db metrics.db under the running agent: what is in the backup counts, and every row from then on."""
    outcome = Outcome("a backup is copied over the file while in use")
    backup = stage.folder / "backup.db"
    with stage.agent() as agent:
        wait_until(lambda: len(stage.beats()) >= 3)
        run("sqlite3", str(agent.database), f"VACUUM INTO '{backup}'")
        with closing(sqlite3.connect(backup)) as reader:
            kept = [row for (row,) in reader.execute("SELECT id FROM metrics ORDER BY rowid")]
        stage.receiver.answer(WORKER, 503)
        stage.wait_for_events(1)
        # A copy takes its time, and a write in the middle of it finds neither file: so it begins where a cycle has ended.
        lines = agent.log.count(" worker 503 ")
        wait_until(lambda: agent.log.count(" worker 503 ") > lines)
        run("cp", str(backup), str(agent.database))
        hurt_s = time.monotonic()
        wait_until(lambda: "was overwritten" in agent.log, 70)
        outcome.recovered_s = time.monotonic() - hurt_s
        began = [beat.body["metrics"]["id"] for beat in stage.beats()]
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    later = [beat.body["metrics"]["id"] for beat in stage.beats()][len(began) :]
    outcome.expect(_ids(agent)[: len(kept)] == kept, "rows of the backup are gone")
    outcome.expect(_ids(agent)[-len(later) :] == later, "rows that came later are gone")
    with closing(sqlite3.connect(agent.database)) as reader:
        outcome.expect(reader.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the file is damaged")
    outcome.expect(agent.log.count("was overwritten") == 1, "not said once")
    told = [event for event, *_ in stage.events()]
    outcome.expect(told == ["problem", "recovery"], f"alerts: {told}")
    outcome.alerts, outcome.rows = str(len(told)), f"{len(_ids(agent))}"
    return outcome


def frozen(stage: Stage) -> Outcome:
    """fsfreeze(8): beats and alerts go on, rows wait."""
    image = stage.folder / "disk"
    with image.open("wb") as file:
        file.truncate(32 * MB)
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop", str(image), str(stage.data))

    def hurt() -> Callable[[], None]:
        run("fsfreeze", "-f", str(stage.data))
        return lambda: run("fsfreeze", "-u", str(stage.data))

    outcome = _broken_for_a_while(stage, Outcome(f"the filesystem is frozen for {stage.seconds} s"), hurt)
    run("umount", str(stage.data))
    return outcome
