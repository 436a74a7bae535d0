"""How a run ends: one way for Ctrl-C, SIGTERM and a closed terminal, and no process that outlives it.

Never decides what is ended: that is for whoever started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1
# Looked up before any fork: a child between fork and exec should load nothing.
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


def ends_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return what a child calls, so that it gets a signal when the thread that started it ends (on Linux).

    The net below the clean-up: it holds even where this process is killed. Elsewhere nothing happens.
    """
    parent = os.getpid()

    def bind() -> None:
        end_with(parent, number)

    return bind


def end_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Let this process get a signal when its parent ends; end it at once when that is gone already."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)
