"""System calls a cycle, counted by strace(1). It slows down whom it watches, so nothing else is measured meanwhile."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.unit_usage import INTERVAL_S, to_middle_of_cycle


def count(processes: Mapping[str, Sequence[int]], cycles: int) -> dict[str, float]:
    """System calls for one cycle of ten seconds, of each subject's processes, their threads and children."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as watched:
        to_middle_of_cycle()
        watchers = {
            name: watched.enter_context(Watcher(Path(folder) / str(number), pids))
            for number, (name, pids) in enumerate(processes.items())
        }
        time.sleep(cycles * INTERVAL_S)
        return {name: watcher.total() / cycles for name, watcher in watchers.items()}


class Watcher:
    """One strace, attached from entering the `with` block until `total` is asked for, or to its end."""

    def __init__(self, summary: Path, pids: Sequence[int]) -> None:
        self._summary = summary
        self._words = ["strace", "-f", "-q", "-c", "-o", str(summary), *(f"--attach={pid}" for pid in pids)]

    def __enter__(self) -> "Watcher":
        self._process = subprocess.Popen(self._words, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *of_error: object) -> None:
        self._detach()

    def total(self) -> int:
        """Let go; how many calls there were."""
        self._detach()
        lines = [line.split() for line in self._summary.read_text().splitlines()]
        return next((int(words[3]) for words in lines if words and words[-1] == "total"), 0)

    def _detach(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)
