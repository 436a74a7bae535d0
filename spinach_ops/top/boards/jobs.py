"""Single jobs: those that run, of all workers or of one; and the first or last ones of a queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from spinach.stats import MAX_PAGE, HeldJob, JobInfo, Page, Wanted

from ..view.format import format_age, format_count, format_date, format_plural
from ..view.table import NONE, UNKNOWN, Cell, Column, Row, make_cell
from ..view.view_model import WHICH_JOBS, Location, ViewModel, list_items
from .board import Board

_MAX_ARGUMENTS: Final = 200
HIDDEN: Final = "(hidden)"

RUNNING: Final = (
    Column("TASK", "task of the job", 16, share=3, max_width=32, priority=9, align="left"),
    Column("RUN", "how long it has run; ≥ of 0.0.25 workers: since it was first seen here", 6, priority=8),
    Column("DUE", "since its date: it cannot run for longer", 6, priority=4),
    Column("QUEUE", "queue it came from", 10, share=1, max_width=28, priority=5, align="left"),
    Column("TRY", "retries used and allowed", 6, priority=5),
    Column("WORKER", "who runs it", 14, share=1, max_width=28, priority=6, align="left"),
    Column("ARGS", "arguments, a shows them", 10, share=3, priority=1, align="left"),
    Column("ID", "job id", 8, priority=3, align="left"),
)
QUEUED: Final = (
    Column("#", "place in the queue, 1 is next", 6, priority=8),
    Column("TASK", "task of the job", 16, share=3, max_width=32, priority=9, align="left"),
    Column("AGE", "how long it has been ready", 6, priority=8),
    Column("TRY", "retries used and allowed", 6, priority=5),
    Column("ARGS", "arguments, a shows them", 14, share=5, priority=4, align="left"),
    Column("ID", "job id", 8, priority=3, align="left"),
)


def _page(view: ViewModel, location: Location) -> Page | None:
    """Return the page of this place; right after one went there, that of the place before is still around."""
    page = view.find_page("running" if location.which_jobs == "running" else "queue")
    if (
        page is None
        or page.wanted.of != location.subject
        or page.wanted.from_tail != (location.which_jobs == "tail")
    ):
        return None
    return page


def _running_row(view: ViewModel, key: str, held: HeldJob) -> Row:
    job = held.job
    runs = _run_cell(view, held)
    return Row(
        key,
        (
            task_cell(job),
            runs,
            _age_cell(view, job.at),
            make_cell(job.queue, "dim") if job.queue else UNKNOWN,
            tries(job),
            make_cell(view.worker_label(held.worker_id), "dim"),
            arguments(view, job),
            make_cell(job.id[:8], "dim", job.id),
        ),
        # The longest first; by the date, which does not change while they run, where no start is known.
        rank=(view.now - (job.started_at or job.at or view.now)) - (1e9 if held.reserved else 0),
    )


def _run_cell(view: ViewModel, held: HeldJob) -> Cell:
    """Return how long a job has run; of one whose worker does not say it, how long at least."""
    if held.reserved:
        return Cell("reserved", "dim", -1.0)
    since, mark = held.job.started_at, ""
    if since is None:
        since, mark = view.trends.first_seen.get((held.worker_id, held.job.id)), "≥"
    return NONE if since is None else Cell(f"{mark}{format_age(view.now - since)}", "", view.now - since)


def task_cell(job: JobInfo) -> Cell:
    """Return the task of a job, or that it is none."""
    if job.error and not job.task_name:
        return make_cell(f"! not a job: {job.error}", "bad")
    return make_cell(job.task_name, "strong") if job.task_name else UNKNOWN


def _age_cell(view: ViewModel, since: float | None) -> Cell:
    if since is None:
        return UNKNOWN
    return Cell(format_age(view.now - since), "", view.now - since)


def tries(job: JobInfo) -> Cell:
    """Return the retries used and allowed."""
    if job.retries is None or job.max_retries is None:
        return UNKNOWN
    return Cell(
        f"{format_count(job.retries)}/{format_count(job.max_retries)}",
        "warn" if job.retries > 0 else "dim",
        job.retries,
    )


def arguments(view: ViewModel, job: JobInfo) -> Cell:
    """Return a job's arguments on one line, as far as a line goes."""
    if not view.show_arguments:
        return Cell(HIDDEN, "dim")
    fields = fields_of(job.raw)
    given, named = fields.get("task_args"), fields.get("task_kwargs")
    texts = [json.dumps(value, ensure_ascii=False) for value in given] if type(given) is list else []
    if type(named) is dict:
        texts += [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in named.items()]
    return make_cell(", ".join(texts)[:_MAX_ARGUMENTS], "dim")


def fields_of(raw: bytes) -> dict[str, object]:
    """Return the fields of a job's text, none where it is no job or too large to be read for a line."""
    if len(raw) > 65_536:
        return {"task_args": [f"... {len(raw)} bytes"]}
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return fields if type(fields) is dict else {}


def next_view(location: Location) -> Location:
    """Return the place after this among the first and the last jobs of a queue."""
    if location.which_jobs == "running":
        return location
    other = WHICH_JOBS[1 + WHICH_JOBS.index(location.which_jobs) % 2]
    return Location("jobs", subject=location.subject, which_jobs=other)


def due(at: float | None, now: float) -> str:
    """Return a date with how far it is away, for a person."""
    if at is None:
        return "?"
    return (
        f"{format_date(at)} ({'in ' + format_age(at - now) if at > now else format_age(now - at) + ' ago'})"
    )


class RunningJobs(Board):
    """The jobs that workers hold."""

    name = "jobs"
    title = "Jobs"
    columns = RUNNING
    number = 3
    has_items = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per job in the hands of workers, those that run longest first."""
        page = _page(view, location)
        things = list_items(page) if page else []
        found = [
            _running_row(view, key, held)
            for key, held in things
            if isinstance(held, HeldJob) and location.task in ("", held.job.task_name)
        ]
        return sorted(found, key=lambda row: -row.rank)

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        """Return the page of running jobs."""
        return (Wanted("running", location.subject, MAX_PAGE if location.task else limit),)

    def caption(self, view: ViewModel, location: Location) -> str:
        page = _page(view, location)
        shown = len(page.held) if page else 0
        if location.task:
            return self._caption_of_task(view, location.task, page)
        whose = f"of worker {view.worker_label(location.subject)}" if location.subject else "of all workers"
        total = view.snapshot.running
        if location.subject:
            worker = view.find_worker(location.subject)
            total = worker.running if worker else None
        return f"running jobs {whose}: {shown} shown, {format_count(total)} running"

    def _caption_of_task(self, view: ViewModel, task: str, page: Page | None) -> str:
        """Say who holds the slots of a task with a limit."""
        limit = next((one for one in view.snapshot.limits or () if one.task_name == task), None)
        shown = sum(held.job.task_name == task for held in page.held) if page else 0
        taken = f", {limit.taken} of {limit.limit} slots taken" if limit else ""
        among = f" among {len(page.held)} jobs of all tasks" if page and len(page.held) >= MAX_PAGE else ""
        return f"running jobs of task {task}: {shown} shown{among}{taken}"

    def empty(self, view: ViewModel, location: Location) -> str:
        if _page(view, location) is None:
            return "Reading ..."
        if location.task:
            return "No job of this task runs at this moment."
        if location.subject and view.find_worker(location.subject) is None:
            return "This worker is gone, and nothing is left in its hands."
        return "Nothing runs at this moment."


RUNNING_BOARD: Final = RunningJobs()


class QueuedJobs(Board):
    """The first or the last jobs of a queue."""

    name = "jobs"
    title = "Jobs"
    columns = QUEUED
    number = 3
    has_items = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per job of a queue, in its order."""
        page = _page(view, location)
        if page is None:
            return []
        depth = next((queue.depth for queue in view.snapshot.queues if queue.name == location.subject), None)
        first = max(0, (depth or len(page.jobs)) - len(page.jobs)) if page.wanted.from_tail else 0
        return [
            Row(
                key,
                (
                    Cell(format_count(first + number), "dim", first + number),
                    task_cell(job),
                    _age_cell(view, job.ready_since),
                    tries(job),
                    arguments(view, job),
                    make_cell(job.id[:8], "dim", job.id),
                ),
            )
            for number, (key, job) in enumerate(list_items(page), 1)
            if isinstance(job, JobInfo)
        ]

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        """Return the page of a queue."""
        return (Wanted("queue", location.subject, limit, from_tail=location.which_jobs == "tail"),)

    def caption(self, view: ViewModel, location: Location) -> str:
        page = _page(view, location)
        depth = next((queue.depth for queue in view.snapshot.queues if queue.name == location.subject), None)
        which = "last" if location.which_jobs == "tail" else "first"
        shown = len(page.jobs) if page else 0
        total = format_plural(depth, "job", "jobs")
        return f"queue {location.subject}: {which} {shown} of {total} (v: the other end)"

    def empty(self, view: ViewModel, location: Location) -> str:
        page = _page(view, location)
        if page is None:
            return "Reading ..."
        return "The queue is empty." if page.is_readable else "The queue cannot be read: e says why."


QUEUED_BOARD: Final = QueuedJobs()
