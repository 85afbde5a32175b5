"""The tries in the service's own sandbox: a transient unit (systemd-run(1)) with the settings of heartbeatd.service.

Whatever the service's unit and its drop-ins say counts for the tries, too: user, mounts, name spaces, filters, credentials.
So what they find is what the service will meet, and a sandbox that cannot be set up shows before the first start.
"""

import json
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from heartbeatd.ctl.check.finding import Finding, Verdict, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.start_failure import FIRST_SETUP_STATUS
from heartbeatd.ctl.unit_file import DIRECTORIES, Settings, own_directories

LIMIT_S = 120
# The modules are private to the package: no Python finds them by itself.
_INSIDE = "import sys; sys.path.insert(0, sys.argv[1]); from heartbeatd.ctl.check import in_sandbox; in_sandbox.main()"
_MODULES = str(Path(__file__).parents[3])
# What says how the daemon is run, not where: none of it is for the tries.
_NOT_TAKEN = ("Exec", "Restart", "Timeout", "Watchdog", "Runtime", "Standard", "FileDescriptorStore", "Success")
_TAKEN_ALL_THE_SAME = ("ExecPaths", "ExecSearchPath")
_NOT_TAKEN_EITHER = (
    *("Type", "NotifyAccess", "PIDFile", "BusName", "RemainAfterExit", "GuessMainPID", "NonBlocking", "Sockets"),
    *(
        "OOMPolicy",
        "ExitType",
        "USBFunctionDescriptors",
        "USBFunctionStrings",
        "RootDirectoryStartOnly",
        "ReloadSignal",
    ),
    *("MemoryMax", "MemoryHigh", "MemorySwapMax", "TasksMax", "CPUQuota", "LogRateLimitBurst", "LogLevelMax"),
    *("SetCredential", "Environment"),  # a command line is for all to see
)


class NoSandbox(Exception):
    """The tries could not be run in the sandbox; the text says why."""


class NotSetUp(Exception):
    """systemd could not set the sandbox up, and could not for the service; `status` says what it was at."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"status {status}")


def findings(situation: Situation) -> Iterator[Finding]:
    """What the tries find inside. Raises NoSandbox or NotSetUp before the first finding, or not at all."""
    unclear = next(
        (f"{name}={value}" for name, value in taken(situation.settings) if re.search("%[a-zA-Z]", value)), None
    )
    if unclear is not None:
        raise NoSandbox(f"what {unclear} of the unit stands for is not known here")
    words = [*_systemd_run(situation.settings), sys.executable, "-I", "-c", _INSIDE, _MODULES]
    try:
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise NoSandbox(f"systemd-run: {error.strerror}") from None
    limit = threading.Timer(LIMIT_S + 10, child.kill)
    limit.daemon = True  # Ctrl-C does not wait for it
    limit.start()
    answered = False
    with child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        try:
            child.stdin.write(pickle.dumps(replace(situation, sandboxed=True)))
            child.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already: its status says why
        for line in child.stdout:
            answered = True
            yield read(line)
        complaint = child.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        status = child.wait()
    limit.cancel()
    limit.join()
    if answered:
        return
    if status >= FIRST_SETUP_STATUS:
        raise NotSetUp(status)
    raise NoSandbox(complaint or f"systemd-run ended with status {status}")


def read(line: bytes) -> Finding:
    """What a line from inside says."""
    try:
        found = json.loads(line)
        return Finding(Verdict(found["verdict"]), *(str(found[name]) for name in ("subject", "text", "hint")))
    except (ValueError, LookupError, TypeError):
        return warning("sandbox", f"what is said inside is not understood: {line[:100].decode(errors='replace')}")


def _systemd_run(settings: Settings) -> list[str]:
    own = (("RuntimeMaxSec", str(LIMIT_S)), ("TimeoutStopSec", "2"), ("LogLevelMax", "warning"))
    return [
        *("systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit=heartbeatd-check-{os.getpid()}"),
        "--description=Tries of heartbeatctl check",
        *(f"--property={name}={value}" for name, value in (*taken(settings), *own)),
        "--",
    ]


def taken(settings: Settings) -> Iterator[tuple[str, str]]:
    """Of the unit's settings those that make up its sandbox.

    The folders that systemd makes for the service are only let be written, where they are there already: systemd would remove
    some of them when the transient unit ends.
    """
    own = own_directories(settings)
    for name, value in settings:
        if (
            (name.startswith(_NOT_TAKEN) and name not in _TAKEN_ALL_THE_SAME)
            or name in _NOT_TAKEN_EITHER
            or name.removesuffix("Mode") in DIRECTORIES
        ):
            continue
        if name.endswith("Paths"):
            yield name, " ".join(f"-{path}" if path in own else path for path in value.split())
        else:
            yield name, value
    for folder in own:
        yield "ReadWritePaths", f"-{folder}"
