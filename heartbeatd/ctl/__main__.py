"""heartbeatctl's command line: verbs, exit codes, errors as one line each."""

import argparse
import importlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heartbeatd import __version__
from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.core.plain import plain
from heartbeatd.ctl import standard_streams
from heartbeatd.errors import ExitCode, HeartbeatdError, NotAllowedError

# Verb → what it is for. The module of that name is loaded only when it is asked for.
VERBS: dict[str, str] = {
    "check": "say what is wrong with the configuration and with all that the agent would use",
    "status": "say how the agent is doing: service, last cycle, Worker, queue",
    "history": "say what the last hours or days were like",
    "once": "run one cycle and print it; nothing is stored or sent unless asked",
    "test-alert": "send a test alert to each channel, and say what came back",
    "alerts": "list the alerts on their way, and the last that arrived; try again, or drop",
    "silence": "tell nobody of some subjects for a time, or while a command runs",
    "silences": "list what is silenced, until when, and why",
    "unsilence": "end silences: what is still true is told",
    "set-secret": "keep the key, or the webhook's URL, as a credential that systemd encrypts",
    "import-env": "turn the earlier agent's .env file into a config.toml",
}
LONGEST_PROBLEM = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. The exit status is an `ExitCode`; heartbeatctl(1) says what each means for which verb."""
    standard_streams.prepare()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except NotAllowedError as error:
        standard_streams.complain(plain(f"not allowed: run it with sudo ({error})", LONGEST_PROBLEM))
        return error.exit_code
    except HeartbeatdError as error:
        for problem in error.problems:
            standard_streams.complain(plain(str(problem), LONGEST_PROBLEM))
        return error.exit_code
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends what is left to do
        standard_streams.finish()


def _run(given: list[str]) -> int:
    wanted = next((word for word in given if word in VERBS), None)
    parser = _parser(wanted)
    command = None
    if wanted == "silence" and "--" in given:  # what stands behind it is not ours to understand
        at = given.index("--")
        given, command = given[:at], given[at + 1 :]
    if not given:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    try:
        arguments = parser.parse_args(given)
    except SystemExit as end:  # it has printed help, the version, or what is wrong
        return end.code if isinstance(end.code, int) else ExitCode.OK
    arguments.command = command
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter("heartbeatctl: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    code: int = _module(arguments.verb).run(arguments)
    return code


class _PlainFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return plain(super().formatMessage(record), LONGEST_PROBLEM)


def _module(verb: str) -> Any:
    # pytest takes every test_*.py for its own.
    name = "send_test_alert" if verb == "test-alert" else verb.replace("-", "_")
    return importlib.import_module(f"heartbeatd.ctl.{name}")


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
            _module(name).add(verb)
    return parser


if __name__ == "__main__":
    sys.exit(main())
