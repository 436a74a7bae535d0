"""Takes over the jobs of workers that died, or left while they held some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...job import Job, JobStatus
from ...origin import mark_recovered
from ...stats import LostWorker, WorkerInfo
from .. import dead_letters
from ..messages import Recovery
from .store import Assignment, Namespace, StoredJob


def recover(namespace: Namespace, own_id: str, now: float) -> list[Recovery]:
    """Take over from every dead or departed worker, on behalf of the worker `own_id`."""
    # A worker whose own heartbeat is late has not died: it makes this call.
    dead = [worker_id for worker_id in _silent_workers(namespace, now) if worker_id != own_id]
    return [recover_worker(namespace, worker_id, now) for worker_id in (*dead, *namespace.departed)]


def _silent_workers(namespace: Namespace, now: float) -> list[str]:
    """Return the ids of workers whose last heartbeat is older than the limit they announced."""
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
        namespace.history.workers_lost += 1
        namespace.history.lost.appendleft(LostWorker(recovery.worker, now))
    for held in namespace.running.pop(worker_id, {}).values():
        _recover_job(namespace, held, recovery, now)
    return recovery


def _recover_job(namespace: Namespace, held: Assignment, recovery: Recovery, now: float) -> None:
    job = Job.deserialize(held.job.raw)
    if held.reserved or job.should_retry:
        if not held.reserved:
            job.retries += 1
            mark_recovered(job, recovery.worker.id)
        job.status = JobStatus.QUEUED
        job.enqueued_at = now
        namespace.push(StoredJob.of(job, JobStatus.QUEUED, now))
        namespace.history.count(job.queue, job.task_name, "recovered", now)
        recovery.requeued.append(job)
    else:
        job.status = JobStatus.FAILED
        namespace.history.add_dead_letter(dead_letters.in_doubt(job, held.job.raw, recovery.worker, now), now)
        # Counted here, since no worker reports it.
        namespace.history.count(job.queue, job.task_name, "failed", now)
        recovery.failed.append(job)
