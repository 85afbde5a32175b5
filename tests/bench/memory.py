"""What grows over 100,000 cycles, which are eleven days: `python3 -m tests.bench.memory` as root, in some ten minutes.

Cycles run one after the other, without waiting for slots, in a process without any rights on Docker: with a Worker over TLS
that fails now and then, a webhook that is told, the internet check, a database, and the helper that counts ten containers of a
real engine.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from heartbeatd import app
from heartbeatd.config.load import load
from heartbeatd.config.model import Config
from heartbeatd.containers.client import SOCKET
from heartbeatd.core.gap import Start
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.runtime import Runtime, open_store
from tests.bench.stage import CONTAINERS, configuration, say
from tests.bench.tls import TlsReceiver
from tests.support import certificates
from tests.support.agent import CHECKOUT, environment, python
from tests.support.engine import containers_helper, own_engine
from tests.support.receiver import WEBHOOK, WORKER, Receiver

CYCLES = 100_000
LOOKS = 20
NOBODY = 65534
# The Worker fails for five cycles out of a thousand, so that alerts are made, queued and delivered.
_ANSWERS = [200] * 995 + [503] * 5


@dataclass(frozen=True, slots=True)
class Look:
    """What a process had after so many cycles: KiB of memory of its own (RssAnon), Python's blocks, threads, descriptors."""

    cycles: int
    anonymous_kib: int
    blocks: int
    threads: int
    descriptors: int

    @classmethod
    def now(cls, cycles: int) -> Self:
        """This process, now."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return cls(
            cycles, int(status["RssAnon"].split()[0]), sys.getallocatedblocks(), int(status["Threads"]), descriptors
        )


def run_cycles(config: Config, cycles: int, looks: int = LOOKS) -> Iterator[Look]:
    """Run so many cycles by `config` in this process, and look at it after each `looks`th part of them."""
    process = Runtime()
    store = open_store(config, process)
    agent = app.build(config, Path("/nonexistent"), process, store, Start(process.boot_id))
    agent.start()
    for number in range(1, cycles + 1):
        agent.run(Tick(number * NS_PER_S))
        if number % (cycles // looks) == 0:
            yield Look.now(number)
    agent.close()
    process.close()


def main() -> int:
    """Print a line for each look. Exit status 0."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.memory", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES, help="how many (default: %(default)s)")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        return _inside(arguments.inside, arguments.cycles)
    if os.geteuid() != 0:
        sys.exit("run it as root: it starts a Docker engine, and the agent as somebody without rights on it")
    with tempfile.TemporaryDirectory(prefix="hb-memory-") as temporary, contextlib.ExitStack() as running:
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "data").mkdir()
        os.chown(folder / "data", NOBODY, NOBODY)
        say(f"starting a Docker engine with {CONTAINERS} containers")
        engine = running.enter_context(own_engine())
        for _ in range(CONTAINERS):
            engine.run_container()
        engine.socket.parent.chmod(0o711)
        helper, _ = running.enter_context(containers_helper(folder, engine.socket, "nobody"))
        helper.chmod(0o666)
        authority = certificates.make(folder)
        authority.file.chmod(0o644)
        worker = running.enter_context(TlsReceiver(authority.server("worker")))
        plain = running.enter_context(Receiver())
        worker.answer(WORKER, *_ANSWERS * (arguments.cycles // len(_ANSWERS)), 200)
        toml = configuration(worker, plain, authority.file, 10)
        toml += f'socket = "unix://{engine.socket}"\n[storage]\npath = "{folder}/data/metrics.db"\n'
        (folder / "config.toml").write_text(toml)
        say(f"running {arguments.cycles:,} cycles")
        done = subprocess.run(
            [
                *("unshare", "--mount", "sh", "-ec"),
                'mount -t tmpfs tmpfs /run; ln -s "$0" "$1"; shift; exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"',
                *(str(helper), str(SOCKET)),
                *python("tests.bench.memory", "--inside", str(folder), "--cycles", str(arguments.cycles)),
            ],
            cwd=CHECKOUT,
            env=environment(),
            check=False,
        )
        beats = worker.received(WORKER)
        counted = sum(beat.body["metrics"]["container_count"] == CONTAINERS for beat in beats)
        print(
            f"{len(beats):,} heartbeats, {counted:,} with {CONTAINERS} containers, "
            f"{len(plain.received(WEBHOOK))} alerts delivered"
        )
        return done.returncode


def _inside(folder: Path, cycles: int) -> int:
    config = load(folder / "config.toml")
    print(f"{'cycles':>9} {'RssAnon KiB':>12} {'blocks':>9} {'threads':>8} {'descriptors':>12}", flush=True)
    for look in run_cycles(config, cycles):
        print(
            f"{look.cycles:>9,} {look.anonymous_kib:>12,} {look.blocks:>9,} {look.threads:>8} {look.descriptors:>12}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
