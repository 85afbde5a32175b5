"""heartbeatd-containers.service: the one process with rights on the Docker socket, and the two questions it answers.

The agent talks to the network, so it must not hold the Docker socket, which is as good as root. This process holds it, has no
network, and reads nothing from whoever connects: a connection is the question, and the answer is one line of JSON with the
number, names, states and health of the running containers, or the reason why there are none to be had. How long the
engine may take is for whoever asked to say, by hanging up, or by shutting down only their sending side and hearing that there is
no answer in time; then it is the next one's turn. At the second socket it is asked why containers are not well: a child reads
that and answers (see `reasons`), while this goes on.

Only the user it is told (SO_PEERCRED, unix(7)) gets an answer. Started by systemd when asked for the first time
(sd_listen_fds(3)), gone when nobody has asked for `IDLE_S`.

It stays in memory between two cycles: so no import but what is needed, and neither requests nor the Docker SDK.
"""

import os
import pwd
import select
import socket
import struct
import sys

from heartbeatd.containers import child, engine

IDLE_S = 60.0
LISTED_FD, REASONS_FD = 3, 4  # SD_LISTEN_FDS_START, sd_listen_fds(3): in the order of the unit's ListenStream=
MOST_CHILDREN = 2


def main() -> int:
    """Serve until nobody asks any more. Exit status 0, or 2 if it was not started as the unit does."""
    try:
        path, user = sys.argv[1:]
        allowed = pwd.getpwnam(user).pw_uid
    except (ValueError, KeyError) as error:
        print(
            f"usage: heartbeatd-containers ENGINE-SOCKET USER, by systemd's socket activation ({error})",
            file=sys.stderr,
        )
        return 2
    if os.environ.get("LISTEN_FDS") != "2" or os.environ.get("LISTEN_PID") != str(os.getpid()):
        print("systemd did not pass two sockets: start heartbeatd-containers.socket instead", file=sys.stderr)
        return 2
    with socket.socket(fileno=LISTED_FD) as listed, socket.socket(fileno=REASONS_FD) as reasons:
        children: list[int] = []
        waiting = select.poll()
        for listening in (listed, reasons):
            listening.setblocking(False)
            listening.set_inheritable(False)  # a child has no business with it
            waiting.register(listening, select.POLLIN)
        while ready := waiting.poll(int(IDLE_S * 1000)):
            for number, _ in ready:
                try:
                    connection, _ = (listed if number == LISTED_FD else reasons).accept()
                    with connection:
                        if not is_allowed(connection, allowed):
                            continue
                        if number == LISTED_FD:
                            engine.tell(connection, path)
                        else:
                            children[:] = answered(children, connection, path)
                except OSError:  # whoever asked has gone, and will ask again
                    continue
    return 0


def is_allowed(connection: socket.socket, allowed: int) -> bool:
    """False if it is somebody else's. Raises OSError if whoever asked has gone."""
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != allowed:
        print(f"user {uid} asked and was sent away", file=sys.stderr)
    return bool(uid == allowed)


def answered(children: list[int], connection: socket.socket, path: str) -> list[int]:
    """The children there are now, one of which answers. While there are `MOST_CHILDREN`, nobody does. Raises OSError."""
    left = [pid for pid in children if not child.has_ended(pid)]
    return [*left, child.start(connection, path)] if len(left) < MOST_CHILDREN else left


if __name__ == "__main__":
    sys.exit(main())
