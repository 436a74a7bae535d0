"""Ends a run: Ctrl-C, SIGTERM and a closed terminal act alike, and no child outlives its parent.

Does not choose what to end: the code that started a process ends it.
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
    """Make SIGINT, SIGTERM and SIGHUP raise `KeyboardInterrupt`, also where they were ignored.

    A process that a script started with ``&`` ignores SIGINT, one under ``nohup`` SIGHUP.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # A closed terminal may send SIGHUP more than once; it must not interrupt the clean-up.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block these signals; processes started meanwhile inherit the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ended_with_parent(command: Sequence[str], number: int = signal.SIGKILL) -> list[str]:
    """Return a command line whose process gets a signal when the thread that started it ends.

    It works even when this process is killed, and only on Linux; elsewhere the command line stays as it is.
    """
    if _LIBC is None:
        return [*command]
    # A process of its own, because Python code between fork and exec is unsafe with threads.
    return [sys.executable, "-IS", __file__, str(os.getpid()), str(int(number)), *command]


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Send this process a signal when its parent ends; end it now if the parent is already gone."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def _execute(parent: int, number: int, command: list[str]) -> None:
    end_with_parent(parent, number)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    os.execvp(command[0], command)


if __name__ == "__main__":
    _execute(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
