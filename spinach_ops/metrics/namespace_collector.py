"""Reads namespaces at each scrape of a registry, within a deadline, and counts what could not be read.

Of a namespace that cannot be read it shows only `spinach_redis_up` 0 and the count of errors, never an old
value.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import ContextVar
from time import monotonic
from typing import Final

from prometheus_client.core import Metric as Exposed

from spinach.stats import NamespaceSnapshot

from . import catalog
from .families import FamilyBuilder, add_snapshot, describe
from .labels import LabelCaps, LabelLimiter, sanitize_label
from .monotonic import MonotonicCounters
from .snapshot_cache import PollResult, SnapshotCache, wait_for_result

# A scraper waits 10 s by default; a Redis that hangs must not cost it the worker's own numbers as well.
DEADLINE_SECONDS: Final = 5.0
# How long the current scrape may wait for Redis, in seconds; the route that renders a registry sets it.
deadline: ContextVar[float] = ContextVar("deadline", default=DEADLINE_SECONDS)


class NamespaceCollector:
    """A collector for a registry: reads all its namespaces at the same time at each scrape.

    Args:
        caches: Where snapshots come from, by namespace.
        per_worker: Whether to expose a series per worker.
        caps: How many names the counters keep.
    """

    def __init__(
        self, caches: Mapping[str, SnapshotCache], *, per_worker: bool = False, caps: LabelCaps | None = None
    ) -> None:
        self._caches = caches
        self._limiter = LabelLimiter(caps)
        self._monotonic = MonotonicCounters()
        self._per_worker = per_worker
        self._lock = threading.Lock()
        self._errors: dict[str, Counter[str]] = {}
        self._counted: dict[str, PollResult] = {}

    def describe(self) -> Iterator[Exposed]:
        """Yield the families, without samples."""
        yield from describe("namespace")

    def collect(self) -> Iterator[Exposed]:
        """Read every namespace and yield the families."""
        families = FamilyBuilder()
        for name, result in self.read().items():
            label = sanitize_label(name)
            self._count_errors(name, result)
            if result.snapshot is None:
                families.add(catalog.REDIS_UP, [((label,), 0.0)])
            else:
                self._add(families, result.snapshot)
            errors = self._errors[name]
            families.add(
                catalog.SNAPSHOT_ERRORS,
                (((label, reason), errors[reason]) for reason in catalog.SNAPSHOT_REASONS),
            )
        yield from families.build()

    def read(self) -> dict[str, PollResult]:
        """Return a result for each namespace; this takes as long as the slowest one, or the deadline."""
        polls = self._start_polls()
        until = monotonic() + deadline.get()
        return {name: wait_for_result(poll, until - monotonic()) for name, poll in polls.items()}

    def read_until_first(self) -> dict[str, PollResult | None]:
        """Return all results as soon as one namespace could be read; None for polls that still run."""
        polls = self._start_polls()
        waiting = set(polls.values())
        until = monotonic() + deadline.get()
        while waiting:
            done, waiting = wait(waiting, max(0.0, until - monotonic()), FIRST_COMPLETED)
            if not done or any(poll.result().snapshot is not None for poll in done):
                break
        return {name: poll.result() if poll.done() else None for name, poll in polls.items()}

    def _start_polls(self) -> dict[str, Future[PollResult]]:
        return {name: cache.start_poll() for name, cache in dict(self._caches).items()}

    def _add(self, families: FamilyBuilder, snapshot: NamespaceSnapshot) -> None:
        with self._lock:  # of two scrapes at the same time, neither may show a counter older than the other's
            add_snapshot(families, snapshot, self._limiter, self._monotonic, per_worker=self._per_worker)

    def _count_errors(self, name: str, result: PollResult) -> None:
        with self._lock:
            errors = self._errors.setdefault(name, Counter())
            if self._counted.get(name) is result:  # from the cache, and counted already
                return
            self._counted[name] = result
            if result.snapshot is None:
                errors[result.reason] += 1
                return
            for error in result.snapshot.errors:
                errors[error.reason if error.reason in catalog.SNAPSHOT_REASONS else "refused"] += 1
