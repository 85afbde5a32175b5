"""Why containers are not well: asks the engine by the Docker SDK, says it, and ends.

A child of the containers helper (or of an agent that has the rights itself), for the SDK takes 36 MiB, and is loaded only when
something is wrong. Read from the connection is one line, `{"names": ["web"], "log_lines": 10}`; said is a line for each container
that there is something to say of. Whatever hangs, the process ends after `LONGEST_S`, and what was said by then counts.
"""

import contextlib
import json
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import docker

from heartbeatd.clock import SYSTEM_CLOCK
from heartbeatd.core.plain import plain
from heartbeatd.core.schedule import NS_PER_S

LONGEST_S = 10
ASKED_S = 2.0  # for the question
ANSWERED_S = 4.0  # for each of the engine's answers
LARGEST_QUESTION_BYTES = 16 << 10
LARGEST_MEMORY_BYTES = 1 << 30
LARGEST_LOG_BYTES = 64 << 10
LONGEST_LINE = 200  # characters
LONGEST_HEALTH = 300
MOST_ENDS = 1000
HOUR_S = 3600


def main() -> int:
    """The engine's socket is the argument, the connection is standard input. Exit status 1 if nothing could be asked."""
    signal.alarm(LONGEST_S)
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY_BYTES, LARGEST_MEMORY_BYTES))
    with socket.socket(fileno=0) as connection:
        connection.settimeout(ASKED_S)
        try:
            question = json.loads(connection.makefile("rb").readline(LARGEST_QUESTION_BYTES))
            names, log_lines = [str(name) for name in question["names"]], int(question["log_lines"])
            with contextlib.closing(
                docker.APIClient(base_url=f"unix://{sys.argv[1]}", version="auto", timeout=ANSWERED_S)
            ) as engine:
                for name in names:
                    connection.sendall(json.dumps(reason(engine, name, log_lines)).encode() + b"\n")
        except Exception as error:  # noqa: BLE001 - of the SDK, or of what stands in for an engine: there is no reason to be had
            print(f"containers cannot be asked about: {plain(str(error), LONGEST_LINE)}", file=sys.stderr)
            return 1
    return 0


def reason(engine: docker.APIClient, name: str, log_lines: int) -> dict[str, object]:
    """What the engine knows of the container called `name`; `missing` if there is none. Raises what the SDK does."""
    try:
        found = engine.inspect_container(name)
    except docker.errors.NotFound:
        return {"name": name, "missing": True}
    if str(found.get("Name", "")).lstrip("/") != name:  # the engine also takes the beginning of an id
        return {"name": name, "missing": True}
    state = found["State"]
    running = bool(state.get("Running"))
    return {
        "name": name,
        "exit_code": None if running else state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "error": plain(str(state.get("Error") or ""), LONGEST_LINE),
        "ends": _ends(engine, name),
        "health": _health(state),
        "log": list(_log(engine, name, log_lines)) if log_lines else [],
    }


def _ends(engine: docker.APIClient, name: str) -> int:
    """How often it ended within the last hour."""
    now_ns = SYSTEM_CLOCK.now_ns()
    until = f"{now_ns // NS_PER_S}.{now_ns % NS_PER_S:09}"  # by the nanosecond: it may have ended just now
    events = engine.events(since=now_ns // NS_PER_S - HOUR_S, until=until, filters={"container": name, "event": "die"})
    return sum(1 for _, _ in zip(events, range(MOST_ENDS), strict=False))


def _health(state: dict[str, Any]) -> str:
    """What its health check said last, if it failed."""
    log = (state.get("Health") or {}).get("Log") or []
    if not log or not log[-1].get("ExitCode"):
        return ""
    return plain(str(log[-1].get("Output", "")).strip(), LONGEST_HEALTH)


def _log(engine: docker.APIClient, name: str, most: int) -> Iterator[str]:
    """The last lines of its output, fit for a terminal."""
    try:
        chunks = engine.logs(name, tail=most, stream=True, follow=False)
    except docker.errors.APIError:  # a logging driver that cannot be read
        return
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > LARGEST_LOG_BYTES:
            break
    for line in data.decode(errors="replace").splitlines()[-most:]:
        yield plain(line.rstrip(), LONGEST_LINE)


if __name__ == "__main__":
    sys.exit(main())
