"""What time decides: which waiting jobs are due, and which periodic tasks; also registers tasks."""

from __future__ import annotations

import heapq

from ...clock import to_datetime
from ...job import Job, JobStatus
from ...origin import Origin, mark
from ...schedule import next_run
from ...stats.workers import WorkerInfo, is_abandoned
from ...task import Task
from .. import dead_letters
from ..limits import MAX_PROMOTED
from ..messages import Due
from .store import Namespace, PeriodicTask, StoredJob


def promote(namespace: Namespace, now: float) -> Due:
    """Move a page of waiting jobs that are due to their queues."""
    jobs = []
    for _ in range(MAX_PROMOTED):
        if not namespace.waiting or namespace.waiting[0][0] > now:
            break
        _, _, stored = heapq.heappop(namespace.waiting)
        job = namespace.read(stored, dead_letters.WAITING_JOBS, now)
        if job is not None:
            jobs.append(_push(namespace, job, now, "promoted"))
    return Due(jobs, namespace.waiting[0][0] if namespace.waiting else None)


def _push(namespace: Namespace, job: Job, now: float, counter: str) -> Job:
    namespace.push(StoredJob.of(job, JobStatus.QUEUED, now))
    namespace.history.count(job.queue, job.task_name, counter, now)
    job.status = JobStatus.QUEUED
    job.enqueued_at = now
    return job


def run_periodic(namespace: Namespace, now: float) -> Due:
    """Push one job for every periodic task that is due and not abandoned, however many periods it missed."""
    jobs = []
    workers = [WorkerInfo.from_registry(name, entry) for name, entry in namespace.workers.items()]
    for task in namespace.periodic.values():
        if task.next_run <= now and not is_abandoned(task.name, workers):
            job = Job(task.name, task.queue, to_datetime(now), task.max_retries)
            mark(job, Origin.PERIODIC)
            jobs.append(_push(namespace, job, now, "enqueued"))
            task.next_run = next_run(task.next_run, task.period_seconds, now)
    upcoming = [task.next_run for task in namespace.periodic.values() if task.next_run > now]
    return Due(jobs, min(upcoming, default=None))


def register(namespace: Namespace, task: Task, now: float) -> None:
    """Store a task's limit and period; the last declaration of a name counts."""
    if task.max_concurrency is None:
        namespace.limits.pop(task.name, None)
    else:
        namespace.limits[task.name] = task.max_concurrency
    period, known = task.period_seconds, namespace.periodic.pop(task.name, None)
    if period is not None:
        # A restart does not move the next run; a new period starts now.
        unchanged = known is not None and known.period_seconds == period
        following = known.next_run if known and unchanged else now + period
        namespace.periodic[task.name] = PeriodicTask(
            task.name, task.queue, task.max_retries, period, following
        )
