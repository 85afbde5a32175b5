"""A command run for somebody else: signals are handed on to it, its exit status is given on."""

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self

from heartbeatd.core.plain import plain
from heartbeatd.ctl.standard_streams import complain

NOT_RUN, NOT_FOUND = 126, 127  # as a shell has it
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Forwarding:
    """While it is entered, a signal that would end us ends the command, and what is to be done after it is done.

    SIGINT is not handed on: a terminal sends Ctrl-C to both.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._received: signal.Signals | None = None

    def __enter__(self) -> Self:
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # What is ignored stays so, for the command, too (nohup(1)); a handler becomes the default in it.
        self._before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, command: Sequence[str]) -> int:
        """Its exit status; 128 and the number of the signal that ended it, or that came before it was started."""
        if self._received is not None:
            return 128 + self._received
        try:
            child = self._child = subprocess.Popen(command)
        except OSError as error:
            complain(plain(f"{command[0]}: {error.strerror}"))
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
        self._hand_on()
        code = child.wait()
        return code if code >= 0 else 128 - code

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        self._hand_on()

    def _hand_on(self) -> None:
        number = self._received
        if self._child is not None and number is not None and number != signal.SIGINT:
            self._child.send_signal(number)
