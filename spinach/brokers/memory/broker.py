"""The memory broker: every verb of the contract is one step under the lock of its store.

It locks, reads the clock and notifies; the module of each duty changes the namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID, uuid4

from ...clock import Clock
from ...exc import LeaseRevoked
from ...job import Job
from ...stats import (
    DEFAULT_DEAD_AFTER_SECONDS,
    FailedJob,
    FailureGroup,
    JobInfo,
    NamespaceSnapshot,
    Tally,
    Wanted,
)
from ...task import Task
from .. import worker_record
from ..base import Broker
from ..messages import Delivery, Due, Exchange, Recovery, Settlement, Subscription, WorkerProfile, WorkerState
from . import inspect, membership, recovery, timers
from .enqueue import enqueue
from .exchange import carry_out, give_back, settle
from .store import MemoryStore, Namespace
from .subscription import MemorySubscription

# Other threads may hold up a heartbeat, and a few may be missed, before the worker is declared dead.
_HEARTBEATS_PER_LIMIT: Final = 6
# Notices a death soon after it is due, without a busy loop.
_MIN_CHECK_SECONDS: Final = 0.05


class MemoryBroker(Broker):
    """Keeps jobs in this process, for development and tests.

    Args:
        clock: This broker's own clock, the store's when None.
        store: Memory to share with other brokers of this process, as workers share a server; a private one
            when None.
    """

    #: Seconds without a heartbeat after which a worker is declared dead; read at each heartbeat.
    broker_dead_threshold_seconds: float = DEFAULT_DEAD_AFTER_SECONDS

    def __init__(self, *, clock: Clock | None = None, store: MemoryStore | None = None) -> None:
        self._store = store or MemoryStore(clock=clock)
        super().__init__(clock=clock or self._store.clock)
        self._worker_id = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(namespace={self._namespace!r})"

    def start(self) -> None:
        """Learn the store's time."""
        self.clock.observe(self._now())

    def flush(self) -> None:
        """Delete everything in the namespace, registrations of workers included."""
        self._store.flush(self.namespace)
        self._notify()

    @contextmanager
    def _step(self) -> Iterator[Namespace]:
        with self._store.lock:
            yield self._store.namespace(self.namespace)

    @contextmanager
    def _leased_step(self, worker_id: str = "") -> Iterator[tuple[Namespace, str]]:
        """Enter a step of a worker, the present one by default; yields its id, too."""
        with self._step() as namespace:
            worker_id = worker_id or self._worker_id
            if worker_id not in namespace.workers:
                raise LeaseRevoked(
                    f"worker {worker_id or '(never joined)'} is not registered in namespace "
                    f"{self.namespace!r} any more: what it held belongs to others, join again"
                )
            yield namespace, worker_id

    def _now(self) -> float:
        return self._store.clock.now()

    def _notify(self) -> None:
        self._store.notifications(self.namespace).publish()

    # --- jobs ----------------------------------------------------------------------------------

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, all or none; see `Broker.enqueue`.

        Raises:
            InvalidJobArguments: arguments of one of them cannot be written as JSON; none was accepted.
        """
        with self._step() as namespace:
            enqueue(namespace, jobs, self._now())
        self._notify()

    def exchange(self, exchange: Exchange) -> Delivery:
        """Hand in, claim and fetch in one step; see `Broker.exchange`."""
        with self._leased_step(exchange.worker_id) as (namespace, worker_id):
            delivery, slots_freed = carry_out(exchange, namespace, worker_id, self._now())
        if slots_freed:
            self._notify()
        return delivery

    def settle(self, settlements: Sequence[Settlement], tally: Tally, *, worker_id: str = "") -> None:
        """Store retries and dead letters; see `Broker.settle`."""
        with self._leased_step(worker_id) as (namespace, holder):
            settle(namespace, holder, settlements, self._now())
            namespace.history.add(tally, self._now())
        self._notify()

    def give_back(self, jobs: Sequence[Job], *, worker_id: str = "") -> None:
        """Put jobs that did not start back at the head of their queue; see `Broker.give_back`."""
        with self._leased_step(worker_id) as (namespace, holder):
            give_back(namespace, holder, jobs, self._now())
        self._notify()

    def is_queue_empty(self, queue: str) -> bool:
        """Return whether the queue has no jobs."""
        with self._step() as namespace:
            return queue not in namespace.queues

    # --- time ----------------------------------------------------------------------------------

    def promote(self) -> Due:
        """Move a page of waiting jobs that are due to their queues."""
        with self._step() as namespace:
            due = timers.promote(namespace, self._now())
        if due.jobs:
            self._notify()
        return due

    def run_periodic(self) -> Due:
        """Push one job for every periodic task that is due."""
        with self._step() as namespace:
            due = timers.run_periodic(namespace, self._now())
        if due.jobs:
            self._notify()
        return due

    def register(self, tasks: Iterable[Task]) -> None:
        """Make periodic tasks and limits known; those of other names stay."""
        with self._step() as namespace:
            for task in tasks:
                timers.register(namespace, task, self._now())
                membership.announce_task(namespace, self._worker_id, task.name)
        self._notify()

    def remove_periodic_task(self, task_name: str) -> bool:
        """Remove a periodic task; return whether there was one."""
        with self._step() as namespace:
            return namespace.periodic.pop(task_name, None) is not None

    def inspect_periodic_tasks(self) -> list[tuple[int, str]]:
        """Return (next run in epoch seconds, task name) of each periodic task, soonest first."""
        with self._step() as namespace:
            return sorted((int(task.next_run), task.name) for task in namespace.periodic.values())

    # --- life ----------------------------------------------------------------------------------

    @property
    def worker_id(self) -> str:
        """Id of this worker, a new one at each `join`; empty before the first."""
        return self._worker_id

    def join(self, profile: WorkerProfile) -> None:
        """Register as a worker under a new id."""
        with self._step() as namespace:
            self._worker_id, now = str(uuid4()), self._now()
            facts = worker_record.facts_of(
                self._worker_id,
                profile,
                namespace=self.namespace,
                now=now,
                dead_after_seconds=self.broker_dead_threshold_seconds,
                heartbeat_seconds=self.heartbeat_seconds,
            )
            record = worker_record.record_of(facts, profile.announced, WorkerState("starting"))
            namespace.workers[self._worker_id] = {**record, "last_seen_at": now}

    def beat(self, state: WorkerState) -> None:
        """Say that this worker is alive."""
        with self._leased_step() as (namespace, worker_id):
            limit = self.broker_dead_threshold_seconds
            membership.beat(namespace, worker_id, state, self._now(), dead_after_seconds=limit)

    def leave(self) -> None:
        """Unregister; jobs still held, if any, become another worker's to recover."""
        with self._step() as namespace:
            membership.leave(namespace, self._worker_id)
        self._notify()

    @property
    def heartbeat_seconds(self) -> float:
        """Seconds between heartbeats."""
        return self.broker_dead_threshold_seconds / _HEARTBEATS_PER_LIMIT

    def recover(self) -> list[Recovery]:
        """Take over what silent workers, and those that left with jobs in hand, held."""
        with self._step() as namespace:
            recoveries = recovery.recover(namespace, self._worker_id, self._now())
        if recoveries:
            self._notify()
        return recoveries

    def enqueue_jobs_from_dead_broker(self, dead_broker_id: UUID | str) -> tuple[int, list[bytes]]:
        """Recover the jobs of a worker that something outside found dead, however recent its heartbeat.

        Args:
            dead_broker_id: Id of the worker.

        Returns:
            How many jobs are back in their queues, and the texts of those that must not be repeated, which
            are dead letters now.
        """
        with self._step() as namespace:
            found = recovery.recover_worker(namespace, str(dead_broker_id), self._now())
        self._notify()
        return len(found.requeued), [job.serialize().encode() for job in found.failed]

    @property
    def recovery_check_seconds(self) -> float:
        """Seconds until another worker may have died."""
        with self._step() as namespace:
            others = [entry for name, entry in namespace.workers.items() if name != self._worker_id]
            pauses = [entry["last_seen_at"] + entry["dead_after"] - self._now() for entry in others]
        return max(_MIN_CHECK_SECONDS, min(pauses, default=self.broker_dead_threshold_seconds))

    def subscribe(self) -> Subscription:
        """Listen for notifications of the namespace, from now on."""
        return MemorySubscription(self._store.notifications(self.namespace))

    # --- inspection ----------------------------------------------------------------------------

    def get_all_brokers(self) -> list[dict[str, Any]]:
        """Return the registered workers as they announced themselves."""
        with self._step() as namespace:
            return [dict(announced) for announced in namespace.workers.values()]

    def failed_jobs(self, limit: int = 100) -> list[FailedJob]:
        """Return the newest dead letters, newest first."""
        with self._step() as namespace:
            return namespace.history.dead_letters(limit, self._now())

    def failure_groups(self) -> list[FailureGroup]:
        """Return what fails and since when, the latest first."""
        with self._step() as namespace:
            return namespace.history.failure_groups()

    def queued_jobs(self, queue: str, limit: int = 100) -> list[JobInfo]:
        """Return the first jobs of a queue, readable or not."""
        with self._step() as namespace:
            return inspect.queued_jobs(namespace, queue, limit)

    def running_jobs(self, worker_id: str, limit: int = 100) -> list[JobInfo]:
        """Return jobs that a worker holds, those it reserved included."""
        with self._step() as namespace:
            return inspect.running_jobs(namespace, worker_id, limit)

    def snapshot(
        self,
        *,
        known: NamespaceSnapshot | None = None,
        queues: Sequence[str] = (),
        totals: bool = True,
        discover: bool = False,
        wanted: Sequence[Wanted] = (),
    ) -> NamespaceSnapshot:
        """Return the state of the namespace; see `Broker.snapshot`.

        Nothing costs a round trip here, so `totals` and `discover` make no difference.
        """
        del totals, discover
        listeners = self._store.notifications(self.namespace).listeners
        with self._step() as namespace:
            return inspect.snapshot(
                self.namespace, namespace, self._now(),
                known=known, queues=queues, listeners=listeners, wanted=wanted,
            )  # fmt: skip

    def counters(self) -> dict[tuple[str, str, str], int]:
        """Return the totals by queue, task name and counter."""
        with self._step() as namespace:
            return dict(namespace.history.counts)
