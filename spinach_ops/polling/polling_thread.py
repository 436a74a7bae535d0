"""Polls a namespace in a thread of its own and reports each result; never touches a screen.

The next poll starts an interval after the last one ended, so that polls never pile up. An error never ends
the thread.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Final

from spinach.exc import BrokerError
from spinach.stats import Wanted

from .connection import Connection
from .poller import Poll, Poller

logger = getLogger(__name__)

_LEAST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """What a look brought.

    Attributes:
        tick: What was seen, None when the look failed.
        connection: How it stands with the server now.
        source: Who looked: somebody may have turned to another namespace meanwhile.
    """

    tick: Poll | None
    connection: Connection
    source: Poller


class PollingThread:
    """The thread that looks.

    Args:
        source: Where to look first.
        deliver: Takes each report; called in that thread.
        interval_seconds: Between the end of a look and the next.
        now: A monotonic clock.
    """

    def __init__(
        self,
        source: Poller,
        deliver: Callable[[Report], None],
        *,
        interval_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = Connection()
        self._source = source
        self._deliver = deliver
        self._interval_seconds = interval_seconds
        self._now = now
        self._wanted: tuple[Wanted, ...] = ()
        self._stopped = threading.Event()
        self._due = threading.Event()
        # A daemon: a server that hangs must not keep anybody from leaving.
        self._thread = threading.Thread(target=self._watch, name="spinach-top-poller", daemon=True)

    @property
    def interval_seconds(self) -> float:
        """Seconds between two looks; may be set."""
        return self._interval_seconds

    @interval_seconds.setter
    def interval_seconds(self, seconds: float) -> None:
        self._interval_seconds = seconds
        self._source.interval_seconds = seconds
        self._due.set()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that is under way ends by itself and is not reported."""
        self._stopped.set()
        self._due.set()

    def look_now(self) -> None:
        """Look as soon as the look that is under way has ended."""
        self._due.set()

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Bring these pages along from now on; one that is new is fetched at once."""
        if tuple(wanted) != self._wanted:
            changed = {(one.kind, one.of, one.from_tail) for one in wanted} - {
                (one.kind, one.of, one.from_tail) for one in self._wanted
            }
            self._wanted = tuple(wanted)
            if changed:
                self._due.set()

    def turn_to(self, source: Poller) -> None:
        """Look elsewhere from now on."""
        source.interval_seconds = self._interval_seconds
        self._source = source
        self.connection = Connection()
        self._due.set()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._due.clear()
            source = self._source
            report = self._look(source)
            if self._stopped.is_set():
                return
            if source is self._source:
                self.connection = report.connection
                self._deliver(report)
                # Somebody who hurries through the rows must not hurry the server.
                self._stopped.wait(min(_LEAST_SECONDS, self._interval_seconds))
                self._due.wait(self._pause())

    def _pause(self) -> float:
        retry_at = self.connection.retry_at
        return self._interval_seconds if retry_at is None else max(0.0, retry_at - self._now())

    def _look(self, source: Poller) -> Report:
        self.connection = began = self.connection.began(self._now())
        try:
            tick = source.look(self._wanted)
        except BrokerError as error:
            reason = str(error)
        except Exception as error:  # a screen that ends is worse than one that says what went wrong
            logger.exception("A look failed unexpectedly", extra={"action": "look"})
            reason = f"unexpected {type(error).__name__}: {error}"
        else:
            return Report(tick, began.succeeded(), source)
        return Report(None, began.failed(self._now(), reason, jitter=random.uniform(-1, 1)), source)  # noqa: S311
