"""Accepts jobs: those that may run now go to their queue, the others wait for their date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...job import Job, JobStatus
from .store import Namespace, StoredJob


def enqueue(namespace: Namespace, jobs: Iterable[Job], now: float) -> None:
    """Accept jobs, all or none.

    Raises:
        InvalidJobArguments: arguments of one of them cannot be written as JSON; none was accepted.
    """
    # Write all texts before the first job moves: a bad argument leaves nothing behind.
    for prepared in [PreparedJob.of(job, now) for job in jobs]:
        prepared.place(namespace, now)
        namespace.history.count(prepared.job.queue, prepared.job.task_name, "enqueued", now)


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job about to enter the namespace: its text is written, nothing has moved yet."""

    job: Job
    status: JobStatus
    stored: StoredJob

    @classmethod
    def of(cls, job: Job, now: float) -> PreparedJob:
        """Prepare a job: one that comes as QUEUED goes to its queue, any other waits until its date.

        Raises:
            InvalidJobArguments: its arguments cannot be written as JSON.
        """
        queued = job.status is JobStatus.QUEUED or job.due_timestamp <= now
        status = JobStatus.QUEUED if queued else JobStatus.WAITING
        return cls(job, status, StoredJob.of(job, status, now))

    def place(self, namespace: Namespace, now: float) -> None:
        """Store the job; its status then says where."""
        if self.status is JobStatus.QUEUED:
            namespace.push(self.stored)
        else:
            namespace.postpone(self.job.due_timestamp, self.stored)
        self.job.status = self.status
        self.job.enqueued_at = now
