"""Single jobs: those that run, of all workers or of one; and the first or last ones of a queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from spinach.stats import HeldJob, JobInfo, Page, Wanted

from ..view.format import age, count, moment, of
from ..view.table import NONE, UNKNOWN, Cell, Column, Row, cell
from ..view.view_model import JOBS_VIEWS, Place, ViewModel, items_of
from .board import Board

_MAX_ARGUMENTS: Final = 200
HIDDEN: Final = "(hidden)"

RUNNING: Final = (
    Column("TASK", "task of the job", 16, share=3, most=32, keep=9, align="left"),
    Column("RUN≥", "since it was first seen to run here: it may run for longer", 6, keep=8),
    Column("DUE", "since its date: it cannot run for longer", 6, keep=4),
    Column("QUEUE", "queue it came from", 10, share=1, most=28, keep=5, align="left"),
    Column("TRY", "retries used and allowed", 6, keep=5),
    Column("WORKER", "who runs it", 14, share=1, most=28, keep=6, align="left"),
    Column("ARGS", "arguments, a shows them", 10, share=3, keep=1, align="left"),
    Column("ID", "job id", 8, keep=3, align="left"),
)
STANDING: Final = (
    Column("#", "place in the queue, 1 is next", 6, keep=8),
    Column("TASK", "task of the job", 16, share=3, most=32, keep=9, align="left"),
    Column("AGE", "how long it has been ready", 6, keep=8),
    Column("TRY", "retries used and allowed", 6, keep=5),
    Column("ARGS", "arguments, a shows them", 14, share=5, keep=4, align="left"),
    Column("ID", "job id", 8, keep=3, align="left"),
)


def running_rows(view: ViewModel, place: Place) -> Sequence[Row]:
    """Return a row per job in the hands of workers, those that run longest first."""
    page = _page(view, place)
    things = items_of(page) if page else []
    found = [_running_row(view, key, held) for key, held in things if isinstance(held, HeldJob)]
    return sorted(found, key=lambda row: -row.rank)


def _page(view: ViewModel, place: Place) -> Page | None:
    """Return the page of this place; right after one went there, that of the place before is still around."""
    page = view.page("running" if place.view == "running" else "queue")
    if page is None or page.wanted.of != place.of or page.wanted.from_tail != (place.view == "tail"):
        return None
    return page


def _running_row(view: ViewModel, key: str, held: HeldJob) -> Row:
    job = held.job
    since = view.history.first_seen.get((held.worker_id, job.id))
    runs = NONE if since is None else Cell(age(view.now - since), "", view.now - since)
    return Row(
        key,
        (
            task_cell(job),
            Cell("reserved", "dim", -1.0) if held.reserved else runs,
            _age_cell(view, job.at),
            cell(job.queue, "dim") if job.queue else UNKNOWN,
            tries(job),
            cell(view.host(held.worker_id), "dim"),
            arguments(view, job),
            cell(job.id[:8], "dim", job.id),
        ),
        # The oldest date first, which does not change while they run.
        rank=(view.now - (job.at or view.now)) - (1e9 if held.reserved else 0),
    )


def standing_rows(view: ViewModel, place: Place) -> Sequence[Row]:
    """Return a row per job of a queue, in its order."""
    page = _page(view, place)
    if page is None:
        return []
    depth = next((queue.depth for queue in view.snapshot.queues if queue.name == place.of), None)
    first = max(0, (depth or len(page.jobs)) - len(page.jobs)) if page.wanted.from_tail else 0
    return [
        Row(
            key,
            (
                Cell(count(first + number), "dim", first + number),
                task_cell(job),
                _age_cell(view, job.ready_since),
                tries(job),
                arguments(view, job),
                cell(job.id[:8], "dim", job.id),
            ),
        )
        for number, (key, job) in enumerate(items_of(page), 1)
        if isinstance(job, JobInfo)
    ]


def task_cell(job: JobInfo) -> Cell:
    """Return the task of a job, or that it is none."""
    if job.error and not job.task_name:
        return cell(f"! not a job: {job.error}", "bad")
    return cell(job.task_name, "strong") if job.task_name else UNKNOWN


def _age_cell(view: ViewModel, since: float | None) -> Cell:
    if since is None:
        return UNKNOWN
    return Cell(age(view.now - since), "", view.now - since)


def tries(job: JobInfo) -> Cell:
    """Return the retries used and allowed."""
    if job.retries is None or job.max_retries is None:
        return UNKNOWN
    return Cell(
        f"{count(job.retries)}/{count(job.max_retries)}", "warn" if job.retries > 0 else "dim", job.retries
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
    return cell(", ".join(texts)[:_MAX_ARGUMENTS], "dim")


def fields_of(raw: bytes) -> dict[str, object]:
    """Return the fields of a job's text, none where it is no job or too large to be read for a line."""
    if len(raw) > 65_536:
        return {"task_args": [f"... {len(raw)} bytes"]}
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return fields if type(fields) is dict else {}


def running_wanted(place: Place, limit: int) -> tuple[Wanted, ...]:
    """Return the page of running jobs."""
    return (Wanted("running", place.of, limit),)


def standing_wanted(place: Place, limit: int) -> tuple[Wanted, ...]:
    """Return the page of a queue."""
    return (Wanted("queue", place.of, limit, from_tail=place.view == "tail"),)


def next_view(place: Place) -> Place:
    """Return the place after this among the first and the last jobs of a queue."""
    if place.view == "running":
        return place
    other = JOBS_VIEWS[1 + JOBS_VIEWS.index(place.view) % 2]
    return Place("jobs", of=place.of, view=other)


def _running_caption(view: ViewModel, place: Place) -> str:
    page = _page(view, place)
    shown = len(page.held) if page else 0
    whose = f"of worker {view.host(place.of)}" if place.of else "of all workers"
    total = view.snapshot.running
    if place.of:
        worker = view.worker(place.of)
        total = worker.running if worker else None
    return f"running jobs {whose}: {shown} shown, {count(total)} running"


def _standing_caption(view: ViewModel, place: Place) -> str:
    page = _page(view, place)
    depth = next((queue.depth for queue in view.snapshot.queues if queue.name == place.of), None)
    which = "last" if place.view == "tail" else "first"
    shown = len(page.jobs) if page else 0
    return f"queue {place.of}: {which} {shown} of {of(depth, 'job', 'jobs')} (v: the other end)"


def _running_empty(view: ViewModel, place: Place) -> str:
    if _page(view, place) is None:
        return "Reading ..."
    if place.of and view.worker(place.of) is None:
        return "This worker is gone, and nothing is left in its hands."
    return "Nothing runs at this moment."


def _standing_empty(view: ViewModel, place: Place) -> str:
    page = _page(view, place)
    if page is None:
        return "Reading ..."
    return "The queue is empty." if page.is_readable else "The queue cannot be read: e says why."


def due(at: float | None, now: float) -> str:
    """Return a date with how far it is away, for a person."""
    if at is None:
        return "?"
    return f"{moment(at)} ({'in ' + age(at - now) if at > now else age(now - at) + ' ago'})"


RUNNING_BOARD: Final = Board(
    "jobs", "Jobs", RUNNING, running_rows, number=3, wanted=running_wanted, caption=_running_caption,
    empty=_running_empty, has_items=True,
)  # fmt: skip
STANDING_BOARD: Final = Board(
    "jobs", "Jobs", STANDING, standing_rows, number=3, wanted=standing_wanted, caption=_standing_caption,
    empty=_standing_empty, has_items=True,
)  # fmt: skip
