"""Standard output and standard error, whatever they are connected to: a terminal that is not UTF-8, a full disk, nothing."""

import codecs
import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

from heartbeatd.errors import HeartbeatdError, Problem

_SPELLED = {"→": "->", "←": "<-", "…": "...", "–": "-", "×": "x"}  # where the terminal's encoding lacks them
_ERRORS = "heartbeatctl"


class OutputError(HeartbeatdError):
    """What was printed could not be written."""


class _StandardOutput(io.FileIO):
    """Its errors are told from those of everything else that may be wrong while a verb runs."""

    def write(self, data: Any) -> int:
        """Raises OutputError; ends the process, as other commands are ended, if nobody reads it any more.

        Of any other connection that nobody reads whoever writes to it wants to know, so SIGPIPE is ignored until then.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.raise_signal(signal.SIGPIPE)
            raise
        except OSError as error:
            raise OutputError(Problem("standard output", error.strerror or str(error))) from None


def prepare() -> None:
    """From here on, whatever is printed can be written: what the encoding lacks is spelled in ASCII, or becomes `?`.

    What cannot be written for another reason is an OutputError.
    """
    codecs.register_error(_ERRORS, _spell)
    if sys.stderr is None:  # closed before we were started
        sys.stderr = _nowhere()
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors=_ERRORS)
    if sys.stdout is None:
        sys.stdout = _nowhere()
        return
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_StandardOutput(sys.stdout.fileno(), "w", closefd=False)),
        encoding=sys.stdout.encoding,
        errors=_ERRORS,
        line_buffering=sys.stdout.isatty(),
    )


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def complain(text: str) -> None:
    """One line on standard error; if that cannot be written there is nobody left to tell."""
    with contextlib.suppress(OSError):
        print(f"heartbeatctl: {text}", file=sys.stderr, flush=True)


def finish() -> None:
    """Drop what could not be written, so that the end of the process does not fail at it again."""
    try:
        sys.stdout.flush()
    except OutputError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(c, "?") for c in error.object[error.start : error.end]), error.end
