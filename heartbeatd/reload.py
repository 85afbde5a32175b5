"""`ExecReload=` of heartbeatd.service: has the agent read its configuration again, and succeeds if that is in force.

It runs as the agent's user, in the agent's sandbox, and reads no configuration itself: what the agent says is what counts. The
answer comes to a datagram socket in the runtime directory. The socket is there before the signal is sent, and the agent
answers those that it finds when it begins to reload (`reload_requests`), so an answer is never one to an earlier request. How
long to wait is up to systemd (`TimeoutStartSec=`): a cycle under way is finished first. Why a file is refused is not repeated
here: the agent has said so in the journal.
"""

import os
import select
import signal
import socket
import sys
from contextlib import suppress


def main() -> int:
    """Exit status 0: the new configuration is in force; 1: the old one still is."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal() or not folder:
        print("usage: reload PID, as ExecReload= of heartbeatd.service", file=sys.stderr)
        return 2
    own = f"{folder}/reload.{os.getpid()}"
    with suppress(FileNotFoundError):  # of a process that had this number, and was killed
        os.unlink(own)  # noqa: PTH108 - pathlib costs more than all the rest
    try:
        agent = os.pidfd_open(int(sys.argv[1]))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
            inbox.bind(own)
            try:
                return _ask(agent, inbox)
            finally:
                os.unlink(own)  # noqa: PTH108
    except OSError as error:
        print(f"the agent cannot be asked to reload: {error.strerror}", file=sys.stderr)
        return 1


def _ask(agent: int, inbox: socket.socket) -> int:
    """The exit status by the agent's answer. `agent` is a pidfd: should the process end instead, the wait ends with it."""
    signal.pidfd_send_signal(agent, signal.SIGHUP)
    ready, _, _ = select.select([inbox, agent], [], [])
    if inbox in ready:
        return 0 if inbox.recv(64) == b"reloaded" else 1
    print("the agent ended before it had reloaded", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
