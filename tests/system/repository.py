"""An apt repository as `make repo` makes it, served on this machine's loopback."""

import os
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.agent import CHECKOUT
from tests.support.served import Served


class Repository(Served):
    """A folder's apt repository and, beside it, its key; served from entering the `with` block to leaving it."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("reprepro"):
            pytest.skip("reprepro is not installed: use `make test`")
        self.path, self.key_home = folder / "repo", folder / "key"
        self.path.mkdir()
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self.path)))
        super().__init__(server)
        self.url = f"http://127.0.0.1:{server.server_port}"

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
