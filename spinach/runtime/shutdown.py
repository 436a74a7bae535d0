"""Stopping on request, from any thread and from handlers of operating system signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

_LOOK_SECONDS: Final = 0.5


class StopRequest:
    """A request to stop, made at most once per start, even by a signal handler.

    `threading.Event` is no good for that: its `set` in a handler deadlocks when the handler interrupts its `wait`.
    """

    def __init__(self) -> None:
        self._requests: SimpleQueue[str] = SimpleQueue()  # its `put` is reentrant

    @property
    def made(self) -> bool:
        """Whether the request was made."""
        return not self._requests.empty()

    def make(self, reason: str = "") -> None:
        """Request a stop; the first reason counts."""
        self._requests.put(reason)

    def wait(self) -> str:
        """Wait for the request; return its reason."""
        while True:
            # A signal that arrives just before the wait begins does not interrupt it.
            with suppress(Empty):
                reason = self._requests.get(timeout=_LOOK_SECONDS)
                self._requests.put(reason)  # for whoever else waits
                return reason


@contextmanager
def stop_on_signal(request: StopRequest) -> Iterator[None]:
    """Make the request on SIGINT and SIGTERM, and put the previous handlers back afterwards.

    Outside the main thread there are no handlers to set, and nothing happens.

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
            # None: the handler was not set by Python and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
