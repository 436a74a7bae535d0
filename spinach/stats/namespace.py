"""A namespace at one moment: its queues, timers, limits, totals and server.

Part of the read model, see `stats`. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .jobs import FailureGroup, Page
from .recent import RecentCounts
from .workers import LostWorker, OrphanStats, WorkerStats

# Workers of the published package promote a job up to two seconds after its date.
OVERDUE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue; None means that it could not be read.

    The last element in one snapshot is the marker of the next: its new position tells how many jobs left
    and how many came.

    Attributes:
        name: Its name.
        depth: Jobs in it, parked ones included.
        oldest_seconds: How long its first job has been ready, 0 when it is empty.
        next_task: Task name of its first job.
        head_at: Date of its first job; one in the future means that a producer's clock is wrong.
        tail: Its last element; None when it is empty or the element too large for a marker.
        marker_position: Index of the marker, None when it was not found.
        marker_reach: How many elements from the end were searched for the marker; 0 when there was none.
        consistent: Whether depth and positions are of one instant.
        paused: Whether workers leave it alone. Reserved, not produced yet: always False.
        element_bytes: Size of its first or last element, the larger one, as far as they were read.
        head_age_polls: For how many polls its first element was not read again, because it is large.
        parked: Jobs that a concurrency limit holds back and that workers keep apart, so as not to look past
            them.
    """

    name: str
    depth: int | None = None
    oldest_seconds: float | None = None
    next_task: str | None = None
    head_at: float | None = None
    tail: bytes | None = field(default=None, repr=False)
    marker_position: int | None = None
    marker_reach: int = 0
    consistent: bool = True
    paused: bool = False
    element_bytes: int = 0
    head_age_polls: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class LimitStats:
    """How many jobs of a task may run at once in the namespace, and how many slots are taken."""

    task_name: str
    limit: int
    taken: int


@dataclass(frozen=True, slots=True)
class PeriodicStats:
    """A periodic task.

    Attributes:
        task_name: Its name.
        queue: Queue of its jobs.
        period_seconds: Seconds between two runs; None when it cannot be read.
        next_run: Epoch seconds of the next run; None when no run is planned.
        late_seconds: How long the next run is past; 0 for an abandoned task.
        abandoned: Whether no registered worker can run it: workers then do not schedule it.
    """

    task_name: str
    queue: str
    period_seconds: int | None
    next_run: float | None
    late_seconds: float
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class HistogramStats:
    """Counts per bucket of `HISTOGRAM_EDGES`, one more for what is longer, and the sum in seconds."""

    buckets: tuple[int, ...]
    total_seconds: float


@dataclass(frozen=True, slots=True)
class ServerStats:
    """The server that keeps the namespace; None means that it does not say.

    Attributes:
        version: Version of Valkey or Redis.
        memory_used_bytes: Memory in use.
        memory_max_bytes: Limit of memory, 0 for none.
        eviction_policy: Its `maxmemory-policy`.
        clock_skew_seconds: The reader's wall clock minus the server's.
    """

    version: str | None = None
    memory_used_bytes: int | None = None
    memory_max_bytes: int | None = None
    eviction_policy: str | None = None
    clock_skew_seconds: float | None = None

    @property
    def evicting(self) -> bool:
        """Whether the server may delete keys, and jobs with them, when memory is full."""
        return self.eviction_policy not in (None, "noeviction")


@dataclass(frozen=True, slots=True)
class Costs:
    """What a snapshot cost: round trips, commands, and seconds until it was complete."""

    round_trips: int = 0
    commands: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadError:
    """Something that could not be read.

    Attributes:
        reason: ``permission``, ``wrongtype``, ``malformed`` or ``refused``.
        what: The command and key, or the entry.
        message: The error, as the server or the parser reports it.
    """

    reason: str
    what: str
    message: str


@dataclass(frozen=True, slots=True)
class NamespaceSnapshot:
    """A namespace at one moment; None means that it was not, or could not be, read.

    Attributes:
        namespace: Its name.
        at: Epoch seconds by the server's clock; every age counts from here.
        queues: By name.
        workers: The registered ones, by host name.
        orphans: Workers that are no longer registered and still hold jobs, as far as they are known.
        connected: Processes that subscribe to the namespace's notifications; a crash shows within a second.
        scheduled: Jobs that wait for their date, retries included.
        overdue: Those past their date by more than `OVERDUE_SECONDS`.
        overdue_seconds: How long the first of them is past its date.
        running: Jobs that run, those of orphans included.
        reserved: Jobs that workers hold and that do not run yet.
        limits: Tasks with a limit, by name.
        periodic: Periodic tasks, the soonest first.
        failed: Dead letters that are kept.
        trimmed: Dead letters that were dropped, being too many or too old.
        workers_lost: Workers that were declared dead, by reason.
        lost: The latest of them, newest first.
        counters: Totals by (queue, task name, one of `COUNTERS`).
        recent: The counters of the last minutes.
        failing: What fails with which error, the latest first; read while `recent` counts errors.
        waits: Seconds that jobs waited in their queue, by queue.
        runs: Seconds that attempts ran, by queue.
        exact: Whether counters are complete: workers of the published package do not count.
        costs: What this snapshot cost.
        pages: The pages that were asked for, in that order.
        errors: What could not be read.
        truncated: What was too much to read in full: ``queues``, ``workers``, ``tasks``.
    """

    namespace: str
    at: float
    queues: tuple[QueueStats, ...] = ()
    workers: tuple[WorkerStats, ...] = ()
    orphans: tuple[OrphanStats, ...] = ()
    connected: int | None = None
    scheduled: int | None = None
    overdue: int | None = None
    overdue_seconds: float | None = None
    running: int | None = None
    reserved: int | None = None
    limits: tuple[LimitStats, ...] | None = None
    periodic: tuple[PeriodicStats, ...] | None = None
    failed: int | None = None
    trimmed: int | None = None
    workers_lost: Mapping[str, int] | None = None
    lost: tuple[LostWorker, ...] = ()
    counters: Mapping[tuple[str, str, str], int] | None = None
    recent: RecentCounts | None = None
    failing: tuple[FailureGroup, ...] | None = None
    waits: Mapping[str, HistogramStats] | None = None
    runs: Mapping[str, HistogramStats] | None = None
    server: ServerStats | None = None
    exact: bool = False
    costs: Costs = Costs()
    pages: tuple[Page, ...] = ()
    errors: tuple[ReadError, ...] = ()
    truncated: tuple[str, ...] = ()

    @property
    def queued(self) -> int:
        """Jobs in all queues that could be read."""
        return sum(queue.depth or 0 for queue in self.queues)

    @property
    def queues_are_read(self) -> bool:
        """Whether every queue could be read; else `queued` is a lower bound."""
        return "queues" not in self.truncated and all(queue.depth is not None for queue in self.queues)

    @property
    def orphaned(self) -> int:
        """Jobs whose worker is dead or no longer registered."""
        dead = sum(worker.held or 0 for worker in self.workers if worker.state == "dead")
        return dead + sum(orphan.running for orphan in self.orphans)
