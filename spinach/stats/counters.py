"""What is counted: the names of the counters, the edges of the histograms, and a worker's own counts.

It stores nothing: brokers add a worker's counts to the totals of the namespace. Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class AttemptError:
    """The error that an attempt ended with.

    Attributes:
        task_name: Task of the job.
        error_type: Fully qualified class of the error.
        job_id: Id of the job.
        message: Message of the error, shortened.
        traceback: Its traceback, shortened; empty where one of the same kind was written a moment ago.
    """

    task_name: str
    error_type: str
    job_id: str
    message: str
    traceback: str = ""


class Tally:
    """What a worker counted since its last call to the broker, so that a call carries sums, not events.

    Not thread-safe: each has one owner.

    Attributes:
        counts: Increments by (queue, task name, counter).
        waits: Seconds that jobs waited in their queue, by queue.
        runs: Seconds that attempts ran, by queue.
        errors: Attempts that ended in an error, by task name and type of error, with the newest of them; the
            traceback is the newest that one of them has.
    """

    __slots__ = ("counts", "errors", "runs", "waits")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, str], int] = {}
        self.waits: dict[str, Histogram] = {}
        self.runs: dict[str, Histogram] = {}
        self.errors: dict[tuple[str, str], tuple[int, AttemptError]] = {}

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

    def note_error(self, error: AttemptError) -> None:
        """Count one attempt that ended in an error."""
        key = error.task_name, error.error_type
        number, before = self.errors.get(key, (0, error))
        newest = error if error.traceback else replace(error, traceback=before.traceback)
        self.errors[key] = number + 1, newest

    def __bool__(self) -> bool:
        return bool(self.counts or self.waits or self.errors)
