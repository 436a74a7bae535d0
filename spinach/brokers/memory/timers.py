"""What time decides: where a job that comes stands, which waiting ones are due, what periodic tasks ask for."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ...clock import to_datetime
from ...job import Job, JobStatus
from ...origin import Origin, mark
from ...schedule import next_run
from ...task import Task
from .. import dead_letters
from ..limits import MAX_PROMOTED
from ..messages import Due
from .store import Entry, Namespace, PeriodicTask


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job on its way into the namespace: its text is written, nothing has moved yet."""

    job: Job
    status: JobStatus
    entry: Entry

    @classmethod
    def of(cls, job: Job, now: float) -> Arrival:
        """Prepare a job: one that comes as QUEUED will be queued, any other waits until its date.

        Raises:
            InvalidJobArguments: its arguments cannot be written as JSON.
        """
        queued = job.status is JobStatus.QUEUED or job.due_timestamp <= now
        status = JobStatus.QUEUED if queued else JobStatus.WAITING
        return cls(job, status, Entry.of(job, status, now))

    def take_place(self, namespace: Namespace, now: float) -> None:
        """Put the job where it belongs; its status says where that is."""
        if self.status is JobStatus.QUEUED:
            namespace.push(self.entry)
        else:
            namespace.postpone(self.job.due_timestamp, self.entry)
        self.job.status = self.status
        self.job.enqueued_at = now


def promote(namespace: Namespace, now: float) -> Due:
    """Move a page of waiting jobs that are due to their queues."""
    jobs = []
    for _ in range(MAX_PROMOTED):
        if not namespace.waiting or namespace.waiting[0][0] > now:
            break
        _, _, entry = heapq.heappop(namespace.waiting)
        job = namespace.read(entry, dead_letters.WAITING_JOBS, now)
        if job is not None:
            jobs.append(push(namespace, job, now, "promoted"))
    return Due(jobs, namespace.waiting[0][0] if namespace.waiting else None)


def push(namespace: Namespace, job: Job, now: float, counter: str) -> Job:
    """Put a job at the tail of its queue and count it."""
    namespace.push(Entry.of(job, JobStatus.QUEUED, now))
    namespace.ledger.count(job.queue, job.task_name, counter)
    job.status = JobStatus.QUEUED
    job.enqueued_at = now
    return job


def run_periodic(namespace: Namespace, now: float) -> Due:
    """Push one job for every periodic task that is due, however many periods it missed."""
    jobs = []
    for task in namespace.periodic.values():
        if task.next_run <= now:
            job = Job(task.name, task.queue, to_datetime(now), task.max_retries)
            mark(job, Origin.PERIODIC)
            jobs.append(push(namespace, job, now, "enqueued"))
            task.next_run = next_run(task.next_run, task.period_seconds, now)
    return Due(jobs, min((task.next_run for task in namespace.periodic.values()), default=None))


def register(namespace: Namespace, task: Task, now: float) -> None:
    """Take over a task's limit and period; the last declaration of a name counts."""
    if task.max_concurrency is None:
        namespace.limits.pop(task.name, None)
    else:
        namespace.limits[task.name] = task.max_concurrency
    period, known = task.period_seconds, namespace.periodic.pop(task.name, None)
    if period is not None:
        # A restart must neither hasten nor put off the next run; a new period starts now.
        unchanged = known is not None and known.period_seconds == period
        following = known.next_run if known and unchanged else now + period
        namespace.periodic[task.name] = PeriodicTask(
            task.name, task.queue, task.max_retries, period, following
        )
