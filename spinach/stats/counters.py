"""The tally: what a worker counts between two calls to its broker, so that a call carries sums, not events.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

# One list for every document, label and column.
COUNTERS: Final = (
    "enqueued",
    "promoted",
    "started",
    "succeeded",
    "retried",
    "failed",
    "recovered",
    "cancelled",  # reserved, not produced yet
    "expired",  # reserved, not produced yet
)

# Upper edges in seconds of the histograms kept by the broker; a last bucket takes what is longer.
HISTOGRAM_EDGES: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(slots=True)
class Histogram:
    """Counts per bucket of `HISTOGRAM_EDGES` and the sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(HISTOGRAM_EDGES) + 1))
    total_seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; a negative one (a clock that went back) counts as zero."""
        seconds = max(0.0, seconds)
        self.buckets[bisect_left(HISTOGRAM_EDGES, seconds)] += 1
        self.total_seconds += seconds


class Tally:
    """Increments gathered between two calls to the broker, so that a call carries sums, not events.

    Not thread-safe: each has one owner.
    """

    __slots__ = ("counts", "runs", "waits")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, str], int] = {}
        self.waits: dict[str, Histogram] = {}
        self.runs: dict[str, Histogram] = {}

    def count(self, queue: str, task: str, counter: str, increment: int = 1) -> None:
        """Add to one of `COUNTERS` of a task in a queue."""
        key = (queue, task, counter)
        self.counts[key] = self.counts.get(key, 0) + increment

    def observe(self, queue: str, *, wait_seconds: float, run_seconds: float) -> None:
        """Count how long one attempt waited in its queue and how long it ran."""
        waits = self.waits.get(queue)
        if waits is None:
            waits = self.waits[queue] = Histogram()
            self.runs[queue] = Histogram()
        waits.observe(wait_seconds)
        self.runs[queue].observe(run_seconds)

    def __bool__(self) -> bool:
        return bool(self.counts or self.waits)
