"""The entry point of the command `spinach`: handles signals and standard streams, then loads the command.

It loads nothing else itself, so that a signal also ends a process that still imports the application.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from types import FrameType
from typing import Any, Final

from ..cli.exit_codes import INTERRUPTED, OK
from ..cli.streams import drop_what_cannot_be_written, open_closed_streams

_STDERR: Final = 2
_NOTHING_RAN: Final = b"stopped by a signal before the workers started: no job ran\n"
_ENDING: Final = b"signal while the worker ends: not waiting\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `spinach`; return its exit code.

    Args:
        arguments: By default those of this process.
    """
    open_closed_streams()
    began: list[bool] = []
    _obey_signals(began)
    drop_what_cannot_be_written("stdout", "stderr")
    from .command import main as run

    return run(arguments, on_start=lambda: began.append(True))


def _obey_signals(began: list[bool]) -> None:
    """End the process on SIGINT, SIGTERM and SIGHUP, until the engine's handlers take over.

    Without a handler, process 1 of a container ignores SIGTERM. The handler raises nothing, because `except`
    clauses of the application could catch it.
    """
    process = os.getpid()
    previous: dict[int, Any] = {}

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != process:  # a child that the application forked
            signal.signal(number, previous[number])
            os.kill(os.getpid(), number)
            return
        _write(_ENDING if began else _NOTHING_RAN)
        os._exit(INTERRUPTED if began else OK)

    numbers = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        previous[number] = signal.getsignal(number) or signal.SIG_DFL
        signal.signal(number, end)


def _write(text: bytes) -> None:
    # Not by print: the signal may have interrupted one. Only where it does not block.
    try:
        if select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, text)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
