"""What a memory broker stores: namespaces of plain containers under one lock, and the elementary moves.

Jobs are kept as their text, never as objects: what a task does to its arguments stays with the task.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from threading import Condition
from typing import Any

from ...clock import Clock, ServerClock
from ...exc import MalformedJob
from ...job import Job, JobStatus
from .. import dead_letters
from .history import Ledger
from .subscription import News


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as it stands in a queue: its text, and what a walk along the queue must know of it.

    Attributes:
        raw: The job's text.
        id: Under which a running job is held.
        last_attempt: Whether it must not be repeated after the next start.
    """

    raw: bytes
    id: str
    queue: str
    task_name: str
    last_attempt: bool

    @classmethod
    def of(cls, job: Job, status: JobStatus, now: float) -> Entry:
        """Return the entry of a job that is pushed at `now` (epoch seconds)."""
        raw = job.text(status, now).encode()
        return cls(raw, job.held_as, job.queue, job.task_name, not job.should_retry)


@dataclass(slots=True)
class Held:
    """A job in the hands of a worker; `reserved` until the worker says that it starts."""

    entry: Entry
    reserved: bool


@dataclass(slots=True)
class PeriodicTask:
    """What is needed to make the jobs of a periodic task."""

    name: str
    queue: str
    max_retries: int
    period_seconds: int
    next_run: float


@dataclass(slots=True)
class Namespace:
    """Everything one namespace holds. Not thread-safe: the store's lock guards it.

    Attributes:
        queues: Jobs that may run, head left; no empty queue is kept.
        waiting: Heap of (due, serial, entry).
        running: What each worker holds, by worker id and job id, in order of the claims.
        workers: What each registered worker announced, by id.
        departed: The same of workers that left although they held jobs.
        limits: How many jobs of a task may run at once.
    """

    queues: dict[str, deque[Entry]] = field(default_factory=dict)
    waiting: list[tuple[float, int, Entry]] = field(default_factory=list)
    running: dict[str, dict[str, Held]] = field(default_factory=dict)
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    departed: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    periodic: dict[str, PeriodicTask] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    _serials: Iterable[int] = field(default_factory=count)

    def push(self, entry: Entry) -> None:
        """Put a job at the tail of its queue."""
        self.queues.setdefault(entry.queue, deque()).append(entry)

    def push_head(self, entries: Iterable[Entry]) -> None:
        """Put jobs at the head of their queues; the first of them will be the first to run."""
        for entry in reversed(list(entries)):
            self.queues.setdefault(entry.queue, deque()).appendleft(entry)

    def postpone(self, due: float, entry: Entry) -> None:
        """Let a job wait for its date; jobs of one date keep their order."""
        heapq.heappush(self.waiting, (due, next(iter(self._serials)), entry))

    def release(self, worker_id: str, job_id: str) -> Held | None:
        """Take a job from a worker; None when the worker does not hold it (any more)."""
        held = self.running.get(worker_id, {}).pop(job_id, None)
        if held is not None and not self.running[worker_id]:
            del self.running[worker_id]
        return held

    def start_reserved(self, worker_id: str, job_id: str) -> None:
        """Note that a worker starts a job that it had reserved; said twice it is counted once."""
        held = self.running.get(worker_id, {}).get(job_id)
        if held is not None and held.reserved:
            held.reserved = False
            self.ledger.count(held.entry.queue, held.entry.task_name, "started")

    def running_of(self, task_name: str) -> int:
        """Return how many jobs of a task are held: the slots it takes, counted, so that none can leak."""
        held = (held for jobs in self.running.values() for held in jobs.values())
        return sum(one.entry.task_name == task_name for one in held)

    def read(self, entry: Entry, place: str, now: float, worker_id: str = "") -> Job | None:
        """Return the job of an entry; one that cannot be read becomes a dead letter, found in `place`."""
        try:
            return Job.deserialize(entry.raw)
        except MalformedJob as error:
            self.ledger.bury(dead_letters.malformed(entry.raw, error, place, now, worker_id), now)
            return None


class MemoryStore:
    """The memory that brokers of one process share, as they would share a server.

    Args:
        clock: The server's clock: it decides on all that has to do with time.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = ServerClock(clock)
        # One lock for everything: a verb of the broker is one step for whoever looks on.
        self.lock = Condition()
        self._namespaces: dict[str, Namespace] = {}
        self._news: dict[str, News] = {}

    def namespace(self, name: str) -> Namespace:
        """Return what a namespace holds; call it, and use the result, only under `lock`.

        Args:
            name: The namespace.
        """
        return self._namespaces.setdefault(name, Namespace())

    def news(self, name: str) -> News:
        """Return the notifications of a namespace.

        Args:
            name: The namespace.
        """
        with self.lock:
            return self._news.setdefault(name, News(self.lock))

    def flush(self, name: str) -> None:
        """Delete what a namespace holds. Its subscriptions stay.

        Args:
            name: The namespace.
        """
        with self.lock:
            self._namespaces.pop(name, None)
