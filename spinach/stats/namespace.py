"""A namespace at one moment: its queues, timers, limits, totals and server, as frozen values.

Everything that looks at a namespace (terminal UI, exporter, command line) reads these values and no
others. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .jobs import Page
from .workers import LostWorker, OrphanStats, WorkerStats

# Old workers look at waiting jobs once a second, and a second late.
OVERDUE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue; None stands for what could not be read.

    Attributes:
        name: Its name.
        depth: Jobs in it.
        oldest_seconds: How long its first job has been ready, 0 when it is empty.
        next_task: Task of its first job.
        head_at: Epoch seconds of the first job's date; one in the future means a producer's clock is wrong.
        tail: Its last element, the marker that the next snapshot looks for; None when empty or too large.
        marker_position: Where the last element of the snapshot before stands now.
        marker_reach: How many elements from the end were searched for it; 0: there was none to search for.
        consistent: Whether depth and positions are of one instant.
        paused: Whether workers leave it alone. Reserved, not produced yet: always False.
        element_bytes: Size of its first or last element, the larger one, as far as they were read.
        head_looks: For how many looks its first element was not read: a large one is kept for some.
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
    head_looks: int = 0


@dataclass(frozen=True, slots=True)
class LimitStats:
    """A task's limit of jobs that run at once, and the slots counted as taken."""

    task_name: str
    limit: int
    taken: int


@dataclass(frozen=True, slots=True)
class PeriodicStats:
    """A periodic task; `next_run` in epoch seconds, None where it is not planned."""

    task_name: str
    queue: str
    period_seconds: int | None
    next_run: float | None
    late_seconds: float


@dataclass(frozen=True, slots=True)
class HistogramStats:
    """Counts per bucket of `HISTOGRAM_EDGES` (the last one: longer) and the sum in seconds."""

    buckets: tuple[int, ...]
    total_seconds: float


@dataclass(frozen=True, slots=True)
class ServerStats:
    """The server that keeps the namespace; None stands for what it does not say.

    Attributes:
        version: Of the server, as it counts itself.
        memory_used_bytes: Memory in use.
        memory_max_bytes: Its limit, 0 for none.
        eviction_policy: What it does when memory is full.
        clock_skew_seconds: The reader's wall clock minus the server's.
    """

    version: str | None = None
    memory_used_bytes: int | None = None
    memory_max_bytes: int | None = None
    eviction_policy: str | None = None
    clock_skew_seconds: float | None = None

    @property
    def evicting(self) -> bool:
        """Whether the server may delete keys, and so jobs, when memory is full."""
        return self.eviction_policy not in (None, "noeviction")


@dataclass(frozen=True, slots=True)
class Costs:
    """What a snapshot cost."""

    round_trips: int = 0
    commands: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadError:
    """Something that could not be read.

    Attributes:
        reason: ``permission``, ``wrongtype``, ``malformed`` or ``refused``.
        what: The key or entry.
        message: What the server or the parser said.
    """

    reason: str
    what: str
    message: str


@dataclass(frozen=True, slots=True)
class NamespaceSnapshot:
    """A namespace at one moment; None stands for what was not read or could not be.

    Attributes:
        namespace: Its name.
        at: Epoch seconds by the server's clock; every age counts from here.
        queues: By name.
        workers: The registered ones, by host name.
        orphans: Workers that are gone and still hold jobs, as far as they are remembered.
        connected: Processes that listen to the namespace's news: right within a second of a crash.
        scheduled: Jobs that wait for their date, retries included.
        overdue: Those past their date by more than `OVERDUE_SECONDS`.
        overdue_seconds: How long the first of them is past its date.
        running: Jobs that run, those of orphans included.
        reserved: Jobs that workers hold and did not start.
        failed: Dead letters that are kept.
        trimmed: Dead letters that were dropped for newer ones.
        workers_lost: Workers that were declared dead, by reason.
        lost: The latest of them, newest first.
        counters: Totals by queue, task and one of `COUNTERS`.
        waits: Time in the queue, by queue.
        runs: Time in the task, by queue.
        exact: Whether counters are complete: every registered worker counts.
        pages: The pages that were asked for, in that order.
        errors: What could not be read.
        truncated: What was too much to read: ``queues``, ``workers``, ``tasks``.
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
        """Jobs whose worker is dead or registered nowhere."""
        dead = sum(worker.held or 0 for worker in self.workers if worker.state == "dead")
        return dead + sum(orphan.running for orphan in self.orphans)
