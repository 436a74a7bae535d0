"""Tasks whose attempts end in errors, judged by the counters of the last minutes. Pure: reads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spinach.stats import FailureGroup, NamespaceSnapshot, RecentCounts

from ..text import duration, printable
from .finding import Finding, Subject, jobs

# A task is broken when at least so many attempts ended, more than this part of them in an error, within the
# shortest of these spans that has so many: so a repair shows within two minutes.
_SPANS_MINUTES: Final = (1, 4, 14)
_ENOUGH_ATTEMPTS: Final = 10
_MANY_FAIL: Final = 0.5
# What failed for good is a warning for the first of these spans, and an information for the other.
_NOW_MINUTES: Final = 1
_LATELY_MINUTES: Final = 14
_MAX_MESSAGE: Final = 120
# An error that a deploy brings shows soon after the start of its workers.
_DEPLOY_SECONDS: Final = 120.0
# An error that a task raises on purpose, to run its job again.
_ASKED_FOR: Final = "RetryException"


@dataclass(frozen=True, slots=True)
class _Ends:
    """How the attempts of a task ended within a span of minutes."""

    minutes: int
    succeeded: int
    retried: int
    failed: int

    @property
    def raised(self) -> int:
        return self.retried + self.failed

    @property
    def ended(self) -> int:
        return self.raised + self.succeeded

    @property
    def span(self) -> str:
        """The span in words: the minute that runs, and the minutes before it."""
        return f"in the last {self.minutes + 1} minutes"


def failing_tasks(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    """Yield a finding per task that fails now, or whose jobs failed for good lately."""
    recent = snapshot.recent
    if recent is None:
        return
    lately, at_present = _ends_by_task(recent, _LATELY_MINUTES), _ends_by_task(recent, _NOW_MINUTES)
    for task, ends in sorted(lately.items()):
        if not ends.raised:
            continue
        newest, now = _newest_error(snapshot, task), at_present.get(task)
        broken = _broken(recent, task)
        if broken is not None and not _is_asked_for(newest, broken):
            yield _fails(snapshot, task, broken, newest)
        elif now is not None and now.failed:
            yield _failed(snapshot, task, now, newest)
        elif ends.failed or (ends.raised >= _ENOUGH_ATTEMPTS and not (now and now.raised)):
            yield _failed_before(snapshot, recent, ends, task, newest)


def _ends_by_task(recent: RecentCounts, minutes: int) -> dict[str, _Ends]:
    counts: dict[str, Counter[str]] = {}
    for (_, task, counter), number in recent.over(minutes).items():
        counts.setdefault(task, Counter())[counter] += number
    return {
        task: _Ends(minutes, of_task["succeeded"], of_task["retried"], of_task["failed"])
        for task, of_task in counts.items()
    }


def _broken(recent: RecentCounts, task: str) -> _Ends | None:
    """Return the ends of a task's attempts where most of enough end in an error, None where it works."""
    for minutes in _SPANS_MINUTES:
        ends = _ends_by_task(recent, minutes).get(task)
        if ends is None or not ends.ended:
            continue
        if not ends.raised:  # it works again, however it was before
            return None
        if ends.ended >= _ENOUGH_ATTEMPTS:
            return ends if ends.raised > _MANY_FAIL * ends.ended else None
    return None


def _newest_error(snapshot: NamespaceSnapshot, task: str) -> FailureGroup | None:
    groups = [group for group in snapshot.failing or () if group.task_name == task]
    return max(groups, key=lambda group: group.last_seen, default=None)


def _is_asked_for(newest: FailureGroup | None, ends: _Ends) -> bool:
    return not ends.failed and newest is not None and newest.error_type.endswith(_ASKED_FOR)


def _fails(snapshot: NamespaceSnapshot, task: str, ends: _Ends, newest: FailureGroup | None) -> Finding:
    dead = f", {jobs(ends.failed)} for good" if ends.failed else ""
    return Finding(
        "task_fails", "warning", _subject(task),
        f"{ends.raised} of {ends.ended} attempts ended in an error {ends.span}{dead}"
        f"{_error(snapshot, newest)}",
        "see the traceback: spinach-ops failed --traceback",
    )  # fmt: skip


def _failed(snapshot: NamespaceSnapshot, task: str, now: _Ends, newest: FailureGroup | None) -> Finding:
    return Finding(
        "failed_lately", "warning", _subject(task),
        f"{jobs(now.failed)} failed for good {now.span}{_error(snapshot, newest)}",
        "run spinach-ops failed --traceback",
    )  # fmt: skip


def _failed_before(
    snapshot: NamespaceSnapshot, recent: RecentCounts, ends: _Ends, task: str, newest: FailureGroup | None
) -> Finding:
    quiet = _quiet_minutes(recent, task)
    dead = f", {jobs(ends.failed)} for good" if ends.failed else ""
    return Finding(
        "failed_before", "info", _subject(task),
        f"{ends.raised} of {ends.ended} attempts ended in an error {ends.span}{dead}, none in the last "
        f"{'minute' if quiet == 1 else f'{quiet} minutes'}{_error(snapshot, newest)}",
        "see what failed: spinach-ops failed",
    )  # fmt: skip


def _subject(task: str) -> Subject:
    return Subject("task", task, "" if task else "task (none)")


def _quiet_minutes(recent: RecentCounts, task: str) -> int:
    """Return for how many minutes, the present one included, no attempt of a task ended in an error."""
    for minutes in range(_LATELY_MINUTES + 1):
        ends = _ends_by_task(recent, minutes).get(task)
        if ends is not None and ends.raised:
            return minutes
    return _LATELY_MINUTES + 1


def _error(snapshot: NamespaceSnapshot, newest: FailureGroup | None) -> str:
    """Return the newest error of a task as the end of a sentence, with since when there are such errors."""
    if newest is None:
        return ""
    message = f" ({printable(newest.sample_message, _MAX_MESSAGE)})" if newest.sample_message else ""
    since = duration(max(0.0, snapshot.at - newest.first_seen))
    error = f"; the newest with {newest.error_type}{message}, first seen {since} ago"
    return error + _start_before(snapshot, newest)


def _start_before(snapshot: NamespaceSnapshot, newest: FailureGroup) -> str:
    """Return a hint where workers of the task started shortly before its first error: a deploy, perhaps."""
    starts = [
        newest.first_seen - worker.info.started_at
        for worker in snapshot.workers
        if newest.task_name in (worker.info.tasks or ())
    ]
    shortly = [seconds for seconds in starts if 0 <= seconds <= _DEPLOY_SECONDS]
    if not shortly:
        return ""
    number = f"{len(shortly)} of its workers" if len(shortly) > 1 else "a worker of it"
    return f", {duration(min(shortly))} after {number} started"
