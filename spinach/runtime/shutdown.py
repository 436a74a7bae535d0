"""Shutdown: requests to stop, from any thread and from handlers of operating system signals.

A request only says that the workers are to stop; the engine stops them.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final, Protocol
from weakref import WeakSet

# A signal that arrives just before the wait begins does not interrupt it: its handler runs after this time.
from ..logger import SafeLogger

logger = SafeLogger(__name__)

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
    """Make the request on SIGINT, SIGTERM and SIGHUP; restore the previous handlers afterwards.

    A SIGHUP that is ignored, as under nohup, stays ignored. Forked children get the previous handlers back.
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

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = dict(_previous)
    _previous.update((number, signal.signal(number, handle)) for number in numbers)
    try:
        yield
    finally:
        _restore_handlers()
        _previous.update(before)


# The handlers that ours replaced; a child that a job forks must not stop workers that it does not have.
_previous: Final[dict[int, Any]] = {}


def _restore_handlers() -> None:
    for number, handler in _previous.items():
        # None: the handler was not set by Python and cannot be restored.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    _previous.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_handlers)


class Stoppable(Protocol):
    """Something whose threads must end before the interpreter does."""

    def stop_workers(self) -> None:
        """Stop and wait."""


_started: Final[WeakSet[Any]] = WeakSet()
_registered: Final[list[bool]] = []


def stop_at_exit(engine: Stoppable) -> None:
    """Stop the workers of an engine when the program ends while they run.

    Without this the interpreter would end amid their jobs, which other workers would have to recover.
    """
    if not _registered:
        _registered.append(True)
        # Before the pools of `concurrent.futures` close, which run the plain functions of asyncio workers;
        # atexit
        # functions run after that.
        register = getattr(threading, "_register_atexit", atexit.register)
        with suppress(RuntimeError):  # the interpreter is ending already
            register(_stop_all)
    _started.add(engine)


def _stop_all() -> None:
    for engine in list(_started):
        try:
            engine.stop_workers()
        except BaseException:
            logger.exception("Workers could not be stopped in order at the end of the program")
