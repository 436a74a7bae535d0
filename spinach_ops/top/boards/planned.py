"""What is to happen: jobs that wait for their date, periodic tasks, and the limits under which tasks run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from spinach.stats import OVERDUE_SECONDS, JobInfo, LimitStats, PeriodicStats, Wanted

from ..view.format import format_age, format_count, format_date
from ..view.table import NONE, UNKNOWN, Cell, Column, Row, make_cell
from ..view.view_model import Location, ViewModel, list_items
from .board import Board
from .jobs import arguments, task_cell, tries

_LATE_SECONDS: Final = 60.0

SCHEDULED: Final = (
    Column("#", "place by date, 1 is next", 5, priority=6),
    Column("TASK", "task of the job", 16, share=3, max_width=32, priority=9, align="left"),
    Column("DUE IN", "until its date; ! past it by more than 2 s", 7, priority=9),
    Column("WHY", "a date that was asked for, or a retry", 9, priority=6, align="left"),
    Column("QUEUE", "where it will be queued", 10, share=2, max_width=28, priority=5, align="left"),
    Column("TRY", "retries used and allowed", 6, priority=4),
    Column("ARGS", "arguments, a shows them", 10, share=4, priority=2, align="left"),
    Column("ID", "job id", 8, priority=3, align="left"),
)
PERIODIC: Final = (
    Column("TASK", "periodic task", 16, share=3, max_width=32, priority=9, align="left"),
    Column("QUEUE", "where its jobs are queued", 12, share=2, max_width=28, priority=5, align="left"),
    Column("EVERY", "its period", 7, priority=8),
    Column("NEXT", "until its next run", 7, priority=8),
    Column("LATE", "how far it is past its time; ! over a minute", 7, priority=9),
    Column("AT", "time of the next run, UTC", 23, priority=1, align="left"),
)
LIMITS: Final = (
    Column("TASK", "task with a limit", 16, share=3, max_width=32, priority=9, align="left"),
    Column("TAKEN/MAX", "slots counted as taken, of those there are", 10, priority=9),
    Column("USE", "the same as a bar", 10, priority=4, align="left"),
    Column("ACTUAL", "jobs seen to run just now, where all could be seen", 7, priority=7),
    Column("DRIFT", "taken less actual: one that stays above zero is a slot that leaked", 6, priority=6),
)


def _scheduled_row(view: ViewModel, number: int, key: str, job: JobInfo) -> Row:
    left = None if job.at is None else job.at - view.now
    late = left is not None and left < -OVERDUE_SECONDS
    retry = (job.retries or 0) > 0
    return Row(
        key,
        (
            Cell(str(number), "dim", number),
            task_cell(job),
            UNKNOWN
            if left is None
            else Cell(f"{'!' if late else ''}{format_age(left)}", "warn" if late else "", left),
            Cell("retry", "warn") if retry else Cell("date", "dim"),
            make_cell(job.queue, "dim") if job.queue else UNKNOWN,
            tries(job),
            arguments(view, job),
            make_cell(job.id[:8], "dim", job.id),
        ),
    )


def _periodic_row(view: ViewModel, task: PeriodicStats) -> Row:
    left = None if task.next_run is None else task.next_run - view.now
    late = task.late_seconds + view.stale_seconds if task.late_seconds else 0.0
    is_late = late > _LATE_SECONDS
    return Row(
        task.task_name,
        (
            make_cell(task.task_name, "strong"),
            make_cell(task.queue, "dim") if task.queue else UNKNOWN,
            UNKNOWN
            if task.period_seconds is None
            else Cell(format_age(task.period_seconds), "", task.period_seconds),
            UNKNOWN if left is None else Cell(format_age(max(0.0, left)), "", left),
            Cell(f"!{format_age(late)}", "warn", late)
            if is_late
            else Cell(format_age(late) if late >= 1 else "-", "dim", late),
            NONE if task.next_run is None else Cell(format_date(task.next_run), "dim", task.next_run),
        ),
        rank=1.0 if is_late else 0.0,
    )


def _limit_row(limit: LimitStats, actual: Counter[str] | None) -> Row:
    full = limit.taken >= limit.limit
    drift = None if actual is None else limit.taken - actual[limit.task_name]
    part = min(1.0, max(0.0, limit.taken / limit.limit)) if limit.limit > 0 else 1.0
    bar = round(part * 10)
    return Row(
        limit.task_name,
        (
            make_cell(limit.task_name, "strong"),
            Cell(f"{format_count(limit.taken)}/{format_count(limit.limit)}", "warn" if full else "", part),
            Cell("█" * bar + "░" * (10 - bar), "warn" if full else "accent", part),
            UNKNOWN if actual is None else Cell(str(actual[limit.task_name]), "", actual[limit.task_name]),
            UNKNOWN
            if drift is None
            else Cell(f"{drift:+}" if drift else "0", "warn" if drift else "dim", drift),
        ),
        rank=part,
    )


class Scheduled(Board):
    """Jobs that wait for their date."""

    name = "scheduled"
    title = "Scheduled"
    columns = SCHEDULED
    number = 4
    has_items = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per job that waits, the earliest first."""
        page = view.find_page("scheduled")
        jobs = list_items(page) if page else []
        return [
            _scheduled_row(view, number, key, job)
            for number, (key, job) in enumerate(jobs, 1)
            if isinstance(job, JobInfo)
        ]

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        return (Wanted("scheduled", limit=limit),)

    def caption(self, view: ViewModel, location: Location) -> str:
        page, seen = view.find_page("scheduled"), view.snapshot
        late = (
            f", {format_count(seen.overdue)} late by up to {format_age(seen.overdue_seconds)}"
            if seen.overdue
            else ""
        )
        shown = len(page.jobs) if page else 0
        return f"next {shown} of {format_count(seen.scheduled)} that wait for their date{late}"

    def empty(self, view: ViewModel, location: Location) -> str:
        return "No job waits for its date." if view.find_page("scheduled") else "Reading ..."


SCHEDULED_BOARD: Final = Scheduled()


class Periodic(Board):
    """Periodic tasks and their next runs."""

    name = "periodic"
    title = "Periodic"
    columns = PERIODIC
    number = 5
    ranked = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per periodic task, the next first."""
        return [_periodic_row(view, task) for task in view.snapshot.periodic or ()]

    def empty(self, view: ViewModel, location: Location) -> str:
        return (
            "Periodic tasks cannot be read."
            if view.snapshot.periodic is None
            else "No periodic task is registered."
        )


PERIODIC_BOARD: Final = Periodic()


class Limits(Board):
    """Tasks with a concurrency limit, and the slots taken."""

    name = "limits"
    title = "Limits"
    columns = LIMITS
    number = 6
    ranked = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per task with a limit."""
        page, running = view.find_page("running"), view.snapshot.running
        actual = None
        # Only where nothing was cut: less than all that workers hold says nothing.
        held_by_all = None if running is None else running + (view.snapshot.reserved or 0)
        if page is not None and held_by_all is not None and len(page.held) >= held_by_all:
            actual = Counter(held.job.task_name for held in page.held if not held.reserved)
        return [_limit_row(limit, actual) for limit in view.snapshot.limits or ()]

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        return (Wanted("running", limit=200),)

    def leads_to(self, view: ViewModel, location: Location, key: str) -> Location:
        return Location("jobs", task=key)

    def empty(self, view: ViewModel, location: Location) -> str:
        return (
            "Limits cannot be read."
            if view.snapshot.limits is None
            else "No task has a limit (max_concurrency)."
        )


LIMITS_BOARD: Final = Limits()
