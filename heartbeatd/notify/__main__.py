"""The notifier: one process, which tries once to deliver one notification to one channel, says how that went, and is gone.

Or it looks whether a channel could be reached, with the same rights and secrets, and sends nobody anything; or it says which
channels there are.

systemd starts it for each connection to heartbeatd-notify.socket (`Accept=yes`, as inetd did): standard input is the connection,
on which one line of JSON asks, and one answers (`notify/protocol.py`). There is no server here, and no queue: whoever asked has
the notification still, and asks again.

The try's deadline covers name resolution and whatever the libraries do. When it is over, a second thread says so, and ends the
process as it stands; should even that thread be held up, SIGALRM ends it, and after that systemd does (`RuntimeMaxSec=`). The
clock starts when the libraries are loaded: how long that takes says nothing about the channel.
"""

import argparse
import contextlib
import os
import pwd
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from traceback import walk_stack, walk_tb

from heartbeatd.config.alerting import NotSetError, load_alerting
from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.plain import plain
from heartbeatd.errors import ConfigError
from heartbeatd.notify.channels import Sender, open_sender
from heartbeatd.notify.failure import NotDelivered
from heartbeatd.notify.last_good import load_in_force
from heartbeatd.notify.names import refuse_blocked
from heartbeatd.notify.protocol import (
    LARGEST_BYTES,
    LONGEST_S,
    Answer,
    Check,
    ListChannels,
    Listed,
    Reached,
    Report,
    Request,
    Try,
    parse_request,
)
from heartbeatd.notify.stage import before_sending

READ_S = 5.0  # for whoever asks to have asked
MARGIN_S = 2.0
LONGEST_REASON = 800  # characters: whoever asked reads 4 KiB at the most


def main() -> int:
    """Exit status 0, whatever became of the try; 2 if it was not started as the unit does."""
    arguments = _arguments()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process, wherever it hangs
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S + READ_S)
    try:
        connection = socket.socket(fileno=os.dup(0))
        asked_by = _uid(connection, arguments.peer)
    except (OSError, ValueError, IndexError) as error:
        print(f"standard input is no connection: start heartbeatd-notify.socket instead ({error})", file=sys.stderr)
        return 2
    if asked_by not in (0, _allowed(arguments.user)):
        print(f"user {asked_by} asked and was sent away", file=sys.stderr)
        return 0
    refuse_blocked()
    reply = Reply(connection)
    reply.end_with(answer(connection, arguments, reply))
    return 0


class Reply:
    """The answer, which is given once, and ends the process: by whoever comes first, the try or its deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def end_with(self, answer: Answer | Report | Listed) -> None:
        self._lock.acquire()  # for good: whoever comes second waits here for the end
        with contextlib.suppress(OSError):  # whoever asked has gone, and will ask again
            self._connection.sendall(answer.encode())
        os._exit(0)  # whatever a library has left running


def answer(connection: socket.socket, arguments: argparse.Namespace, reply: Reply) -> Answer | Report | Listed:
    """Does what is asked. How it ended, if that was before its deadline."""
    try:
        line = _line(connection)
    except OSError:
        return Answer(Failure.ERROR, "what was asked did not arrive")
    if len(line) > LARGEST_BYTES:
        return Answer(Failure.UNREADABLE, "it is larger than 256 KiB")
    try:
        asked = parse_request(line)
    except ValueError as error:  # by an agent of another version, as while the package is upgraded
        return Answer(Failure.ERROR, str(error))
    return attempt(asked, arguments, reply)


def attempt(asked: Request, arguments: argparse.Namespace, reply: Reply) -> Answer | Report | Listed:
    """How the try, or the check, ended. A check is of the file as it stands; what else there is will do for all else."""
    address = ""
    load = load_alerting if isinstance(asked, Check) else load_in_force
    try:
        alerting = load(arguments.config, stands_in=arguments.stand_in, by_systemd=bool(arguments.peer))
        if isinstance(asked, ListChannels):
            return Listed(alerting.listed(), alerting.hostname, alerting.alerts.language)
        sender = open_sender(asked.channel, alerting, asked.timeout_s)
        address = sender.address
        start_clock(sender, asked, reply)
        return sender.check() if isinstance(asked, Check) else Answer(status=sender.deliver(asked.notification))
    except NotDelivered as error:
        return failed(asked, address, error)
    except NotSetError as error:
        return failed(asked, address, NotDelivered(str(error), Failure.UNSET))
    except ConfigError as error:
        return failed(asked, address, NotDelivered(str(error), Failure.DOWN))
    except Exception as error:  # noqa: BLE001 - a library's: a try that failed like any other. Its text may hold a secret
        frames = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in walk_tb(error.__traceback__)]
        print(f"{type(error).__name__} at {' '.join(frames)}", file=sys.stderr)
        return failed(asked, address, NotDelivered(type(error).__name__, Failure.ERROR))


def failed(asked: Request, address: str, error: NotDelivered) -> Answer | Report:
    """What is answered then."""
    reason = plain(str(error))[:LONGEST_REASON]
    if isinstance(asked, Check):
        return Report(Reached.NOTHING, address, reason, error.failure, error.cause)
    return Answer(error.failure, reason)


def start_clock(sender: Sender, asked: Try | Check, reply: Reply) -> None:
    """From here on this thread has until the deadline."""
    thread = threading.get_ident()
    clock = threading.Timer(asked.timeout_s, lambda: reply.end_with(_late(sender, asked, thread)))
    clock.daemon = True
    signal.setitimer(signal.ITIMER_REAL, asked.timeout_s + MARGIN_S)
    clock.start()


def _late(sender: Sender, asked: Try | Check, thread: int) -> Answer | Report:
    """What is known of a try that `thread` is still at."""
    frame = sys._current_frames()[thread]
    stage = before_sending(at.f_code.co_name for at, _ in walk_stack(frame))
    if isinstance(asked, Check):
        stage = stage or "waiting for the answer"
    if stage:
        reason = f"timeout: gave up while {stage}, after {asked.timeout_s:g} s"
        return failed(asked, sender.address, NotDelivered(reason, Failure.DOWN, Cause.TIMEOUT))
    hint = f"; {sender.hint}" if sender.hint else ""
    return Answer(Failure.LATE, f"it was sent and not answered within {asked.timeout_s:g} s{hint}")


def _line(connection: socket.socket) -> bytes:
    """The line that asks, or what there is of one that is too long. Raises OSError if no whole line comes."""
    connection.settimeout(READ_S)
    data = bytearray()
    while b"\n" not in data and len(data) <= LARGEST_BYTES:
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError
        data += more
    return bytes(data)


def _uid(connection: socket.socket, peer: str) -> int:
    """Who is at the other end. In a user namespace of its own (PrivateUsers=) this process cannot tell; systemd can."""
    if peer:
        return int(peer.split("-")[2])
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _allowed(user: str) -> int:
    """The user that is answered, beside root; without a name the one that this runs as."""
    try:
        return pwd.getpwnam(user).pw_uid if user else os.getuid()
    except KeyError:
        return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="notify", description="One try to deliver one notification to one channel.")
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)
    parser.add_argument(
        "--stand-in", action="store_true", help="for heartbeatd-notify@.service, whose credentials may not be here"
    )
    parser.add_argument("--peer", default="", help="who asks, as systemd found them: NUMBER-PID-UID (the unit's %%i)")
    parser.add_argument("--user", default="", help="who is answered beside root (default: the user this runs as)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
