"""What a memory broker stores: namespaces of plain containers under one lock, and basic moves.

It keeps jobs as text, never as objects: a task that changes its arguments must not change the stored job.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from threading import Condition
from typing import Any

from ...clock import Clock, ServerClock
from ...exc import MalformedJob
from ...job import Job, JobStatus
from .. import dead_letters
from .history import History
from .queue import JobQueue
from .subscription import Notifications


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it is kept: its text, and the facts that decide who may take it.

    Attributes:
        raw: The job's text.
        id: Key of the job among those that a worker holds.
        last_attempt: Whether it must not be repeated after the next start.
    """

    raw: bytes
    id: str
    queue: str
    task_name: str
    last_attempt: bool

    @classmethod
    def of(cls, job: Job, status: JobStatus, now: float) -> StoredJob:
        """Return what is kept of a job that is stored at `now` (epoch seconds)."""
        raw = job.text(status, now).encode()
        return cls(raw, job.held_as, job.queue, job.task_name, not job.should_retry)


@dataclass(slots=True)
class Assignment:
    """A job that a worker holds: `reserved`, or running since `started_at` (epoch seconds)."""

    job: StoredJob
    reserved: bool
    started_at: float | None = None

    def start(self, now: float) -> None:
        """Take note that the worker starts it at `now` (epoch seconds)."""
        self.reserved, self.started_at = False, now


@dataclass(slots=True)
class PeriodicTask:
    """A periodic task, as far as its jobs need it; `next_run` in epoch seconds."""

    name: str
    queue: str
    max_retries: int
    period_seconds: int
    next_run: float


@dataclass(slots=True)
class Namespace:
    """Everything one namespace holds. Not thread-safe: the store's lock guards it.

    Attributes:
        queues: Jobs that may run; no empty queue is kept.
        waiting: Heap of (due in epoch seconds, serial, job).
        running: What each worker holds, by worker id and job id, in order of the claims.
        workers: What each registered worker announced, by id.
        departed: What workers announced that left while they held jobs, by id.
        limits: How many jobs of a task may run at once.
        periodic: Periodic tasks by name.
    """

    queues: dict[str, JobQueue] = field(default_factory=dict)
    waiting: list[tuple[float, int, StoredJob]] = field(default_factory=list)
    running: dict[str, dict[str, Assignment]] = field(default_factory=dict)
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    departed: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    periodic: dict[str, PeriodicTask] = field(default_factory=dict)
    history: History = field(default_factory=History)
    _serials: Iterable[int] = field(default_factory=count)

    def push(self, job: StoredJob) -> None:
        """Put a job at the tail of its queue."""
        self.queues.setdefault(job.queue, JobQueue()).append(job)

    def push_head(self, jobs: Iterable[StoredJob]) -> None:
        """Put jobs at the head of their queues; the first of them will be the first to run."""
        for job in reversed(list(jobs)):
            self.queues.setdefault(job.queue, JobQueue()).appendleft(job)

    def postpone(self, due: float, job: StoredJob) -> None:
        """Let a job wait until `due` (epoch seconds); jobs of one date keep their order."""
        heapq.heappush(self.waiting, (due, next(iter(self._serials)), job))

    def release(self, worker_id: str, job_id: str) -> Assignment | None:
        """Take a job from a worker; None when the worker does not hold it."""
        held = self.running.get(worker_id, {}).pop(job_id, None)
        if held is not None and not self.running[worker_id]:
            del self.running[worker_id]
        return held

    def start_reserved(self, worker_id: str, job_id: str, now: float) -> None:
        """Note that a worker starts a job that it reserved; a second call changes nothing."""
        held = self.running.get(worker_id, {}).get(job_id)
        if held is not None and held.reserved:
            held.start(now)
            self.history.count(held.job.queue, held.job.task_name, "started", now)

    def running_of(self, task_name: str) -> int:
        """Return how many jobs of a task workers hold: a count, not a counter, so no slot can leak."""
        return sum(
            held.job.task_name == task_name for jobs in self.running.values() for held in jobs.values()
        )

    def read(self, stored: StoredJob, place: str, now: float, worker_id: str = "") -> Job | None:
        """Return the job of a stored text; a malformed one becomes a dead letter, found in `place`."""
        try:
            return Job.deserialize(stored.raw)
        except MalformedJob as error:
            self.history.add_dead_letter(
                dead_letters.malformed(stored.raw, error, place, now, worker_id), now
            )
            return None


class MemoryStore:
    """The memory that brokers of one process share, as they would share a server.

    Args:
        clock: The clock of this store, as a server has one; brokers follow it.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = ServerClock(clock)
        # One lock for everything makes each verb of the broker one step.
        self.lock = Condition()
        self._namespaces: dict[str, Namespace] = {}
        self._notifications: dict[str, Notifications] = {}

    def namespace(self, name: str) -> Namespace:
        """Return a namespace; call this, and use the result, only under `lock`.

        Args:
            name: The namespace.
        """
        return self._namespaces.setdefault(name, Namespace())

    def notifications(self, name: str) -> Notifications:
        """Return the notifications of a namespace.

        Args:
            name: The namespace.
        """
        with self.lock:
            return self._notifications.setdefault(name, Notifications(self.lock))

    def flush(self, name: str) -> None:
        """Delete what a namespace holds. Its subscriptions stay.

        Args:
            name: The namespace.
        """
        with self.lock:
            self._namespaces.pop(name, None)
