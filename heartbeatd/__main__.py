"""The daemon's command line. Arguments are looked at first, then the agent itself is loaded, which is what takes time."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from heartbeatd import __version__
from heartbeatd.config.load import DEFAULT_PATH


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent until SIGTERM or SIGINT. The exit status is an `ExitCode`; 78 is a configuration that is refused."""
    words = sys.argv[1:] if argv is None else argv
    path = _config(words) if words else DEFAULT_PATH
    # A reload asked for while the agent is still loading asks for nothing: the file has not been read yet. It must not kill.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from heartbeatd.run import run

    return run(path)


def _config(words: Sequence[str]) -> Path:
    """The file that the arguments name."""
    # Under systemd there are no arguments, and the parser would stay in memory for years.
    import argparse

    parser = argparse.ArgumentParser(
        prog="heartbeatd",
        description="Measure this host on the wall clock's grid, send heartbeats, keep every cycle, and alert when the "
        "Worker that receives them changes state. Runs in the foreground; systemd starts it as heartbeatd.service.",
        epilog="See heartbeatd(8), heartbeat-config.toml(5), and heartbeatctl(1) for people.",
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help="configuration file (default: %(default)s)"
    )
    parser.add_argument("--version", action="version", version=f"heartbeatd {__version__}")
    found: Path = parser.parse_args(words).config
    return found


if __name__ == "__main__":
    raise SystemExit(main())
