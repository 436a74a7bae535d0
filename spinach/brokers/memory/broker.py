"""The memory broker: every verb of the contract as one step under the store's lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

from ...clock import Clock
from ...exc import LeaseRevoked
from ...job import Job, JobStatus
from ...retry import Verdict
from ...stats import DEFAULT_DEAD_AFTER_SECONDS, Tally
from ...task import Task
from .. import worker_record
from ..messages import (
    Delivery,
    Due,
    Exchange,
    Recovery,
    Settlement,
    Subscription,
    WorkerProfile,
    WorkerState,
)
from . import recovery, timers
from .exchange import Handout
from .readable import ReadableBroker
from .store import Entry, MemoryStore, Namespace
from .subscription import MemorySubscription
from .timers import Arrival

# A beat may be missed, or held up by other threads, a few times before its worker is called dead.
_BEATS_PER_LIMIT: Final = 6
# Death is noticed soon after it is due, and looking for it is never a busy loop.
_MIN_CHECK_SECONDS: Final = 0.05


class MemoryBroker(ReadableBroker):
    """Keeps jobs in this process, for development and tests.

    Args:
        clock: This broker's own clock, the store's when None.
        store: Memory to share with other brokers of this process, as workers share a server; a private one
            when None.
    """

    #: Seconds without a heartbeat after which a worker is called dead; read when it joins and beats.
    broker_dead_threshold_seconds: float = DEFAULT_DEAD_AFTER_SECONDS

    def __init__(self, *, clock: Clock | None = None, store: MemoryStore | None = None) -> None:
        super().__init__(store or MemoryStore(clock=clock), clock)
        self._worker_id = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(namespace={self._namespace!r})"

    def start(self) -> None:
        """Learn the store's time."""
        self.clock.observe(self._store.clock.now())

    def flush(self) -> None:
        """Delete everything in the namespace, registrations of workers included."""
        self._store.flush(self.namespace)
        self._tell_news()

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

    def _tell_news(self) -> None:
        self._store.news(self.namespace).publish()

    # --- jobs ----------------------------------------------------------------------------------

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, all or none; see `Broker.enqueue`.

        Raises:
            InvalidJobArguments: arguments of one of them cannot be written as JSON; none was accepted.
        """
        with self._step() as namespace:
            now = self._store.clock.now()
            # All texts are written before the first job moves: a bad argument leaves nothing behind.
            for arrival in [Arrival.of(job, now) for job in jobs]:
                arrival.take_place(namespace, now)
                namespace.ledger.count(arrival.job.queue, arrival.job.task_name, "enqueued")
        self._tell_news()

    def exchange(self, exchange: Exchange) -> Delivery:
        """Hand in, claim and fetch in one step; see `Broker.exchange`."""
        with self._leased_step(exchange.worker_id) as (namespace, worker_id):
            finished = [namespace.release(worker_id, job.held_as) for job in exchange.done]
            for job in exchange.starting:
                namespace.start_reserved(worker_id, job.held_as)
            namespace.ledger.add(exchange.tally)
            delivery = Handout(namespace, worker_id, exchange, self._store.clock.now()).walk()
            freed = any(held and held.entry.task_name in namespace.limits for held in finished)
        if freed:
            self._tell_news()
        return delivery

    def settle(self, settlements: Sequence[Settlement], tally: Tally, *, worker_id: str = "") -> None:
        """Store retries and dead letters; see `Broker.settle`."""
        with self._leased_step(worker_id) as (namespace, holder):
            now = self._store.clock.now()
            arrivals = {
                id(one.job): Arrival.of(one.job, now) for one in settlements if one.verdict is Verdict.RETRIED
            }
            for settlement in settlements:
                if namespace.release(holder, settlement.job.held_as) is None:
                    continue
                if settlement.verdict is Verdict.RETRIED:
                    arrivals[id(settlement.job)].take_place(namespace, now)
                elif settlement.failure is not None:
                    namespace.ledger.bury(settlement.failure, now)
            namespace.ledger.add(tally)
        self._tell_news()

    def give_back(self, jobs: Sequence[Job], *, worker_id: str = "") -> None:
        """Put jobs that did not start back at the head of their queue; see `Broker.give_back`."""
        with self._leased_step(worker_id) as (namespace, holder):
            now = self._store.clock.now()
            entries = [(job, Entry.of(job, JobStatus.QUEUED, now)) for job in jobs]
            returned = [pair for pair in entries if namespace.release(holder, pair[1].id)]
            namespace.push_head(entry for _, entry in returned)
            for job, _ in returned:
                job.status = JobStatus.QUEUED
                job.enqueued_at = now
        self._tell_news()

    def is_queue_empty(self, queue: str) -> bool:
        """Return whether no job stands in the queue."""
        with self._step() as namespace:
            return queue not in namespace.queues

    # --- time ----------------------------------------------------------------------------------

    def promote(self) -> Due:
        """Move a page of waiting jobs that are due to their queues."""
        with self._step() as namespace:
            due = timers.promote(namespace, self._store.clock.now())
        if due.jobs:
            self._tell_news()
        return due

    def run_periodic(self) -> Due:
        """Push one job for every periodic task that is due."""
        with self._step() as namespace:
            due = timers.run_periodic(namespace, self._store.clock.now())
        if due.jobs:
            self._tell_news()
        return due

    def register(self, tasks: Iterable[Task]) -> None:
        """Make periodic tasks and limits known; those of other names stay."""
        with self._step() as namespace:
            now = self._store.clock.now()
            for task in tasks:
                timers.register(namespace, task, now)
        self._tell_news()

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
            self._worker_id, now = str(uuid4()), self._store.clock.now()
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
            namespace.workers[worker_id] |= {
                "last_seen_at": self._store.clock.now(),
                "dead_after": self.broker_dead_threshold_seconds,
                "state": state.state,
                "busy": state.busy,
                "fetched": state.fetched,
            }

    def leave(self) -> None:
        """Unregister; jobs still held, if any, become another worker's to recover."""
        with self._step() as namespace:
            announced = namespace.workers.pop(self._worker_id, None)
            if announced and self._worker_id in namespace.running:
                namespace.departed[self._worker_id] = announced
        self._tell_news()

    @property
    def heartbeat_seconds(self) -> float:
        """Seconds between heartbeats."""
        return self.broker_dead_threshold_seconds / _BEATS_PER_LIMIT

    def recover(self) -> list[Recovery]:
        """Take over what silent workers, and those that left with jobs in hand, held."""
        with self._step() as namespace:
            now = self._store.clock.now()
            gone = [*recovery.silent_workers(namespace, now), *namespace.departed]
            # A worker that was away itself has not died: it is still here to ask.
            recoveries = [
                recovery.recover_worker(namespace, worker_id, now)
                for worker_id in gone
                if worker_id != self._worker_id or worker_id in namespace.departed
            ]
        if recoveries:
            self._tell_news()
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
            found = recovery.recover_worker(namespace, str(dead_broker_id), self._store.clock.now())
        self._tell_news()
        return len(found.requeued), [job.serialize().encode() for job in found.failed]

    @property
    def recovery_check_seconds(self) -> float:
        """Seconds until another worker may have died."""
        with self._step() as namespace:
            now = self._store.clock.now()
            pauses = [
                announced["last_seen_at"] + announced["dead_after"] - now
                for worker_id, announced in namespace.workers.items()
                if worker_id != self._worker_id
            ]
        return max(_MIN_CHECK_SECONDS, min(pauses, default=self.broker_dead_threshold_seconds))

    def subscribe(self) -> Subscription:
        """Listen for news of the namespace, from now on."""
        return MemorySubscription(self._store.news(self.namespace))
