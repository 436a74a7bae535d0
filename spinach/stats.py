"""The read model: frozen values that describe a namespace, and the tally that feeds its counters.

Everything that looks at a namespace (terminal UI, exporter, command line) reads these values and no
others. Pure: no I/O, no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# One list for every document, label and column.
COUNTERS: Final = (
    "enqueued",
    "promoted",
    "started",
    "succeeded",
    "retried",
    "failed",
    "recovered",
    "cancelled",
    "expired",
)

# Upper edges in seconds of the histograms kept by the broker; a last bucket takes what is longer.
HISTOGRAM_EDGES: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

# Our own workers; brokers of the published package are called dead after 1800 s.
DEFAULT_DEAD_AFTER_SECONDS: Final = 60
UPSTREAM_DEAD_AFTER_SECONDS: Final = 1800

# Beyond any date or duration; up to here floats are exact to the second.
_MAX_SECONDS: Final = 2**53


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker process as its namespace knows it.

    Attributes:
        id: Its broker id, new at each start.
        name: Host name.
        started_at: Epoch seconds.
        last_seen_at: Epoch seconds of the last heartbeat.
        dead_after_seconds: Silence after which it is called dead.
        version: Release it runs, None for the published package.
        details: Whatever else it announced (pid, queues, slots, state, ...), unchecked.
    """

    id: str
    name: str
    started_at: float
    last_seen_at: float
    dead_after_seconds: float
    version: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_registry(cls, broker_id: str, entry: Mapping[str, Any]) -> WorkerInfo:
        """Return the worker that a registry entry describes; fields of a wrong type count as absent."""
        limit = _number(entry.get("dead_after"), 0.0)
        version = entry.get("version")
        return cls(
            id=broker_id,
            name=str(entry.get("name", "")),
            started_at=_number(entry.get("started_at"), 0.0),
            last_seen_at=_number(entry.get("last_seen_at"), 0.0),
            dead_after_seconds=limit if limit > 0 else UPSTREAM_DEAD_AFTER_SECONDS,
            version=version if isinstance(version, str) else None,
            details=dict(entry),
        )


def _number(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    # Python reads NaN, infinities and integers of any size; no time is one.
    return float(value) if -_MAX_SECONDS < value < _MAX_SECONDS else default


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One dead letter: a job that will not run again, or bytes that never were a job.

    Attributes:
        id: The job's id, or a digest of bytes that have none.
        raw: The job's text byte for byte.
        reason: ``failed``, ``in doubt`` (its worker died and it must not be repeated) or ``malformed``.
        failed_at: Epoch seconds by the broker's clock.
        queue: Queue it stood in, empty when unknown.
        task_name: Its task, empty when unknown.
        error_type: Fully qualified class of the error.
        message: Its message, capped.
        traceback: Its traceback, capped, empty when there is none.
        attempts: How often the function was started, as far as known.
        worker: Broker id of the worker that gave it up.
    """

    id: str
    raw: bytes
    reason: str
    failed_at: float
    queue: str = ""
    task_name: str = ""
    error_type: str = ""
    message: str = ""
    traceback: str = ""
    attempts: int = 0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one task with one type of error: what fails, and since when."""

    task_name: str
    error_type: str
    count: int
    first_seen: float
    last_seen: float
    sample_id: str
    sample_message: str


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
