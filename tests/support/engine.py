"""A Docker engine of the tests' own, with an image that was never pulled from anywhere, and the helper that holds its socket."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from heartbeatd.cancel import CancelToken
from heartbeatd.containers import client
from tests.support.agent import PACKAGE

# As the package's own program does: without Debian's packages, and without anybody's Python path.
HELPER = (
    *(sys.executable, "-IS", "-c"),
    f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from heartbeatd.containers.__main__ import main; sys.exit(main())",
)


class Engine:
    """A Docker engine of our own, in a folder of its own, with one image that was never pulled from anywhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        (self._folder / "image").mkdir()
        shutil.copy("/bin/busybox", self._folder / "image/busybox")
        tar = subprocess.run(["tar", "-C", self._folder / "image", "-c", "."], capture_output=True, check=True)
        self.docker("import", "-", "busybox:test", stdin=tar.stdout)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for container in self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", container)
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        folder = self._folder
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"),
                    *(f"--host=unix://{self.socket}", "--iptables=false", "--ip6tables=false", "--bridge=none"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop it in good order
            )
        deadline_s = time.monotonic() + 60
        while subprocess.run(self._client("version"), capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"dockerd does not start:\n{(folder / 'log').read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it in good order."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=60)

    def signal(self, number: signal.Signals) -> None:
        """Send the engine's process a signal; after SIGSTOP, wait until the last of its threads stands still."""
        assert self.process is not None
        os.kill(self.process.pid, number)
        tasks = Path(f"/proc/{self.process.pid}/task")
        while number == signal.SIGSTOP and any("State:\tT" not in (t / "status").read_text() for t in tasks.iterdir()):
            time.sleep(0.01)

    def run_container(self) -> str:
        """Run a container that sleeps; its id."""
        return self.docker("run", "--detach", "--network=none", "busybox:test", "/busybox", "sleep", "600").strip()

    def docker(self, *words: str, stdin: bytes = b"") -> str:
        """A command of the client."""
        done = subprocess.run(self._client(*words), input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def _client(self, *words: str) -> list[str]:
        return ["docker", f"--host=unix://{self.socket}", *words]


@contextlib.contextmanager
def own_engine() -> Iterator[Engine]:
    """An engine that runs as long as the `with` block."""
    # Not in pytest's own folder: a socket's path has to be short.
    with (
        tempfile.TemporaryDirectory(prefix="hb-docker-", ignore_cleanup_errors=True) as folder,
        Engine(Path(folder)) as running,
    ):
        yield running


@contextlib.contextmanager
def engine_that(folder: Path, answers: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A socket on which each connection is treated as `answers` does."""
    path = folder / "engine.sock"
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    answers(connection)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(0.1)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            over.set()
            thread.join()


def reasons_of(helper: Path) -> Path:
    """Where the helper that lists at `helper` says why containers are not well."""
    return helper.with_name("reasons.sock")


# What systemd does for a socket-activated service: descriptors 3 and 4, and whose they are.
ACTIVATE = """
import fcntl, os, sys
listed, reasons = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(listed, 3)
os.dup2(reasons, 4)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextlib.contextmanager
def containers_helper(folder: Path, engine: Path, user: str = "root") -> Iterator[tuple[Path, int]]:
    """The helper of `engine`, activated on a socket of its own: the path of that, and its process."""
    path = folder / "helper.sock"
    with socket.socket(socket.AF_UNIX) as listed, socket.socket(socket.AF_UNIX) as reasons:
        for listening, place in ((listed, path), (reasons, reasons_of(path))):
            listening.bind(str(place))
            listening.listen(8)
        numbers = [listed.fileno(), reasons.fileno()]
        words = [*map(str, numbers), *HELPER, str(engine), user]
        process = subprocess.Popen([sys.executable, "-c", ACTIVATE, *words], pass_fds=numbers, start_new_session=True)
    try:
        yield path, process.pid
    finally:
        process.terminate()
        process.wait()


def count_by(helper: Path, engine: Path, timeout_s: float = 60) -> int:
    """How many containers the agent finds on `engine` when it asks `helper`. Raises ProbeError."""
    cancel = CancelToken()
    return client.ask(engine, cancel.deadline(timeout_s), cancel, helper).result()
