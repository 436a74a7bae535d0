"""The lease: the jobs that this worker holds under one worker id.

When the worker was declared dead, the arbiter replaces the whole lease. A lease never speaks to the broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..brokers.messages import Exchange
from ..job import Job, JobStatus
from ..stats import RunningJob


@dataclass(slots=True)
class Lease:
    """What one worker id holds, from the claim until the broker has taken it back.

    Attributes:
        worker_id: The id under which the broker handed out these jobs.
        started: Jobs handed to the workers whose results the arbiter has not collected, by identity, with the
            date in epoch seconds; those that were handed over first come first.
        reserved: Jobs that may not start before an exchange names them as `starting`, in order.
        returning: Jobs being given back. After a lost reply they may be another worker's already.
        unanswered: The exchange that was sent and not answered; the arbiter must repeat it unchanged.
    """

    worker_id: str
    started: dict[int, tuple[Job, float]] = field(default_factory=dict)
    reserved: list[Job] = field(default_factory=list)
    returning: list[Job] = field(default_factory=list)
    unanswered: Exchange | None = None

    @property
    def has_unstarted(self) -> bool:
        """Whether the broker still counts jobs as held that were not handed to the workers."""
        return bool(self.reserved or self.returning)

    @property
    def jobs(self) -> list[Job]:
        """Every job held, but those whose results the arbiter has collected."""
        return [*(job for job, _ in self.started.values()), *self.reserved, *self.returning]

    def start(self, jobs: Sequence[Job], now: float) -> None:
        """Take note that jobs are handed to the workers at `now` (epoch seconds)."""
        for job in jobs:
            job.status = JobStatus.RUNNING
            self.started[id(job)] = job, now

    def longest(self, count: int) -> list[RunningJob]:
        """Return the first jobs that were handed to the workers; called by any thread."""
        started = list(self.started.values())[:count]
        return [RunningJob(str(job.id), job.task_name, job.queue, since) for job, since in started]

    def end(self, job: Job) -> bool:
        """Take note that an attempt ended; return whether its job is held under this lease."""
        return self.started.pop(id(job), None) is not None

    def return_unstarted(self, reclaimed: Sequence[Job]) -> None:
        """Move the jobs that the workers did not begin, and all reserved ones, to `returning`."""
        for job in reclaimed:
            self.started.pop(id(job), None)
        self.returning += [*reclaimed, *self.reserved]
        self.reserved = []
