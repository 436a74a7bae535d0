"""The view model: one poll with trends and place, from which a screen is drawn. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from spinach.stats import FailedJob, HeldJob, JobInfo, NamespaceSnapshot, Page, WorkerStats

from ...polling.trends import History

JobsView = Literal["running", "head", "tail"]
JOBS_VIEWS: Final[tuple[JobsView, ...]] = ("running", "head", "tail")


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is: a board, and what of it.

    Attributes:
        board: Name of the board.
        of: The queue or the worker's broker id whose jobs are shown, or the task that fails.
        view: Which jobs: running ones, or the first or last of a queue.
        error_type: Of the failures that are shown.
    """

    board: str = "queues"
    of: str = ""
    view: JobsView = "running"
    error_type: str = ""


@dataclass(frozen=True, slots=True)
class ViewModel:
    """A look, and how it is to be shown.

    Attributes:
        snapshot: What was seen.
        history: What was seen before.
        aged: Seconds for which ages went on without a new look, 0 while looks come.
        show_arguments: Whether arguments of jobs may be shown.
    """

    snapshot: NamespaceSnapshot
    history: History = field(default_factory=History)
    aged: float = 0.0
    show_arguments: bool = False

    @property
    def now(self) -> float:
        """Epoch seconds by the server's clock, as far as it is known."""
        return self.snapshot.at + self.aged

    @property
    def is_upstream(self) -> bool:
        """Whether all workers run the published package, which keeps neither counters nor failures."""
        workers = self.snapshot.workers
        return bool(workers) and not any(worker.runs_this_package for worker in workers)

    def page(self, kind: str) -> Page | None:
        """Return the page of a kind that came along."""
        return next((page for page in self.snapshot.pages if page.wanted.kind == kind), None)

    def worker(self, worker_id: str) -> WorkerStats | None:
        """Return a registered worker."""
        return next((worker for worker in self.snapshot.workers if worker.info.id == worker_id), None)

    def host(self, worker_id: str) -> str:
        """Return a worker's name for a person: its host and the first characters of its id."""
        worker = self.worker(worker_id)
        return f"{worker.info.name if worker else '?'}/{worker_id[:8]}"


Item = JobInfo | HeldJob | FailedJob


def items_of(page: Page) -> list[tuple[str, Item]]:
    """Return the single things on a page, each with the key of its row."""
    things: list[Item] = [*page.jobs, *page.held, *page.failed]
    found: dict[str, Item] = {}
    for number, thing in enumerate(things):
        name = thing.job.id if isinstance(thing, HeldJob) else thing.id
        # Texts that are no jobs have no id, and nothing keeps somebody from writing one twice.
        key = name if name and name not in found else f"{name}#{number}"
        found[key] = thing
    return list(found.items())
