"""The round trips of this process: which threads wait, when the server last answered, how long it took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from time import monotonic, perf_counter
from typing import Any

from redis.exceptions import NoScriptError

from ...logger import SafeLogger
from ..messages import Contact, RequestObserver

logger = SafeLogger(__name__)


class RequestLog:
    """Notes round trips. On the path of every job: no lock, and next to nothing when nobody observes.

    Attributes:
        observer: Told of every round trip, when there is one.
    """

    def __init__(self) -> None:
        self.observer: RequestObserver | None = None
        self._asking: set[int] = set()
        self._answered = monotonic()

    def contact(self) -> Contact:
        """Return how the server answers."""
        return Contact(max(0.0, monotonic() - self._answered), frozenset(self._asking.copy()))

    def begin(self) -> float:
        """Note that this thread asks; return the moment, for `end`."""
        self._asking.add(get_ident())
        return perf_counter()

    def end(self, began: float, operation: str, replies: list[Any] | None, error: Exception | None) -> None:
        """Note what came of it: replies, or an error when there are none."""
        self._asking.discard(get_ident())
        if replies is not None:
            self._answered = monotonic()
        if self.observer is not None:
            self._tell(operation, perf_counter() - began, _refusal(replies) or error)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Note that this thread waits for the server, for what is no round trip of a command."""
        self._asking.add(get_ident())
        try:
            yield
            self._answered = monotonic()
        finally:
            self._asking.discard(get_ident())

    def _tell(self, operation: str, seconds: float, error: Exception | None) -> None:
        if self.observer is None:
            return
        try:
            self.observer(operation, seconds, error)
        except Exception:
            logger.exception("The observer of requests failed; it is ignored")


def _refusal(replies: list[Any] | None) -> Exception | None:
    """Return what the server said instead of a reply; in a pipeline some refusals may be expected."""
    if replies is None or len(replies) != 1 or not isinstance(replies[0], Exception):
        return None
    # A script that is not known yet is sent at once: part of the protocol, no failure.
    return None if isinstance(replies[0], NoScriptError) else replies[0]
