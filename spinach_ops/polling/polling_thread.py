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
from typing import Final

from spinach.exc import BrokerError
from spinach.logger import SafeLogger
from spinach.stats import Wanted

from .connection import Connection
from .poller import Poll, Poller

logger = SafeLogger(__name__)

_LEAST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """What a look brought.

    Attributes:
        poll: What was seen, None when the look failed.
        connection: How it stands with the server now.
        poller: Who looked: somebody may have turned to another namespace meanwhile.
    """

    poll: Poll | None
    connection: Connection
    poller: Poller


class PollingThread:
    """The thread that looks.

    Args:
        poller: Where to look first.
        deliver: Takes each report; called in that thread.
        interval_seconds: Between the end of a look and the next.
        now: A monotonic clock.
    """

    def __init__(
        self,
        poller: Poller,
        deliver: Callable[[Report], None],
        *,
        interval_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = Connection()
        self._poller = poller
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
        self._poller.interval_seconds = seconds
        self._due.set()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that is under way ends by itself and is not reported."""
        self._stopped.set()
        self._due.set()

    def poll_now(self) -> None:
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

    def turn_to(self, poller: Poller) -> None:
        """Look elsewhere from now on."""
        poller.interval_seconds = self._interval_seconds
        self._poller = poller
        self.connection = Connection()
        self._due.set()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._due.clear()
            poller = self._poller
            report = self._poll(poller)
            if self._stopped.is_set():
                return
            if poller is self._poller:
                self.connection = report.connection
                self._deliver(report)
                # Somebody who hurries through the rows must not hurry the server.
                self._stopped.wait(min(_LEAST_SECONDS, self._interval_seconds))
                self._due.wait(self._pause())

    def _pause(self) -> float:
        retry_at = self.connection.retry_at
        return self._interval_seconds if retry_at is None else max(0.0, retry_at - self._now())

    def _poll(self, poller: Poller) -> Report:
        self.connection = began = self.connection.began(self._now())
        try:
            poll = poller.poll(self._wanted)
        except BrokerError as error:
            reason = str(error)
        except Exception as error:  # a screen that ends is worse than one that says what went wrong
            logger.exception("A poll failed unexpectedly", extra={"action": "poll"})
            reason = f"unexpected {type(error).__name__}: {error}"
        else:
            return Report(poll, began.succeeded(), poller)
        return Report(None, began.failed(self._now(), reason, jitter=random.uniform(-1, 1)), poller)  # noqa: S311
