"""What a namespace keeps of jobs that ended: counters, histograms, dead letters, failure groups.

Each is bounded by `brokers.limits`. It never changes a queue or what a worker holds.
"""

from __future__ import annotations

from collections import Counter, deque

from ...stats import (
    RECENT_MINUTES,
    AttemptError,
    FailedJob,
    FailureGroup,
    Histogram,
    LostWorker,
    RecentCounts,
    Tally,
)
from ..limits import (
    ERROR_PAUSE_SECONDS,
    MAX_DEAD_LETTER_AGE_SECONDS,
    MAX_DEAD_LETTERS,
    MAX_FAILURE_GROUPS,
    MAX_LOST_WORKERS,
    MAX_SAMPLE_CHARACTERS,
)


class History:
    """The record of one namespace. Not thread-safe: the store's lock guards it."""

    __slots__ = (
        "_dead_letters", "_errors", "_groups", "_minutes", "counts", "lost", "runs", "trimmed", "waits",
        "workers_lost",
    )  # fmt: skip

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.waits: dict[str, Histogram] = {}
        self.runs: dict[str, Histogram] = {}
        self.workers_lost = 0
        self.lost: deque[LostWorker] = deque(maxlen=MAX_LOST_WORKERS)
        self.trimmed = 0
        self._dead_letters: deque[FailedJob] = deque(maxlen=MAX_DEAD_LETTERS)
        self._groups: dict[tuple[str, str], FailureGroup] = {}
        self._errors: dict[tuple[str, str], FailureGroup] = {}
        self._minutes: dict[int, Counter[tuple[str, str, str]]] = {}

    def count(self, queue: str, task_name: str, counter: str, now: float) -> None:
        """Add one to one of `stats.COUNTERS`."""
        self.counts[queue, task_name, counter] += 1
        self._of_minute(now)[queue, task_name, counter] += 1

    def _of_minute(self, now: float) -> Counter[tuple[str, str, str]]:
        minute = int(now // 60)
        if minute not in self._minutes:
            self._minutes = {
                known: counts for known, counts in self._minutes.items() if known >= minute - RECENT_MINUTES
            }
            self._minutes[minute] = Counter()
        return self._minutes[minute]

    def recent(self, now: float) -> RecentCounts:
        """Return the counters of the last minutes."""
        self._of_minute(now)
        return RecentCounts(
            int(now // 60), {minute: dict(counts) for minute, counts in self._minutes.items()}
        )

    def add(self, tally: Tally, now: float) -> None:
        """Add what a worker counted."""
        self.counts.update(tally.counts)
        self._of_minute(now).update(tally.counts)
        for number, error in tally.errors.values():
            self._add_error(error, number, now)
        for kept, added in ((self.waits, tally.waits), (self.runs, tally.runs)):
            for queue, histogram in added.items():
                _merge(kept.setdefault(queue, Histogram()), histogram)

    def add_dead_letter(self, failure: FailedJob, now: float) -> None:
        """Keep a dead letter; drop the oldest beyond the bounds of number and age."""
        self.trimmed += len(self._dead_letters) == MAX_DEAD_LETTERS
        self._dead_letters.append(failure)
        self._expire(now)
        self._add_to_group(failure)

    def dead_letters(self, limit: int, now: float) -> list[FailedJob]:
        """Return the newest dead letters, newest first."""
        self._expire(now)
        return [self._dead_letters[-1 - index] for index in range(min(limit, len(self._dead_letters)))]

    def count_dead_letters(self, now: float) -> int:
        """Return how many dead letters are kept."""
        self._expire(now)
        return len(self._dead_letters)

    def failure_groups(self) -> list[FailureGroup]:
        """Return what fails and since when, the latest first."""
        return FailureGroup.merged(self._groups.values(), self._errors.values())

    def _add_error(self, error: AttemptError, number: int, now: float) -> None:
        key = error.task_name, error.error_type
        known = self._errors.pop(key, None)
        goes_on = known is not None and now - known.last_seen <= ERROR_PAUSE_SECONDS
        self._errors[key] = FailureGroup(
            task_name=error.task_name,
            error_type=error.error_type,
            count=0,
            first_seen=known.first_seen if known is not None and goes_on else now,
            last_seen=now,
            sample_id=error.job_id,
            sample_message=error.message,
            attempts=number + (known.attempts if known else 0),
            sample_traceback=error.traceback or (known.sample_traceback if known else ""),
        )
        if len(self._errors) > MAX_FAILURE_GROUPS:
            del self._errors[next(iter(self._errors))]

    def _expire(self, now: float) -> None:
        while self._dead_letters and self._dead_letters[0].failed_at < now - MAX_DEAD_LETTER_AGE_SECONDS:
            self._dead_letters.popleft()
            self.trimmed += 1

    def _add_to_group(self, failure: FailedJob) -> None:
        key = failure.task_name, failure.error_type or failure.reason
        # Put back at the end, so that the first in order is the group not seen for longest.
        known = self._groups.pop(key, None)
        self._groups[key] = FailureGroup(
            task_name=key[0],
            error_type=key[1],
            count=known.count + 1 if known else 1,
            first_seen=known.first_seen if known else failure.failed_at,
            last_seen=failure.failed_at,
            sample_id=failure.id,
            sample_message=failure.message[:MAX_SAMPLE_CHARACTERS],
        )
        if len(self._groups) > MAX_FAILURE_GROUPS:
            del self._groups[next(iter(self._groups))]


def _merge(kept: Histogram, added: Histogram) -> None:
    kept.buckets = [one + other for one, other in zip(kept.buckets, added.buckets, strict=True)]
    kept.total_seconds += added.total_seconds
