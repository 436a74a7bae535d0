"""How a run ends: one way for Ctrl-C, SIGTERM and a closed terminal, and no process that outlives it.

Never decides what is ended: that is for whoever started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def interrupt_on_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP raise `KeyboardInterrupt` alike, whatever they did before.

    A process that a script started with ``&`` ignores SIGINT, one under ``nohup`` SIGHUP.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # A terminal that is closed may say so more than once; the clean-up is under way.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold these signals back; processes started meanwhile never hear them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def bound(command: Sequence[str], number: int = signal.SIGKILL) -> list[str]:
    """Return a command that runs another, which gets a signal when the thread that started it ends (on Linux).

    The net below the clean-up: it holds even where this process is killed. Elsewhere it is the command itself.
    """
    if _LIBC is None:
        return [*command]
    # Not in a function between fork and exec: that is unsafe where there are threads.
    return [sys.executable, "-IS", __file__, str(os.getpid()), str(int(number)), *command]


def end_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Let this process get a signal when its parent ends; end it at once when that is gone already."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def _become(parent: int, number: int, command: list[str]) -> None:
    end_with(parent, number)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
