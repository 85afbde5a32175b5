"""An apt repository as `make repo` makes it, served on this machine's loopback."""

import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.agent import CHECKOUT


class Repository:
    """A folder's apt repository and, beside it, its key; served from entering the `with` block to leaving it."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("reprepro"):
            pytest.skip("reprepro is not installed: use `make test`")
        self.path, self.key_home = folder / "repo", folder / "key"
        self.path.mkdir()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self.path)))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, deb: Path, *, check: bool = True, **environment: str) -> str:
        """Publish a package; what was said. Raises AssertionError if it fails, or with `check` False if it does not."""
        done = subprocess.run(
            [CHECKOUT / "tests/build-repo", self.path, deb],
            env={**os.environ, "REPO_KEY_HOME": str(self.key_home), "REPO_URL": self.url, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is check, done.stdout
        return done.stdout


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""
