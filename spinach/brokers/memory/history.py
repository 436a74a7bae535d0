"""What a namespace remembers of jobs that are gone: counters, histograms, dead letters, failure groups."""

from __future__ import annotations

from collections import Counter, deque

from ...stats import FailedJob, FailureGroup, Histogram, LostWorker, Tally
from ..limits import (
    MAX_DEAD_LETTER_AGE_SECONDS,
    MAX_DEAD_LETTERS,
    MAX_FAILURE_GROUPS,
    MAX_LOST_WORKERS,
    MAX_SAMPLE_CHARACTERS,
)


class Ledger:
    """The bookkeeping of one namespace. Not thread-safe: the store's lock guards it."""

    __slots__ = ("_groups", "_letters", "counts", "lost", "runs", "trimmed", "waits", "workers_lost")

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.waits: dict[str, Histogram] = {}
        self.runs: dict[str, Histogram] = {}
        self.workers_lost = 0
        self.lost: deque[LostWorker] = deque(maxlen=MAX_LOST_WORKERS)
        self.trimmed = 0
        self._letters: deque[FailedJob] = deque(maxlen=MAX_DEAD_LETTERS)
        self._groups: dict[tuple[str, str], FailureGroup] = {}

    def count(self, queue: str, task_name: str, counter: str) -> None:
        """Add one to one of `stats.COUNTERS`."""
        self.counts[queue, task_name, counter] += 1

    def add(self, tally: Tally) -> None:
        """Add what a worker gathered."""
        self.counts.update(tally.counts)
        for kept, added in ((self.waits, tally.waits), (self.runs, tally.runs)):
            for queue, histogram in added.items():
                _merge(kept.setdefault(queue, Histogram()), histogram)

    def bury(self, failure: FailedJob, now: float) -> None:
        """Keep a dead letter, drop those that are too many or too old."""
        self.trimmed += len(self._letters) == MAX_DEAD_LETTERS
        self._letters.append(failure)
        self._expire(now)
        self._group(failure)

    def dead_letters(self, limit: int, now: float) -> list[FailedJob]:
        """Return the newest dead letters, newest first."""
        self._expire(now)
        return [self._letters[-1 - index] for index in range(min(limit, len(self._letters)))]

    def count_letters(self, now: float) -> int:
        """Return how many dead letters are kept."""
        self._expire(now)
        return len(self._letters)

    def failure_groups(self) -> list[FailureGroup]:
        """Return what fails and since when, the latest first."""
        return sorted(self._groups.values(), key=lambda group: group.last_seen, reverse=True)

    def _expire(self, now: float) -> None:
        while self._letters and self._letters[0].failed_at < now - MAX_DEAD_LETTER_AGE_SECONDS:
            self._letters.popleft()
            self.trimmed += 1

    def _group(self, failure: FailedJob) -> None:
        key = failure.task_name, failure.error_type or failure.reason
        # Taken out and put back at the end, so that the first in order is the one not seen for longest.
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
    kept.buckets = [mine + theirs for mine, theirs in zip(kept.buckets, added.buckets, strict=True)]
    kept.total_seconds += added.total_seconds
