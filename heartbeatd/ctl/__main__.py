"""heartbeatctl's command line: verbs, exit codes, errors as one line each."""

import argparse
import importlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from heartbeatd import __version__
from heartbeatd.config import DEFAULT_PATH
from heartbeatd.errors import HeartbeatdError

# Verb → what it is for. The module of that name is loaded only when it is asked for.
VERBS: dict[str, str] = {
    "check": "say what is wrong with the configuration and with all that the agent would use",
    "status": "say how the agent is doing: service, last cycle, Worker, queue",
    "history": "say what the last hours or days were like",
    "once": "run one cycle and print it; nothing is stored or sent unless asked",
    "test-alert": "send a test alert the way real ones go",
    "set-secret": "keep the key, or the webhook's URL, as a credential that systemd encrypts",
    "import-env": "turn the earlier agent's .env file into a config.toml",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. The exit status is an `ExitCode`; heartbeatctl(1) says what each means for which verb."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    given = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(next((word for word in given if word in VERBS), None))
    arguments = parser.parse_args(given)
    logging.basicConfig(format="heartbeatctl: %(message)s", level=logging.ERROR)
    try:
        verb = importlib.import_module(f"heartbeatd.ctl.{arguments.verb.replace('-', '_')}")
        code: int = verb.run(arguments)
        sys.stdout.flush()
        return code
    except HeartbeatdError as error:
        for problem in error.problems:
            print(f"heartbeatctl: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="heartbeatctl",
        description="Ask and check the heartbeat agent of this host.",
        epilog="See heartbeatctl(1). Most verbs need the rights to read the configuration: use sudo.",
    )
    parser.add_argument("--version", action="version", version=f"heartbeatctl {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, about in VERBS.items():
        verb = verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        verb.add_argument(
            "--config",
            type=Path,
            default=DEFAULT_PATH,
            metavar="FILE",
            help="configuration file (default: %(default)s)",
        )
        if name == wanted:
            importlib.import_module(f"heartbeatd.ctl.{name.replace('-', '_')}").add(verb)
    return parser


if __name__ == "__main__":
    sys.exit(main())
