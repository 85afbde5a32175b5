"""Starting the child that asks why containers are not well. Whoever has rights on the engine's socket starts it."""

import os
import socket
import sys
from pathlib import Path

_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
    "from heartbeatd.containers.reasons import main; sys.exit(main())"
)


def start(connection: socket.socket, engine: str) -> int:
    """A child that answers what is asked on `connection`, about the engine at this path: its process id. Raises OSError."""
    # With Debian's packages, which the helper itself does without, and with nobody's Python path.
    command = [sys.executable, "-I", "-c", _PROGRAM, engine]
    there = [(os.POSIX_SPAWN_DUP2, connection.fileno(), number) for number in (0, 1)]
    return os.posix_spawn(sys.executable, command, {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, file_actions=there)


def has_ended(pid: int) -> bool:
    """True once, when the child has ended; after that it is nobody's."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid
