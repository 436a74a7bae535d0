"""What a screen is drawn from: a snapshot with its trends, and the location of the operator. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from spinach.stats import FailedJob, HeldJob, JobInfo, NamespaceSnapshot, Page, WorkerStats

from ...polling.trends import History

WhichJobs = Literal["running", "head", "tail"]
WHICH_JOBS: Final[tuple[WhichJobs, ...]] = ("running", "head", "tail")


@dataclass(frozen=True, slots=True)
class Location:
    """Which board the operator sees, and what it is limited to.

    Attributes:
        board: Name of the board.
        subject: The queue or the worker whose jobs are shown (a name or a worker's id), or the task that
            fails.
        which_jobs: The running ones, or the first or the last of a queue.
        error_type: Type of the failures that are shown.
        task: Task whose running jobs are shown, empty for all.
    """

    board: str = "queues"
    subject: str = ""
    which_jobs: WhichJobs = "running"
    error_type: str = ""
    task: str = ""


@dataclass(frozen=True, slots=True)
class ViewModel:
    """What the last poll read, and how to show it.

    Attributes:
        snapshot: What the last poll read.
        trends: What the polls before it read.
        stale_seconds: Time since that poll while the server is lost, 0 otherwise; ages grow by it.
        show_arguments: Whether arguments of jobs may be shown.
    """

    snapshot: NamespaceSnapshot
    trends: History = field(default_factory=History)
    stale_seconds: float = 0.0
    show_arguments: bool = False

    @property
    def now(self) -> float:
        """Epoch seconds by the server's clock, as far as it is known."""
        return self.snapshot.at + self.stale_seconds

    @property
    def is_upstream(self) -> bool:
        """Whether all workers run the published package, which keeps neither counters nor failures."""
        workers = self.snapshot.workers
        return bool(workers) and not any(worker.runs_this_package for worker in workers)

    def find_page(self, kind: str) -> Page | None:
        """Return the page of a kind that the poll read."""
        return next((page for page in self.snapshot.pages if page.wanted.kind == kind), None)

    def find_worker(self, worker_id: str) -> WorkerStats | None:
        """Return a registered worker."""
        return next((worker for worker in self.snapshot.workers if worker.info.id == worker_id), None)

    def worker_label(self, worker_id: str) -> str:
        """Return how people read a worker's name: its host and the first characters of its id."""
        worker = self.find_worker(worker_id)
        return f"{worker.info.name if worker else '?'}/{worker_id[:8]}"


Item = JobInfo | HeldJob | FailedJob


def list_items(page: Page) -> list[tuple[str, Item]]:
    """Return the jobs and failures on a page, each with the key of its row."""
    items: list[Item] = [*page.jobs, *page.held, *page.failed]
    found: dict[str, Item] = {}
    for number, item in enumerate(items):
        job_id = item.job.id if isinstance(item, HeldJob) else item.id
        # A text that is not a job has no id, and a foreign producer may write one id twice.
        key = job_id if job_id and job_id not in found else f"{job_id}#{number}"
        found[key] = item
    return list(found.items())
