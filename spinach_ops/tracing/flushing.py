"""Flushes a provider within bounds: one thread at a time, which is left behind when it hangs, and waited for only once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

_known: Final[WeakKeyDictionary[Any, Flushing]] = WeakKeyDictionary()
_lock: Final = threading.Lock()


class Flushing:
    """How one provider is flushed, whatever engines share it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # held by the thread that flushes, beyond the call when it hangs
        self._began = 0.0
        self._deadline = 0.0
        self._took = 0.0

    def run(self, flush: Callable[[], object], seconds: float) -> bool:
        """Flush; return whether that ended in time.

        Args:
            flush: Called in a thread of its own; lets nothing out.
            seconds: How long to wait. While an earlier one goes on, until that one's time is over.
        """
        if not self._turn.acquire(timeout=max(0.0, self._deadline - time.monotonic())):
            return False
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        ended = threading.Event()

        def run() -> None:
            try:
                flush()
            finally:
                self._took = time.monotonic() - self._began
                self._turn.release()
                ended.set()

        try:
            threading.Thread(target=run, name="spinach-trace-flush", daemon=True).start()
        except BaseException:  # no more threads, or the interpreter ends
            self._turn.release()
            raise
        return ended.wait(seconds)

    def left_of(self, seconds: float) -> float:
        """Return what the latest flush left of a time that is meant for it and what follows."""
        took = time.monotonic() - self._began if self._turn.locked() else self._took
        return max(0.0, seconds - took)


def flushing_of(provider: object) -> Flushing:
    """Return how a provider is flushed, the same for all who ask."""
    with _lock:
        try:
            return _known.setdefault(provider, Flushing())
        except TypeError:  # cannot be remembered; then everybody flushes for themselves
            return Flushing()
