"""The one way in which tests wait: poll a condition, or fail at a deadline and say what is missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.01
_sleep: Callable[[], object] = partial(threading.Event().wait, _POLL_SECONDS)


class Deadline:
    """Fails a test that waits too long.

    Args:
        what: What the test waits for, or a function that says it once time is up.
        within: Seconds.
    """

    def __init__(self, what: str | Callable[[], str], within: float = PATIENCE_SECONDS) -> None:
        self._what = what
        self._within = within
        self._ends_at = time.monotonic() + within

    def check(self) -> None:
        if time.monotonic() > self._ends_at:
            what = self._what if isinstance(self._what, str) else self._what()
            raise AssertionError(f"not within {self._within:g} s: {what}")


def wait_until(
    condition: Callable[[], T],
    what: str | Callable[[], str] = "the condition holds",
    within: float = PATIENCE_SECONDS,
    *,
    pause: Callable[[], object] = _sleep,
) -> T:
    """Wait until a condition holds and return what it returned; `pause` lets time pass between two tries."""
    deadline = Deadline(what, within)
    while not (value := condition()):
        deadline.check()
        pause()
    return value
