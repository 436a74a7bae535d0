"""What becomes of the jobs of a worker that is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...job import Job, JobStatus
from ...origin import mark_recovered
from ...stats import LostWorker, WorkerInfo
from .. import dead_letters
from ..messages import Recovery
from .store import Entry, Held, Namespace


def silent_workers(namespace: Namespace, now: float) -> list[str]:
    """Return the ids of workers whose heartbeat is older than they announced it could get."""
    return [
        worker_id
        for worker_id, announced in namespace.workers.items()
        if now - announced["last_seen_at"] > announced["dead_after"]
    ]


def recover_worker(namespace: Namespace, worker_id: str, now: float) -> Recovery:
    """Unregister a worker and take over what it held.

    Jobs with retries left, and those that never started, go to the tail of their queue; the others become
    dead letters.
    """
    registered = namespace.workers.pop(worker_id, None)
    announced: Mapping[str, Any] = registered or namespace.departed.pop(worker_id, {})
    recovery = Recovery(
        worker=WorkerInfo.from_registry(worker_id, announced),
        requeued=[],
        failed=[],
        declared=registered is not None,
    )
    if recovery.declared:
        namespace.ledger.workers_lost += 1
        namespace.ledger.lost.appendleft(LostWorker(recovery.worker, now))
    for held in namespace.running.pop(worker_id, {}).values():
        _recover_job(namespace, held, recovery, now)
    return recovery


def _recover_job(namespace: Namespace, held: Held, recovery: Recovery, now: float) -> None:
    job = Job.deserialize(held.entry.raw)
    if held.reserved or job.should_retry:
        if not held.reserved:
            job.retries += 1
            mark_recovered(job, recovery.worker.id)
        job.status = JobStatus.QUEUED
        job.enqueued_at = now
        namespace.push(Entry.of(job, JobStatus.QUEUED, now))
        namespace.ledger.count(job.queue, job.task_name, "recovered")
        recovery.requeued.append(job)
    else:
        job.status = JobStatus.FAILED
        namespace.ledger.bury(dead_letters.in_doubt(job, held.entry.raw, recovery.worker, now), now)
        # No worker will ever report it.
        namespace.ledger.count(job.queue, job.task_name, "failed")
        recovery.failed.append(job)
