"""Timers: releases waiting and periodic jobs when their time has come. Part of the arbiter's duty."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import Final

from .. import signals
from ..brokers.base import Broker, Due
from ..exc import BrokerError, BrokerUnavailable

logger = getLogger(__name__)

# A due job starts at most 0.3 s late; looking more often would cost the server more than it gains.
_MIN_SECONDS: Final = 0.1
# Look at least so often: dates written by others are not announced to us for certain.
_MAX_SECONDS: Final = 60.0
# The last stretch before a known date; a look that comes early finds nothing and comes again.
_SHORTEST_PAUSE_SECONDS: Final = 0.01
# Keys that hold a foreign type are looked at again after this time.
_BROKEN_SECONDS: Final = 5.0


class Timers:
    """Knows when to look at the timers, and looks.

    Args:
        broker: Whose timers.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._next = 0.0
        self._last = -_MIN_SECONDS
        self._complaints: set[str] = set()

    def hear_news(self) -> None:
        """Look soon: a date may have been written that is earlier than those known."""
        self._next = min(self._next, self._last + _MIN_SECONDS)

    @property
    def seconds_left(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - self._broker.clock.elapsed())

    def run_when_due(self) -> bool:
        """Release jobs whose time has come; return whether there were any."""
        now = self._broker.clock.elapsed()
        if now < self._next:
            return False
        self._last = now
        self._next = now + _MAX_SECONDS
        promoted = self._look(self._broker.promote)
        periodic = self._look(self._broker.run_periodic)
        for job in promoted.jobs:
            signals.job_promoted.send(self._broker.namespace, job=job)
        for job in periodic.jobs:
            signals.job_queued.send(self._broker.namespace, job=job)
        planned = [due.next_at for due in (promoted, periodic) if due.next_at is not None]
        if planned:
            pause = min(planned) - self._broker.clock.now()
            self._next = min(self._next, now + max(_SHORTEST_PAUSE_SECONDS, pause))
        return bool(promoted.jobs or periodic.jobs)

    def _look(self, look: Callable[[], Due]) -> Due:
        """Look at one kind of timers; a broken key must not keep the other kind, or the queue, waiting."""
        try:
            return look()
        except BrokerUnavailable:
            self._next = self._last  # nothing was seen: look again with the next tick
            raise
        except BrokerError as error:
            if str(error) not in self._complaints:
                self._complaints.add(str(error))
                logger.error("Timers cannot be read: %s", error, extra={"action": "timers_broken"})
            return Due(next_at=self._broker.clock.now() + _BROKEN_SECONDS)
