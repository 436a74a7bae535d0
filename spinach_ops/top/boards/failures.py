"""What fails: groups by task and type of error, and the jobs of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spinach.stats import MAX_PAGE, FailedJob, FailureGroup, Wanted

from ..view.format import format_age, format_count, format_plural, format_rate, format_time
from ..view.table import NONE, UNKNOWN, Cell, Column, Row, make_cell
from ..view.view_model import Location, ViewModel, list_items
from .board import Board

_RECENT_SECONDS: Final = 60.0

GROUPS: Final = (
    Column("TASK", "task that fails; enter: its jobs", 16, share=2, max_width=32, priority=9, align="left"),
    Column("ERROR", "class of the error", 17, share=2, max_width=36, priority=9, align="left"),
    Column("COUNT", "jobs that failed for good, also those that are not kept any more", 7, priority=9),
    Column("ERRORS", "attempts that ended so, those that are repeated included", 7, priority=4),
    Column("PER MIN", "between the first and the last, ≈", 7, priority=3),
    Column("FIRST", "since it was first seen", 6, priority=4),
    Column("LAST", "since it was last seen; ! within a minute", 6, priority=8),
    Column("LAST MESSAGE", "of the last one", 16, share=4, priority=5, align="left"),
)
JOBS: Final = (
    Column("TASK", "task of the job", 14, share=1, max_width=32, priority=9, align="left"),
    Column("FAILED", "since it failed", 6, priority=9),
    Column("AT", "when, UTC", 11, priority=2),
    Column("TRIES", "how often it was started", 5, priority=6),
    Column("QUEUE", "its queue", 10, share=1, max_width=28, priority=4, align="left"),
    Column("WORKER", "who gave it up", 12, share=1, max_width=28, priority=1, align="left"),
    Column("MESSAGE", "of the error", 20, share=5, priority=8, align="left"),
    Column("ID", "job id", 8, priority=3, align="left"),
)


def _group_row(view: ViewModel, group: FailureGroup) -> Row:
    last, first = max(0.0, view.now - group.last_seen), max(0.0, view.now - group.first_seen)
    minutes = (group.last_seen - group.first_seen) / 60
    number = max(group.count, group.attempts)
    rates = (number - 1) / minutes if minutes > 1 / 60 and number > 1 else None
    recent = last < _RECENT_SECONDS
    return Row(
        _key(group.task_name, group.error_type),
        (
            make_cell(group.task_name, "strong") if group.task_name else Cell("(unknown)", "dim"),
            make_cell(_class_of(group.error_type), "bad", group.error_type),
            Cell(format_count(group.count), "" if group.count else "dim", group.count),
            Cell(format_count(group.attempts), "", group.attempts) if group.attempts else UNKNOWN,
            NONE if rates is None else Cell(f"≈{format_rate(rates)}", "", rates),
            Cell(format_age(first), "dim", first),
            Cell(f"!{format_age(last)}" if recent else format_age(last), "warn" if recent else "", last),
            make_cell(group.sample_message, "dim"),
        ),
    )


def _class_of(error_type: str) -> str:
    """Return a class without its module, which is what one reads first."""
    return error_type.rsplit(".", 1)[-1] if not error_type.endswith(".") else error_type


def _key(task: str, error_type: str) -> str:
    return f"{task}\n{error_type}"


def _of_group(view: ViewModel, location: Location) -> list[tuple[str, FailedJob]]:
    page = view.find_page("failed")
    group = (location.subject, location.error_type)
    return [
        (key, job)
        for key, job in (list_items(page) if page else [])
        if isinstance(job, FailedJob) and (job.task_name, job.error_type or job.reason) == group
    ]


def _job_row(view: ViewModel, key: str, job: FailedJob) -> Row:
    since = max(0.0, view.now - job.failed_at)
    return Row(
        key,
        (
            make_cell(job.task_name, "strong") if job.task_name else Cell("(unknown)", "dim"),
            Cell(format_age(since), "", since),
            Cell(format_time(job.failed_at, view.now), "dim", job.failed_at),
            Cell(format_count(job.attempts), "", job.attempts) if job.attempts else UNKNOWN,
            make_cell(job.queue, "dim") if job.queue else UNKNOWN,
            make_cell(view.worker_label(job.worker), "dim") if job.worker else NONE,
            make_cell(job.message or job.reason, "bad"),
            make_cell(job.id[:8], "dim", job.id),
        ),
    )


class Failures(Board):
    """What fails, by task and type of error."""

    name = "failures"
    title = "Failures"
    columns = GROUPS
    number = 7

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per group, the latest first."""
        page = view.find_page("groups")
        return [_group_row(view, group) for group in page.groups] if page else []

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        return (Wanted("groups"),)

    def leads_to(self, view: ViewModel, location: Location, key: str) -> Location:
        task, _, error_type = key.partition("\n")
        return Location("failed", subject=task, error_type=error_type)

    def caption(self, view: ViewModel, location: Location) -> str:
        seen = view.snapshot
        upstream = sum(not worker.runs_this_package for worker in seen.workers)
        workers = format_plural(upstream, "upstream worker does", "upstream workers do")
        missing = f"; {workers} not report theirs" if upstream else ""
        trimmed = f", {format_count(seen.trimmed)} dropped for newer ones" if seen.trimmed else ""
        return f"{format_plural(seen.failed, 'failed job is', 'failed jobs are')} kept{trimmed}{missing}"

    def empty(self, view: ViewModel, location: Location) -> str:
        page = view.find_page("groups")
        if page is None:
            return "Reading ..."
        if not page.is_readable:
            return "Failures cannot be read: e says why."
        if view.is_upstream:
            return (
                "It cannot be known: workers of the published package 0.0.25 keep no failures. "
                "See their logs."
            )
        return "No attempt ended in an error."


GROUPS_BOARD: Final = Failures()


class FailedJobs(Board):
    """The newest dead letters."""

    name = "failed"
    title = "Failed jobs"
    columns = JOBS
    has_items = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per dead letter of a group, the newest first."""
        return [_job_row(view, key, job) for key, job in _of_group(view, location)]

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        return (Wanted("failed", limit=MAX_PAGE),)

    def caption(self, view: ViewModel, location: Location) -> str:
        page = view.find_page("failed")
        shown, newest = len(_of_group(view, location)), len(page.failed) if page else 0
        among = f" among the newest {newest}" if newest >= MAX_PAGE else ""
        return f"{location.subject or '(unknown task)'} with {location.error_type}: {shown} kept{among}"

    def empty(self, view: ViewModel, location: Location) -> str:
        return "None of this group is kept any more." if view.find_page("failed") else "Reading ..."


JOBS_BOARD: Final = FailedJobs()
