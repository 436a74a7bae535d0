"""The timers: release jobs whose date has come, and start periodic jobs. They run in the arbiter's thread.

They decide when to call the broker; the broker alone decides which jobs are due, by its own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .. import signals
from ..brokers.base import Broker, Due
from ..exc import BrokerError, BrokerUnavailable
from ..logger import SafeLogger

logger = SafeLogger(__name__)

# After a notification the timers run at most once per 0.1 s: each run costs the server two calls.
_MIN_PERIOD_SECONDS: Final = 0.1
# They run at least so often, because a notification may be lost.
_MAX_PERIOD_SECONDS: Final = 60.0
# The shortest pause before a known date: a run that comes a little early finds nothing and is repeated.
_MIN_PAUSE_SECONDS: Final = 0.01
# The pause after a timer whose key holds a foreign type.
_BROKEN_SECONDS: Final = 5.0


class Timers:
    """Knows when the timers are due, and runs them.

    Args:
        broker: Holds the waiting jobs and periodic tasks.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._next_run = 0.0
        self._last_run = -_MIN_PERIOD_SECONDS
        self._logged_errors: set[str] = set()

    def run_soon(self) -> None:
        """Run earlier than planned: a client may have written a date before the known ones."""
        self._next_run = min(self._next_run, self._last_run + _MIN_PERIOD_SECONDS)

    @property
    def seconds_left(self) -> float:
        """Seconds until the next run."""
        return max(0.0, self._next_run - self._broker.clock.elapsed())

    def run_when_due(self) -> bool:
        """Release jobs whose time has come; return whether there were any."""
        now = self._broker.clock.elapsed()
        if now < self._next_run:
            return False
        self._last_run = now
        self._next_run = now + _MAX_PERIOD_SECONDS
        promoted = self._release(self._broker.promote)
        periodic = self._release(self._broker.run_periodic)
        for job in promoted.jobs:
            signals.job_promoted.send(self._broker.namespace, job=job)
        for job in periodic.jobs:
            signals.job_queued.send(self._broker.namespace, job=job)
        planned = [due.next_at for due in (promoted, periodic) if due.next_at is not None]
        if planned:
            pause = min(planned) - self._broker.clock.now()
            self._next_run = min(self._next_run, now + max(_MIN_PAUSE_SECONDS, pause))
        return bool(promoted.jobs or periodic.jobs)

    def _release(self, call: Callable[[], Due]) -> Due:
        """Release jobs of one kind; a broken key of one kind delays neither the other kind nor the queue."""
        try:
            return call()
        except BrokerUnavailable:
            self._next_run = self._last_run  # nothing is known about the dates: run with the next tick
            raise
        except BrokerError as error:
            if str(error) not in self._logged_errors:
                self._logged_errors.add(str(error))
                logger.error("Timers cannot be read: %s", error, extra={"action": "timers_broken"})
            return Due(next_at=self._broker.clock.now() + _BROKEN_SECONDS)
