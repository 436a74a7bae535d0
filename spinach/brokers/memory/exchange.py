"""The walk along a queue: which jobs a worker gets, claimed or reserved, and which are looked past."""

from __future__ import annotations

from collections import deque

from ...job import JobStatus
from .. import dead_letters
from ..limits import MAX_BLOCKED_LOOKED_PAST
from ..messages import Delivery, Exchange
from .store import Entry, Held, Namespace


class Handout:
    """One walk from the head of a queue for one worker, under the store's lock.

    Args:
        namespace: Where the queue stands.
        worker_id: Who gets the jobs.
        exchange: How many of which kind it takes.
        now: Epoch seconds by the store's clock.
    """

    def __init__(self, namespace: Namespace, worker_id: str, exchange: Exchange, now: float) -> None:
        self._namespace = namespace
        self._worker_id = worker_id
        self._exchange = exchange
        self._now = now
        self._used: dict[str, int] = {}
        self._delivery = Delivery()

    def walk(self) -> Delivery:
        """Hand out jobs in order until the worker has enough or the next one has no room."""
        queue = self._namespace.queues.get(self._exchange.queue)
        if not queue:
            return self._delivery
        blocked: list[Entry] = []
        while queue and len(blocked) < MAX_BLOCKED_LOOKED_PAST:
            if self._is_blocked(queue[0]):
                blocked.append(queue.popleft())
            elif not self._hand_out(queue):
                break
        queue.extendleft(reversed(blocked))
        if not queue:
            del self._namespace.queues[self._exchange.queue]
        self._delivery.full = self._exchange.is_filled_by(self._delivery)
        return self._delivery

    def _is_blocked(self, entry: Entry) -> bool:
        limit = self._namespace.limits.get(entry.task_name)
        return limit is not None and self._slots_used(entry.task_name) >= limit

    def _slots_used(self, task_name: str) -> int:
        if task_name not in self._used:
            self._used[task_name] = self._namespace.running_of(task_name)
        return self._used[task_name]

    def _hand_out(self, queue: deque[Entry]) -> bool:
        """Give the job at the head to the worker; return False when the worker has no room for it."""
        entry = queue[0]
        claim = self._may_claim(entry)
        if not claim and not self._may_reserve(entry):
            return False
        queue.popleft()
        job = self._namespace.read(entry, dead_letters.jobs_of(self._worker_id), self._now, self._worker_id)
        if job is None:
            return True
        if entry.task_name in self._used:
            self._used[entry.task_name] += 1
        held = self._namespace.running.setdefault(self._worker_id, {})
        held[entry.id] = Held(entry, reserved=not claim)
        job.status = JobStatus.RUNNING if claim else JobStatus.QUEUED
        (self._delivery.claimed if claim else self._delivery.reserved).append(job)
        if claim:
            self._namespace.ledger.count(job.queue, job.task_name, "started")
        return True

    def _is_strict(self, entry: Entry) -> bool:
        """Whether a job may only be taken by who starts it at once.

        After a crash a job on its last attempt is in doubt, and a job of a limited task keeps others waiting.
        """
        return entry.last_attempt or entry.task_name in self._namespace.limits

    def _may_claim(self, entry: Entry) -> bool:
        claim_ahead = 0 if self._is_strict(entry) else self._exchange.claim_ahead
        return len(self._delivery.claimed) < self._exchange.free_slots + claim_ahead

    def _may_reserve(self, entry: Entry) -> bool:
        return not self._is_strict(entry) and len(self._delivery.reserved) < self._exchange.reserve_ahead
