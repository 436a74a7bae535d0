"""The clock that engine and brokers are given: the only place that asks the operating system for the time.

Wall-clock time is a float of epoch seconds (UTC). Intervals come from a clock that neither jumps with NTP nor
stops while the machine is suspended, so that a resumed worker notices how long it was suspended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Final, Protocol

# CLOCK_BOOTTIME counts the time for which the machine is suspended, CLOCK_MONOTONIC does not.
_elapsed: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Clock(Protocol):
    """What the engine needs to know about time."""

    def now(self) -> float:
        """Return the wall-clock time in epoch seconds."""

    def elapsed(self) -> float:
        """Return seconds since an arbitrary start. They never decrease."""


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> float:
        """Return the wall-clock time in epoch seconds."""
        return time.time()

    def elapsed(self) -> float:
        """Return seconds since boot, with the time in suspension where the platform counts it."""
        return _elapsed()


class ServerClock:
    """A clock that follows a server's: local elapsed time plus a measured offset.

    Until the first measurement it follows the wall clock of this machine.

    Args:
        clock: The clock of this machine, by default `SystemClock`.

    Attributes:
        local: The clock of this machine.
        follows_server: Whether the server's time was measured.
    """

    __slots__ = ("_elapsed", "_offset", "follows_server", "local")

    def __init__(self, clock: Clock | None = None) -> None:
        local = self.local = clock or SystemClock()
        self._elapsed = local.elapsed
        self._offset = local.now() - local.elapsed()
        self.follows_server = False

    def now(self) -> float:
        """Return the server's time in epoch seconds, as last measured."""
        return self._elapsed() + self._offset

    def elapsed(self) -> float:
        """Return elapsed seconds by the clock of this machine."""
        return self._elapsed()

    def observe(self, server_now: float) -> None:
        """Measure the offset: `server_now` is what the server's clock says now, in epoch seconds."""
        self._offset = server_now - self._elapsed()
        self.follows_server = True


def to_datetime(timestamp: float) -> datetime:
    """Return the aware UTC date of `timestamp` (epoch seconds)."""
    return datetime.fromtimestamp(timestamp, timezone.utc)


def as_utc(date: datetime) -> datetime:
    """Return the moment that a date names as a plain aware datetime in UTC.

    Args:
        date: Any datetime, also of a subclass (pendulum, freezegun); a naive one is UTC.

    Raises:
        ValueError: UTC cannot represent it: it would be before year 1 or after year 9999.
    """
    plain = datetime(
        date.year, date.month, date.day, date.hour, date.minute, date.second, date.microsecond,
        tzinfo=timezone.utc,
    )  # fmt: skip
    try:
        return plain - (date.utcoffset() or timedelta(0))
    except OverflowError:
        raise ValueError(f"the date {date} is out of range: UTC reaches from year 1 to year 9999") from None
