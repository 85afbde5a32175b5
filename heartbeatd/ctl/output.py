"""Standard output and standard error, whatever they are connected to: a terminal that is not UTF-8, a full disk, nothing."""

import codecs
import contextlib
import io
import os
import sys
from pathlib import Path

_SPELLED = {"→": "->", "←": "<-", "…": "...", "–": "-", "×": "x"}  # where the terminal's encoding lacks them
_ERRORS = "heartbeatctl"


def prepare() -> None:
    """From here on, whatever is printed can be written: what the encoding lacks is spelled in ASCII, or becomes `?`."""
    codecs.register_error(_ERRORS, _spell)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before we were started
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def complain(text: str) -> None:
    """One line on standard error; if that cannot be written there is nobody left to tell."""
    with contextlib.suppress(OSError):
        print(f"heartbeatctl: {text}", file=sys.stderr, flush=True)


def is_broken() -> bool:
    """True if what was printed cannot be written. It is dropped then, so that the end of the process does not fail at it."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return True
    return False


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(c, "?") for c in error.object[error.start : error.end]), error.end
