"""Shutdown: requests to stop, from any thread and from handlers of operating system signals.

A request only says that the workers are to stop; the engine stops them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

# A signal that arrives just before the wait begins does not interrupt it: its handler runs after this time.
_WAIT_SECONDS: Final = 0.5


class StopRequest:
    """A request to stop the workers that one start began; safe to make in a signal handler.

    `threading.Event` is not: its `set` deadlocks in a handler that interrupts its `wait`.
    """

    def __init__(self) -> None:
        self._requests: SimpleQueue[str] = SimpleQueue()  # its `put` is reentrant

    @property
    def made(self) -> bool:
        """Whether the request was made."""
        return not self._requests.empty()

    def make(self, reason: str = "") -> None:
        """Request a stop; only the first reason counts."""
        self._requests.put(reason)

    def wait(self) -> str:
        """Wait for the request; return its reason."""
        while True:
            with suppress(Empty):
                reason = self._requests.get(timeout=_WAIT_SECONDS)
                self._requests.put(reason)  # for other threads that wait, and for `made`
                return reason


@contextmanager
def stop_on_signal(request: StopRequest) -> Iterator[None]:
    """Make the request on SIGINT and SIGTERM; restore the previous handlers afterwards.

    Does nothing outside the main thread, because Python sets handlers only there.

    Raises:
        KeyboardInterrupt: a second signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if request.made:
            raise KeyboardInterrupt(f"second signal ({name}): not waiting any longer")
        request.make(name)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: the handler was not set by Python and cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
