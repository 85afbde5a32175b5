"""Faults on the wire: names, the Worker, the webhook, the internet, IPv6."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from heartbeatd.core.worker import WorkerState
from heartbeatd.store.database import Database
from tests.faults.stage import Outcome, Resolver, Stage, counts, resolve_by, run, sleep_s
from tests.support import certificates
from tests.support.receiver import SILENCE, WEBHOOK, WORKER
from tests.support.scripted import Script, Scripted, answers, endless, resets, says, silent, then
from tests.support.states import announced
from tests.support.wait import wait_until


def name_resolution_hangs(stage: Stage) -> Outcome:
    """A resolver that never answers: slots stay, the cause is dns, nothing piles up, and it is over when it is over."""
    outcome = Outcome(f"the resolver is silent for {stage.seconds} s")
    resolve_by(stage.folder)
    resolver = Resolver()
    worker = stage.receiver.url(WORKER).replace("127.0.0.1", Resolver.NAME)
    with stage.agent(stage.toml(worker=worker)) as agent:
        wait_until(lambda: len(stage.beats()) >= 2)
        resolver.silent = True
        stage.receiver.hang_up()
        sleep_s(4)
        before = counts(agent.process.pid)
        sleep_s(stage.seconds - 4)
        after = counts(agent.process.pid)
        outcome.expect(after[0] <= before[0] and after[1] <= before[1] + 1, f"threads, files: {before} → {after}")
        resolver.silent = False
        back_s, seen = time.monotonic(), len(stage.beats())
        wait_until(lambda: len(stage.beats()) > seen)
        outcome.recovered_s = time.monotonic() - back_s
        stage.wait_for_events(2)
        agent.stop()
    told = stage.events()
    outcome.expect(told == [("problem", "unreachable", "dns"), ("recovery", "ok", None)], f"alerts: {told}")
    return stage.conclude(outcome, agent, alerts=2)


def first_name_server_dies(stage: Stage) -> Outcome:
    """glibc takes 5 s for each answer then: some beats are lost at first, and none after that, each on a new connection."""
    outcome = Outcome(f"the first of two name servers is silent for {stage.seconds} s")
    resolve_by(stage.folder, "127.0.0.2", "127.0.0.3")
    first, _ = Resolver("127.0.0.2"), Resolver("127.0.0.3")
    worker = stage.receiver.url(WORKER).replace("127.0.0.1", Resolver.NAME)
    with stage.agent(stage.toml(worker=worker, timeout_s=0.7)) as agent:
        wait_until(lambda: len(stage.beats()) >= 2)
        first.silent, died_s, seen = True, time.monotonic(), len(stage.beats())
        stage.receiver.hang_up()
        wait_until(lambda: len(stage.beats()) > seen)
        outcome.recovered_s = time.monotonic() - died_s
        for _ in range(stage.seconds):
            sleep_s(1)
            stage.receiver.hang_up()
        agent.stop()
    told = stage.events()
    outcome.expect(told == [("problem", "unreachable", "dns"), ("recovery", "ok", None)], f"alerts: {told}")
    lost = sum(row == (None,) for row in agent.rows("worker_status"))
    outcome.expect(outcome.recovered_s < 9, f"the first beat came through after {outcome.recovered_s:.1f} s")
    outcome.expect(lost < 9, f"{lost} beats were lost")
    return stage.conclude(outcome, agent, alerts=2)


def kept_connection_dies(stage: Stage) -> Outcome:
    """No reset, no answer, ever, on a connection that was good: the same beat goes over a new one, and nobody is told."""
    outcome = Outcome("each connection falls silent after three answers")
    dying = then(answers(times=3), silent)
    with Scripted(dying) as worker, stage.agent(stage.toml(worker=worker.url, timeout_s=1.4)) as agent:
        sleep_s(stage.seconds)
        agent.stop()
        outcome.expect(len(worker.connections) > 1, "it never died")
    outcome.expect(all(row == (200,) for row in agent.rows("worker_status")[:-1]), "a beat was not answered")
    return stage.conclude(outcome, agent, alerts=0, may_miss=1)


def internet_check_without_end(stage: Stage) -> Outcome:
    """What anybody on the path of a plain-http check can send: it costs the check, and nothing else."""
    outcome = Outcome(f"100 Continue to the internet check, {stage.seconds} s")
    with Scripted(endless(b"", _CONTINUE * 100)) as check, stage.agent(stage.toml(internet=check.url)) as agent:
        sleep_s(stage.seconds)
        agent.stop()
    rows = agent.rows("worker_status, internet_ok")
    outcome.expect(all(row == (200, 0) for row in rows[:-1]), f"rows: {rows}")
    return stage.conclude(outcome, agent, alerts=0)


def worker_sends_trailers_without_end(stage: Stage) -> Outcome:
    """The answer counts, and what comes after it is not read to its end, which there is not."""
    outcome = Outcome(f"each answer has trailers without end, {stage.seconds} s")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with Scripted(endless(head, b"a: b\r\n" * 100)) as worker, stage.agent(stage.toml(worker=worker.url)) as agent:
        sleep_s(stage.seconds)
        outcome.expect(counts(agent.process.pid)[1] < 40, "descriptors pile up")
        agent.stop()
    outcome.expect(all(row == (200,) for row in agent.rows("worker_status")[:-1]), "a beat was not answered")
    return stage.conclude(outcome, agent, alerts=0)


def _misbehaves(name: str, script: Script, state: str, cause: str | None) -> tuple[str, Callable[[Stage], Outcome]]:
    """A Worker that answers well for a while, and then does what `script` does to each new connection."""

    def fault(stage: Stage) -> Outcome:
        outcome = Outcome(f"the Worker {name} for {stage.seconds} s")
        bad = [script] * 10_000
        with Scripted(answers(times=3), *bad) as worker, stage.agent(stage.toml(worker=worker.url)) as agent:
            stage.wait_for_events(1)
            sleep_s(stage.seconds)
            outcome.expect(counts(agent.process.pid)[1] < 40, "descriptors pile up")
            agent.stop()
            largest = max(connection.sent_bytes for connection in worker.connections)
            outcome.expect(largest < 8 << 20, f"{largest} bytes of an answer were taken")
        told = stage.events()
        outcome.expect(told == [("problem", state, cause)], f"alerts: {told}")
        return stage.conclude(outcome, agent, alerts=1)

    return f"worker {name}", fault


_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HUGE = b"HTTP/1.1 503 Busy\r\nContent-Length: 100000000\r\n\r\n"
WORKER_FAULTS = dict(
    (
        _misbehaves("never answers", silent, "unreachable", "timeout"),
        _misbehaves("answers a byte now and then", endless(b"H", b"T", 0.2), "unreachable", "timeout"),
        _misbehaves("answers with 100 MB", endless(_HUGE, b"x" * 65536), "error", None),
        _misbehaves("resets midway", resets, "unreachable", "reset"),
        _misbehaves("says 100 without end", endless(b"", _CONTINUE * 100), "unreachable", "protocol"),
        _misbehaves("talks rubbish", says(b"SSH-2.0-OpenSSH_9.2\r\n"), "unreachable", "protocol"),
    )
)


def worker_redirects(stage: Stage) -> Outcome:
    """The key goes nowhere else."""
    outcome = Outcome(f"302 to another host for {stage.seconds} s")
    with Scripted(answers()) as elsewhere:
        moved = answers(302, f"Location: {elsewhere.url}\r\n")
        with Scripted(answers(times=2), moved) as worker, stage.agent(stage.toml(worker=worker.url)) as agent:
            stage.wait_for_events(1)
            sleep_s(stage.seconds)
            agent.stop()
        outcome.expect(not elsewhere.connections, "the other host was asked")
    outcome.expect(stage.events() == [("problem", "rejected", None)], f"alerts: {stage.events()}")
    return stage.conclude(outcome, agent, alerts=1)


def worker_shows_a_bad_certificate(stage: Stage) -> Outcome:
    """Expired, self-signed, for another host: TLS, and the key is never sent."""
    outcome = Outcome("expired, unknown and foreign certificates")
    authority = certificates.make(stage.folder)
    kinds = {
        "expired": authority.server("expired", expired=True),
        "foreign": authority.server("foreign", san="DNS:elsewhere.test"),
        "unknown": certificates.make(_made(stage, "other")).server("unknown"),
    }
    more = f'ca_file = "{authority.file}"\n'
    for name, tls in kinds.items():
        stage.data.joinpath("metrics.db").unlink(missing_ok=True)
        _announced(stage, WorkerState.OK)
        before = len(stage.events())
        with (
            Scripted(answers(), tls=tls) as worker,
            stage.agent(stage.toml(worker=worker.url, more=more)) as agent,
        ):
            stage.wait_for_events(before + 1)
            agent.stop()
            outcome.expect(all(request == b"" for request in worker.requests), f"{name}: a request was sent")
        told = stage.events()[before:]
        outcome.expect(told == [("problem", "unreachable", "tls")], f"{name}: {told}")
    return stage.conclude(outcome, agent, alerts=3)


def worker_closes_kept_connections(stage: Stage) -> Outcome:
    """Between two beats, each time: a silent retry, no alarm."""
    outcome = Outcome(f"every connection closed after one answer, {stage.seconds} s")
    with Scripted(answers(times=1)) as worker, stage.agent(stage.toml(worker=worker.url)) as agent:
        sleep_s(stage.seconds)
        agent.stop()
        outcome.expect(len(worker.connections) >= stage.seconds, "connections were kept after all")
    outcome.expect(all(row == (200,) for row in agent.rows("worker_status")), "a beat was not answered")
    return stage.conclude(outcome, agent, alerts=0)


def webhook_fails(stage: Stage) -> Outcome:
    """Silent, 404, 500, over a SIGKILL and a restart: every alert arrives, once, and in order behind the first.

    That one was sent and not answered: it may have arrived, and so holds up no other.
    """
    outcome = Outcome("webhook hangs, answers 404 and 500, kill -9 in between, then accepts")
    stage.receiver.answer(WEBHOOK, SILENCE, 404, 500, 404)
    stage.receiver.answer(WORKER, 200, 500, 401, 200, 503, 200)
    with stage.agent() as agent:
        wait_until(lambda: len(stage.receiver.received(WEBHOOK)) >= 2)
        wait_until(lambda: len(stage.beats()) >= 7)
        agent.process.kill()
        agent.process.wait()
    outcome.expect(stage.delivered() == [], "something was taken too early")
    with stage.agent() as agent:
        stage.receiver.answer(WEBHOOK, 404, 200)
        began_s = time.monotonic()
        stage.wait_for_events(4)
        outcome.recovered_s = time.monotonic() - began_s
        agent.stop()
    begun = sorted(stage.delivered(), key=lambda alert: str(alert.body["details"]["event_id"]))  # by the time in it
    told = [(alert.body["details"]["event"], alert.body["details"]["current"]) for alert in begun]
    outcome.expect(
        told == [("problem", "error"), ("recovery", "ok"), ("problem", "error"), ("recovery", "ok")],
        f"alerts: {told}",
    )
    behind = [alert for alert in stage.delivered() if alert is not begun[0]]
    outcome.expect(behind == begun[1:], f"not in order: {stage.events()}")
    queued = [alert.body["details"]["queued_seconds"] for alert in stage.delivered()]
    outcome.expect(all(queued_s > 0 for queued_s in queued), "queued_seconds is missing")
    return stage.conclude(outcome, agent, alerts=4, may_miss=3)


def webhook_answers_too_late(stage: Stage) -> Outcome:
    """n8n that responds when the last node has finished: few copies of the first alert, and the second arrives meanwhile."""
    outcome = Outcome("webhook takes the first alert and does not answer in time")
    stage.receiver.answer(WORKER, 200, 503)
    stage.receiver.answer(WEBHOOK, SILENCE)
    with stage.agent() as agent:
        wait_until(lambda: stage.receiver.received(WEBHOOK))
        stage.receiver.answer(WORKER, 200)
        stage.receiver.answer(WEBHOOK, SILENCE, 200)
        began_s = time.monotonic()
        stage.wait_for_events(2)
        outcome.recovered_s = time.monotonic() - began_s
        agent.stop()
    copies = [alert.body["details"]["event"] for alert in stage.receiver.received(WEBHOOK)]
    outcome.expect(copies.count("problem") <= 5, f"copies: {copies}")
    outcome.expect("set Respond of its Webhook node to Immediately" in agent.log, "the hint is missing")
    return stage.conclude(outcome, agent, alerts=2)


def one_alert_refused(stage: Stage) -> Outcome:
    """The webhook answers 422 to the first alert for good: bounded tries, said, and those behind it arrive."""
    outcome = Outcome("webhook refuses the first alert for good, and takes all others")
    stage.receiver.answer(WORKER, 200, 503, 503, 503, 200)
    # A problem; a recovery; and then the tries of the problem alone.
    stage.receiver.answer(WEBHOOK, 422, 422, 200, 422)
    with stage.agent() as agent:
        wait_until(lambda: "alert set aside" in agent.log, 60)
        agent.stop()
    asked = [(alert.body["details"]["event_id"], alert.answered) for alert in stage.receiver.received(WEBHOOK)]
    refused = [event_id for event_id, answered in asked if answered == 422]
    outcome.expect(len(refused) >= 5, f"asked: {asked}")
    outcome.expect(agent.log.count("alert set aside") == 1, "not said once")
    with closing(sqlite3.connect(agent.database)) as reader:
        (left,) = reader.execute(
            "SELECT count(*) FROM deliveries WHERE delivered_ns IS NULL AND set_aside_ns IS NULL"
        ).fetchone()
    outcome.expect(left == 0, f"{left} alerts are left in the queue")
    return stage.conclude(outcome, agent)


def internet_and_worker(stage: Stage) -> Outcome:
    """Each down alone, both down: the cause tells which; the internet check alone raises nothing."""
    outcome = Outcome("internet down; Worker down; both; and back")
    causes = []
    for internet_up, worker_up in ((False, True), (True, False), (False, False)):
        stage.data.joinpath("metrics.db").unlink(missing_ok=True)
        _announced(stage, WorkerState.OK)
        before = len(stage.events())
        nobody = "http://127.0.0.1:9/"
        toml = stage.toml(worker="" if worker_up else nobody, internet="" if internet_up else nobody)
        with stage.agent(toml) as agent:
            sleep_s(9)  # without internet it takes six cycles
            agent.stop()
        causes.append([event[2] for event in stage.events()[before:]])
    outcome.expect(causes == [[], ["refused"], ["no internet"]], f"causes: {causes}")
    with stage.agent() as agent:
        stage.wait_for_events(3)
        agent.stop()
    outcome.expect(stage.events()[-1][0] == "recovery", "no recovery")
    return stage.conclude(outcome, agent, alerts=3, may_miss=3)


def worker_fails_in_two_ways(stage: Stage) -> Outcome:
    """503, no answer, 503 and so on, as shipped: one outage, told once; one recovery."""
    outcome = Outcome(f"503 and silence in turn, {stage.seconds} s, then 200")
    stage.receiver.answer(WORKER, 200, 200, *[503, SILENCE] * stage.seconds, 200)
    with stage.agent(stage.toml(alerts="")) as agent:
        sleep_s(stage.seconds)
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        sleep_s(2)
        agent.stop()
    told = [event for event, *_ in stage.events()]
    outcome.expect(told == ["problem", "recovery"], f"alerts: {stage.events()}")
    return stage.conclude(outcome, agent, alerts=2)


def worker_flaps(stage: Stage) -> Outcome:
    """Two bad cycles and two good ones in turn, over a kill: seven alerts, the last says so, and then none."""
    outcome = Outcome(f"bad and good in turn, {stage.seconds} s, kill -9 in the middle")
    stage.receiver.answer(WORKER, 200, *[503, 503, 200, 200] * stage.seconds)
    for _ in range(2):
        with stage.agent(stage.toml(alerts="")) as agent:
            sleep_s(stage.seconds / 2)
            agent.process.kill()
            agent.process.wait()
    with stage.agent(stage.toml(alerts="")) as agent:
        sleep_s(2)
        agent.stop()
    # At least once is the promise: each kill may come between n8n's answer and the note of it.
    outcome.expect(len(stage.events()) == 7, f"alerts: {stage.events()}")
    last = stage.delivered()[-1].body
    outcome.expect("flapping: " in last["title"] and "7 changes in an hour" in last["message"], "not called flapping")
    outcome.alerts = f"{len(stage.events())}/7"
    outcome.expect("Traceback" not in agent.log, agent.log[-3000:])
    return outcome


def ipv6_black_holed(stage: Stage) -> Outcome:
    """The name has an IPv6 address that swallows packets, and an IPv4 address that works."""
    outcome = Outcome(f"AAAA leads nowhere, A works, {stage.seconds} s")
    run("ip", "link", "add", "hole", "type", "veth", "peer", "name", "nobody")
    run("ip", "link", "set", "nobody", "up")
    run("ip", "link", "set", "hole", "up")
    run("ip", "-6", "address", "add", "2001:db8::2/64", "dev", "hole", "nodad")
    run("ip", "-6", "neighbour", "add", "2001:db8::1", "lladdr", "02:00:00:00:00:01", "dev", "hole")
    hosts = stage.folder / "hosts"
    hosts.write_text("2001:db8::1 worker.test\n127.0.0.1 worker.test localhost\n")
    run("mount", "--bind", str(hosts), "/etc/hosts")
    port = stage.receiver.url("").rpartition(":")[2]
    with stage.agent(stage.toml(worker=f"http://worker.test:{port}{WORKER}")) as agent:
        for _ in range(stage.seconds):
            sleep_s(1)
            stage.receiver.hang_up()
        agent.stop()
    outcome.expect(all(row == (200,) for row in agent.rows("worker_status")), "a beat was not answered")
    return stage.conclude(outcome, agent, alerts=0)


def _announced(stage: Stage, state: WorkerState) -> None:
    """A database in which this was announced a while ago."""
    now_ns = time.time_ns()
    with closing(Database.open(stage.data / "metrics.db", now_ns)) as store:
        store.record((), (announced(state, now_ns),), (), flush=True)


def _made(stage: Stage, name: str) -> Path:
    folder = stage.folder / name
    folder.mkdir()
    return folder
