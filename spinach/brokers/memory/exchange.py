"""What a worker does with jobs: acknowledge, claim, reserve, settle, give back.

It neither locks nor notifies; the broker does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ...job import Job, JobStatus
from ...retry import Verdict
from .. import dead_letters
from ..limits import MAX_BLOCKED_LOOKED_PAST
from ..messages import Delivery, Exchange, Settlement
from .enqueue import PreparedJob
from .store import Assignment, Namespace, StoredJob


def carry_out(exchange: Exchange, namespace: Namespace, worker_id: str, now: float) -> tuple[Delivery, bool]:
    """Take what a worker hands in, then claim and reserve jobs for it.

    Returns:
        The delivery, and whether a slot of a limited task came free.
    """
    finished = [namespace.release(worker_id, job.held_as) for job in exchange.done]
    for job in exchange.starting:
        namespace.start_reserved(worker_id, job.held_as)
    namespace.history.add(exchange.tally)
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
        if not queue:
            return self._delivery
        blocked: list[StoredJob] = []
        while queue and len(blocked) < MAX_BLOCKED_LOOKED_PAST:
            if self._is_blocked(queue[0]):
                blocked.append(queue.popleft())
            elif not self._deliver(queue):
                break
        queue.extendleft(reversed(blocked))
        if not queue:
            del self._namespace.queues[self._exchange.queue]
        self._delivery.full = self._exchange.is_filled_by(self._delivery)
        return self._delivery

    def _is_blocked(self, stored: StoredJob) -> bool:
        limit = self._namespace.limits.get(stored.task_name)
        return limit is not None and self._slots_used(stored.task_name) >= limit

    def _slots_used(self, task_name: str) -> int:
        if task_name not in self._used:
            self._used[task_name] = self._namespace.running_of(task_name)
        return self._used[task_name]

    def _deliver(self, queue: deque[StoredJob]) -> bool:
        """Give the job at the head to the worker; return False when the worker cannot take it."""
        stored = queue[0]
        claim = self._may_claim(stored)
        if not claim and not self._may_reserve(stored):
            return False
        queue.popleft()
        job = self._namespace.read(stored, dead_letters.jobs_of(self._worker_id), self._now, self._worker_id)
        if job is None:
            return True
        if stored.task_name in self._used:
            self._used[stored.task_name] += 1
        held = self._namespace.running.setdefault(self._worker_id, {})
        held[stored.id] = Assignment(stored, reserved=not claim)
        job.status = JobStatus.RUNNING if claim else JobStatus.QUEUED
        (self._delivery.claimed if claim else self._delivery.reserved).append(job)
        if claim:
            self._namespace.history.count(job.queue, job.task_name, "started")
        return True

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
