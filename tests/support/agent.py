"""The agent as a process of its own, as systemd would start it, and what it tells the service manager; other programs of ours."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import heartbeatd

CHECKOUT = Path(__file__).resolve().parents[2]
# What is under test: the checkout's, what a build has made, or what is installed.
PACKAGE = Path(heartbeatd.__file__).parent
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def python(*words: str | Path) -> list[str]:
    """The command line of a module of ours, on the interpreter that runs the tests."""
    return [sys.executable, "-m", *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what systemd may have put there, and with `more`."""
    ours = ("NOTIFY_SOCKET", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "WATCHDOG_USEC", "INVOCATION_ID")
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **more}


@functools.cache
def checkout_for_all() -> Path:
    """Package and tests where every user may read them, for children that run as another: the checkout may not be."""
    being_written = shutil.ignore_patterns(
        "*.pyc.*"
    )  # by another worker: it may have its name by the time it is copied
    folder = Path(tempfile.mkdtemp(prefix="heartbeat-checkout-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, folder)
    for source in (PACKAGE, CHECKOUT / "tests"):
        shutil.copytree(source, folder / source.name, ignore=being_written)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return folder


def run_python(
    *words: str | Path, prefix: Sequence[str] = (), stdin: str = "", **more_environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a module of ours (`-m`) or some code (`-c`) to its end; `prefix` may have another user run it."""
    return subprocess.run(
        [*prefix, sys.executable, *words],
        cwd=checkout_for_all() if prefix else CHECKOUT,
        env=environment(**more_environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class AgentProcess:
    """Started on entering the `with` block; on leaving it, it is made sure that it is gone."""

    def __init__(
        self, folder: Path, toml: str, *, prefix: Sequence[str] = (), sync: str = "normal", **more_environment: str
    ) -> None:
        self.folder = folder
        self._prefix, self._sync, self._environment = prefix, sync, more_environment
        self.config = folder / "config.toml"
        # In a folder of its own, so that a test can do to it what it likes.
        self.database = folder / "data/metrics.db"
        self.database.parent.mkdir(exist_ok=True)
        self.write(toml)
        self._log = folder / "log"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._deaf = threading.Event()
        self._drain: threading.Thread | None = None

    def write(self, toml: str) -> None:
        """Change the configuration; the database is always that of the folder."""
        self.config.write_text(f'{toml}\n[storage]\npath = "{self.database}"\nsync = "{self._sync}"\n')

    def __enter__(self) -> Self:
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        self._socket.bind(str(notify))
        notify.chmod(0o777)  # as systemd's is: the agent may be another user
        self._socket.settimeout(60)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, *python("heartbeatd", "--config", self.config)],
                cwd=checkout_for_all() if self._prefix else CHECKOUT,
                env=environment(NOTIFY_SOCKET=str(notify), **self._environment),
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._deaf.set()
        if self._drain is not None:
            self._drain.join()
        self._socket.close()
        if kind is not None:
            print(self.log)

    @property
    def log(self) -> str:
        """What it has written to stderr, over all its starts."""
        return self._log.read_text()

    def next_message(self) -> dict[str, str]:
        """The next message to the service manager, by name (sd_notify(3))."""
        return dict(line.partition("=")[::2] for line in self._socket.recv(4096).decode().splitlines())

    def ready(self) -> Self:
        """Wait for READY=1, which has to come first."""
        assert self.next_message()["READY"] == "1"
        return self

    def cycles(self, number: int) -> None:
        """Wait for so many cycles to finish."""
        while number:
            number -= "WATCHDOG" in self.next_message()

    def listen_no_more(self) -> None:
        """Take in what the service manager is told from here on without looking; unread, it would soon hold the agent up."""

        def drain() -> None:
            self._socket.settimeout(0.2)
            while not self._deaf.is_set():
                with contextlib.suppress(TimeoutError):
                    self._socket.recv(4096)

        self._drain = threading.Thread(target=drain)
        self._drain.start()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self) -> float:
        """SIGTERM; the seconds it took to end, which it has to with status 0."""
        began_s = time.monotonic()
        self.signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0
        return time.monotonic() - began_s

    def rows(self, columns: str) -> list[tuple[object, ...]]:
        """What is in the table of rows, in order."""
        with closing(sqlite3.connect(self.database)) as reader:
            return reader.execute(f"SELECT {columns} FROM metrics ORDER BY rowid").fetchall()
