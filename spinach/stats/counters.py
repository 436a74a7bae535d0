"""What is counted: the names of the counters, the edges of the histograms, and a worker's own counts.

It stores nothing: brokers add a worker's counts to the totals of the namespace. Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

# In the order of a job's life; the one list for documents, labels and columns.
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

# Upper edges of the buckets, in seconds; one more bucket counts what is longer.
HISTOGRAM_EDGES: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(slots=True)
class Histogram:
    """Counts of durations per bucket of `HISTOGRAM_EDGES`, and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(HISTOGRAM_EDGES) + 1))
    total_seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; a negative one, after a clock was set back, counts as 0."""
        seconds = max(0.0, seconds)
        self.buckets[bisect_left(HISTOGRAM_EDGES, seconds)] += 1
        self.total_seconds += seconds


class Tally:
    """What a worker counted since its last call to the broker, so that a call carries sums, not events.

    Not thread-safe: each has one owner.

    Attributes:
        counts: Increments by (queue, task name, counter).
        waits: Seconds that jobs waited in their queue, by queue.
        runs: Seconds that attempts ran, by queue.
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
