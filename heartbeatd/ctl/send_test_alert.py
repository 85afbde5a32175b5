"""`heartbeatctl test-alert`: one notification of event `test`, by the hand that real ones go, past the queue.

The notifier is asked for one try to each channel, all at once: what comes back says what a real alert would meet there now.
"""

import argparse
from pathlib import Path

from heartbeatd import components
from heartbeatd.config.model import Config
from heartbeatd.core.delivery import Channel, Failure
from heartbeatd.core.notification import Notification, of_test
from heartbeatd.core.plain import plain
from heartbeatd.core.queued import for_this_try, to_queue
from heartbeatd.core.redact import redact_url
from heartbeatd.ctl import privileges
from heartbeatd.errors import ConfigError, ExitCode, Problem
from heartbeatd.newid import new_id
from heartbeatd.notify.asking import ask_all
from heartbeatd.notify.protocol import Answer, Try
from heartbeatd.runtime import Runtime


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--channel", metavar="NAME", help="only to this channel (default: to each that is configured)")
    parser.add_argument(
        "--direct", action="store_true", help="of no effect any more: a test never goes through the queue"
    )


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 it arrived everywhere, 1 it did not, 77 not allowed, 78 the file is refused or names no such channel."""
    config = privileges.configuration(arguments.config)
    channels = _chosen(arguments, config)
    privileges.drop_privileges(arguments.config, Path(config.storage.path))
    runtime = Runtime()
    notifier = components.notifier(arguments.config)
    try:
        told = _test(config, runtime)
        tries = {channel.name: Try(channel.name, channel.timeout_s, told) for channel in channels}
        answers = ask_all(notifier, tries, Answer.parse, runtime.cancel)
    finally:
        runtime.close()
    answers = {name: answer for name, answer in answers.items() if not _is_none(answer)}
    if not answers:
        raise _nowhere(arguments.config)
    width = max(map(len, answers))
    for name, answer in answers.items():
        print(plain(f"{name:{width}}  {_in_words(answer)}"))
    arrived = all(isinstance(answer, Answer) and answer.failure is None for answer in answers.values())
    return ExitCode.OK if arrived else ExitCode.FAILED


def _chosen(arguments: argparse.Namespace, config: Config) -> tuple[Channel, ...]:
    channels = components.channels(config, arguments.config)
    if not channels:
        raise _nowhere(arguments.config)
    if arguments.channel is None:
        return channels
    chosen = tuple(channel for channel in channels if channel.name == arguments.channel)
    if not chosen:
        names = ", ".join(channel.name for channel in channels)
        raise ConfigError(
            Problem(f"{arguments.config}: channel {arguments.channel}", "is not configured", f"there is {names}")
        )
    return chosen


def _is_none(answer: Answer | str) -> bool:
    """True where the notifier says that there is no such channel."""
    return isinstance(answer, Answer) and answer.failure is Failure.UNSET


def _nowhere(config_file: Path) -> ConfigError:
    hint = "set it, or add a section [[channel]]: there is nowhere to send to"
    return ConfigError(Problem(f"{config_file}: alerts.webhook_url", "is not set", hint))


def _test(config: Config, runtime: Runtime) -> Notification:
    now_ns = runtime.clock.now_ns()
    url = redact_url(config.heartbeat.url)
    event_id = new_id(now_ns)
    return for_this_try(to_queue(of_test(components.agent_info(config, runtime), now_ns, event_id, url)), 1, now_ns)


def _in_words(answer: Answer | str) -> str:
    if isinstance(answer, str):
        return f"not delivered: {answer}"
    if answer.failure is not None:
        return f"not delivered: {answer.reason}"
    return "delivered" if answer.status is None else f"delivered (HTTP {answer.status})"
