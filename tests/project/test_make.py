"""`make run` keeps what it makes to the user who runs it: a newcomer writes the key into var/config.toml."""

import shutil
import stat
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_make_run_keeps_var_to_its_user(tmp_path: Path) -> None:
    """Under the usual umask, and also a var/ that an earlier version has left open."""
    for part in ("Makefile", "tests/need", "tests/catalogs", "heartbeatd/po/es.po", "etc/heartbeat/config.toml"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / part, tmp_path / part)
    # What would be the agent shows the umask it would make its database with.
    agent = tmp_path / "agent"
    agent.write_text("#!/bin/sh\numask\n")
    agent.chmod(0o755)
    var, config = tmp_path / "var", tmp_path / "var/config.toml"
    for _ in range(2):
        done = subprocess.run(
            ["make", "--no-print-directory", "run", f"PYTHON={agent}"],
            cwd=tmp_path,
            umask=0o022,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "0077"
        assert stat.S_IMODE(var.stat().st_mode) == 0o700
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert f'path = "{var}/metrics.db"' in config.read_text()
        var.chmod(0o755)
        config.chmod(0o644)
