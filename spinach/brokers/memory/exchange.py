"""What a worker does with jobs: acknowledge, claim, reserve, settle, give back.

It neither locks nor notifies; the broker does.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...job import Job, JobStatus
from ...retry import Verdict
from .. import dead_letters
from ..limits import MAX_PARKED
from ..messages import Delivery, Exchange, Settlement
from .enqueue import PreparedJob
from .queue import JobQueue
from .store import Assignment, Namespace, StoredJob


def carry_out(exchange: Exchange, namespace: Namespace, worker_id: str, now: float) -> tuple[Delivery, bool]:
    """Take what a worker hands in, then claim and reserve jobs for it.

    Returns:
        The delivery, and whether a slot of a limited task came free.
    """
    finished = [namespace.release(worker_id, job.held_as) for job in exchange.done]
    for job in exchange.starting:
        namespace.start_reserved(worker_id, job.held_as, now)
    namespace.history.add(exchange.tally, now)
    delivery = _Fetch(namespace, worker_id, exchange, now).run()
    return delivery, any(held and held.job.task_name in namespace.limits for held in finished)


def settle(namespace: Namespace, worker_id: str, settlements: Iterable[Settlement], now: float) -> None:
    """Store retries and dead letters of the jobs that the worker still holds."""
    # Write all texts before the first job moves, as `enqueue` does.
    prepared = [
        (one, PreparedJob.of(one.job, now) if one.verdict is Verdict.RETRIED else None) for one in settlements
    ]
    for settlement, retry in prepared:
        if namespace.release(worker_id, settlement.job.held_as) is None:
            continue
        if retry is not None:
            retry.place(namespace, now)
        elif settlement.failure is not None:
            namespace.history.add_dead_letter(settlement.failure, now)


def give_back(namespace: Namespace, worker_id: str, jobs: Iterable[Job], now: float) -> None:
    """Put jobs that the worker still holds back at the head of their queues, in order."""
    stored = [(job, StoredJob.of(job, JobStatus.QUEUED, now)) for job in jobs]
    returned = [pair for pair in stored if namespace.release(worker_id, pair[1].id)]
    namespace.push_head(entry for _, entry in returned)
    for job, _ in returned:
        job.status = JobStatus.QUEUED
        job.enqueued_at = now


class _Fetch:
    """One pass over a queue, from its head, that claims and reserves jobs for one worker.

    Args:
        namespace: Has the queue.
        worker_id: Gets the jobs.
        exchange: How many the worker takes.
        now: Epoch seconds by the store's clock.
    """

    def __init__(self, namespace: Namespace, worker_id: str, exchange: Exchange, now: float) -> None:
        self._namespace = namespace
        self._worker_id = worker_id
        self._exchange = exchange
        self._now = now
        self._used: dict[str, int] = {}
        self._delivery = Delivery()

    def run(self) -> Delivery:
        """Deliver jobs in order until the worker can take no more, or not the next one."""
        queue = self._namespace.queues.get(self._exchange.queue)
        if queue is None:
            return self._delivery
        stopped_early = self._deliver_parked(queue) and self._deliver_ready(queue)
        if not queue:
            del self._namespace.queues[self._exchange.queue]
        self._delivery.full = stopped_early or self._exchange.is_filled_by(self._delivery)
        return self._delivery

    def _deliver_parked(self, queue: JobQueue) -> bool:
        """Deliver parked jobs: they are older. Return False when the worker cannot take the next one."""
        while stored := queue.first_parked(self._is_blocked):
            if not self._may_take(stored):
                return False
            queue.take_parked(stored.task_name)
            self._deliver(stored)
        return True

    def _deliver_ready(self, queue: JobQueue) -> bool:
        """Deliver jobs from the head; return whether it stopped because it had looked past too many."""
        ready, blocked = queue.ready, list[StoredJob]()
        while ready and len(blocked) < MAX_PARKED and not self._is_filled():
            stored = ready[0]
            if queue.has_parked(stored.task_name) or self._is_blocked(stored.task_name):
                blocked.append(ready.popleft())
            elif self._may_take(stored):
                ready.popleft()
                self._deliver(stored)
            else:
                break
        queue.return_blocked(blocked)
        return len(blocked) >= MAX_PARKED

    def _is_filled(self) -> bool:
        claims = self._exchange.free_slots + self._exchange.claim_ahead
        return (
            len(self._delivery.claimed) >= claims
            and len(self._delivery.reserved) >= self._exchange.reserve_ahead
        )

    def _is_blocked(self, task_name: str) -> bool:
        limit = self._namespace.limits.get(task_name)
        return limit is not None and self._slots_used(task_name) >= limit

    def _slots_used(self, task_name: str) -> int:
        if task_name not in self._used:
            self._used[task_name] = self._namespace.running_of(task_name)
        return self._used[task_name]

    def _may_take(self, stored: StoredJob) -> bool:
        return self._may_claim(stored) or self._may_reserve(stored)

    def _deliver(self, stored: StoredJob) -> None:
        """Give a job to the worker."""
        claim = self._may_claim(stored)
        job = self._namespace.read(stored, dead_letters.jobs_of(self._worker_id), self._now, self._worker_id)
        if job is None:
            return
        if stored.task_name in self._used:
            self._used[stored.task_name] += 1
        held = self._namespace.running.setdefault(self._worker_id, {})
        held[stored.id] = Assignment(stored, reserved=not claim, started_at=self._now if claim else None)
        job.status = JobStatus.RUNNING if claim else JobStatus.QUEUED
        (self._delivery.claimed if claim else self._delivery.reserved).append(job)
        if claim:
            self._namespace.history.count(job.queue, job.task_name, "started", self._now)

    def _needs_free_slot(self, stored: StoredJob) -> bool:
        """Whether only a worker that starts the job at once may take it.

        After a crash a job on its last attempt is in doubt, and a job of a limited task keeps others waiting.
        """
        return stored.last_attempt or stored.task_name in self._namespace.limits

    def _may_claim(self, stored: StoredJob) -> bool:
        claim_ahead = 0 if self._needs_free_slot(stored) else self._exchange.claim_ahead
        return len(self._delivery.claimed) < self._exchange.free_slots + claim_ahead

    def _may_reserve(self, stored: StoredJob) -> bool:
        reserve_ahead = 0 if self._needs_free_slot(stored) else self._exchange.reserve_ahead
        return len(self._delivery.reserved) < reserve_ahead
