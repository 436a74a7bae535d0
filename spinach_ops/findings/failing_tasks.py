"""Tasks whose attempts end in errors, judged by the counters of the last minutes. Pure: reads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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


# How the attempts of a task ended, by how many minutes ago.
_Minutes = Mapping[int, Counter[str]]


def failing_tasks(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    """Yield a finding per task that fails now, or whose jobs failed for good lately."""
    if snapshot.recent is None:
        return
    for task, minutes in sorted(_by_task(snapshot.recent).items()):
        lately, now = _ends(minutes, _LATELY_MINUTES), _ends(minutes, _NOW_MINUTES)
        if not lately.raised:
            continue
        newest = _newest_error(snapshot, task)
        broken = _broken(minutes)
        if broken is not None and not _is_asked_for(newest, broken):
            yield _fails(snapshot, task, broken, newest)
        elif now.failed:
            yield _failed(snapshot, task, now, newest)
        elif lately.failed or (lately.raised >= _ENOUGH_ATTEMPTS and not now.raised):
            yield _failed_before(snapshot, lately, _quiet_minutes(minutes), task, newest)


def _by_task(recent: RecentCounts) -> dict[str, dict[int, Counter[str]]]:
    found: dict[str, dict[int, Counter[str]]] = {}
    for minute, counts in recent.minutes.items():
        for (_, task, counter), number in counts.items():
            if counter in ("succeeded", "retried", "failed"):
                minutes = found.setdefault(task, {})
                minutes.setdefault(recent.present - minute, Counter())[counter] += number
    return found


def _ends(minutes: _Minutes, span: int) -> _Ends:
    """Return how attempts ended in the minute that runs and in the `span` minutes before it."""
    total: Counter[str] = Counter()
    for ago, counts in minutes.items():
        if ago <= span:
            total.update(counts)
    return _Ends(span, total["succeeded"], total["retried"], total["failed"])


def _broken(minutes: _Minutes) -> _Ends | None:
    """Return the ends of a task's attempts where most of enough end in an error, None where it works."""
    for span in _SPANS_MINUTES:
        ends = _ends(minutes, span)
        if ends.ended and not ends.raised:  # it works again, however it was before
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
    snapshot: NamespaceSnapshot, ends: _Ends, quiet: int, task: str, newest: FailureGroup | None
) -> Finding:
    dead = f", {jobs(ends.failed)} for good" if ends.failed else ""
    return Finding(
        "failed_before", "info", _subject(task),
        f"{ends.raised} of {ends.ended} attempts ended in an error {ends.span}{dead}, none in the last "
        f"{'minute' if quiet == 1 else f'{quiet} minutes'}{_error(snapshot, newest)}",
        "see what failed: spinach-ops failed",
    )  # fmt: skip


def _subject(task: str) -> Subject:
    return Subject("task", task, "" if task else "task (none)")


def _quiet_minutes(minutes: _Minutes) -> int:
    """Return for how many minutes, the present one included, no attempt ended in an error."""
    with_errors = [ago for ago, counts in minutes.items() if counts["retried"] or counts["failed"]]
    return min(with_errors, default=_LATELY_MINUTES + 1)


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
