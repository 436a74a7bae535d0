"""Stopping on a signal of the operating system."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from types import FrameType

logger = getLogger(__name__)


@contextmanager
def stop_on_signal(must_stop: threading.Event) -> Iterator[None]:
    """Set `must_stop` on SIGINT and SIGTERM, and put the previous handlers back afterwards.

    Outside the main thread there are no handlers to set, and nothing happens.

    Raises:
        KeyboardInterrupt: a second signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if must_stop.is_set():
            raise KeyboardInterrupt(f"second signal ({name}): not waiting any longer")
        logger.info("%s: finishing running jobs", name, extra={"action": "stopping"})
        must_stop.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: the handler was not set by Python and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
