"""Puts namespaces into a registry: reads them at each scrape, within a deadline, and counts what could not be read.

A namespace that cannot be read at all is `spinach_redis_up` 0 and an error that is counted; nothing else of it shows.
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
from .families import Families, add_snapshot
from .labels import LabelCaps, LabelLimiter, sanitize_label
from .monotonic import Monotonic
from .snapshot_cache import Reading, SnapshotCache, wait_for

# A scraper waits ten seconds by default; a worker's own numbers must not be lost with those of a server that hangs.
DEADLINE_SECONDS: Final = 5.0
# How long the scrape under way may wait; whoever renders a registry may set it.
deadline: ContextVar[float] = ContextVar("deadline", default=DEADLINE_SECONDS)


class NamespaceCollector:
    """A collector for a registry: reads namespaces at each scrape, all at once.

    Args:
        caches: Where snapshots come from, by namespace.
        per_worker: Whether to expose a series per worker.
        caps: How many names the counters keep.
    """

    def __init__(
        self, caches: Mapping[str, SnapshotCache], *, per_worker: bool = False, caps: LabelCaps | None = None
    ) -> None:
        self._caches = caches
        self._bounds = LabelLimiter(caps)
        self._monotonic = Monotonic()
        self._per_worker = per_worker
        self._lock = threading.Lock()
        self._errors: dict[str, Counter[str]] = {}
        self._counted: dict[str, Reading] = {}

    def describe(self) -> Iterator[Exposed]:
        """Yield the families, without samples."""
        for metric in catalog.METRICS:
            if metric.family == "namespace":
                yield Exposed(metric.base_name, metric.help, metric.kind)

    def collect(self) -> Iterator[Exposed]:
        """Read every namespace and yield the families."""
        families = Families()
        for name, reading in self.read().items():
            label = sanitize_label(name)
            self._count_errors(name, reading)
            if reading.snapshot is None:
                families.add(catalog.REDIS_UP, [((label,), 0.0)])
            else:
                self._add(families, reading.snapshot)
            errors = self._errors[name]
            families.add(
                catalog.SNAPSHOT_ERRORS,
                (((label, reason), errors[reason]) for reason in catalog.SNAPSHOT_REASONS),
            )
        yield from families.all()

    def read(self) -> dict[str, Reading]:
        """Return a reading of each namespace; the slowest decides how long that takes, not their number."""
        looks = self._begin()
        until = monotonic() + deadline.get()
        return {name: wait_for(look, until - monotonic()) for name, look in looks.items()}

    def can_read(self) -> dict[str, Reading | None]:
        """Return what there is as soon as one namespace could be read, None for those that are not back yet."""
        looks = self._begin()
        waiting = set(looks.values())
        until = monotonic() + deadline.get()
        while waiting:
            done, waiting = wait(waiting, max(0.0, until - monotonic()), FIRST_COMPLETED)
            if not done or any(look.result().snapshot is not None for look in done):
                break
        return {name: look.result() if look.done() else None for name, look in looks.items()}

    def _begin(self) -> dict[str, Future[Reading]]:
        return {name: cache.begin() for name, cache in dict(self._caches).items()}

    def _add(self, families: Families, snapshot: NamespaceSnapshot) -> None:
        with self._lock:  # two scrapes at once must not show one counter at two places
            add_snapshot(families, snapshot, self._bounds, self._monotonic, per_worker=self._per_worker)

    def _count_errors(self, name: str, reading: Reading) -> None:
        with self._lock:
            errors = self._errors.setdefault(name, Counter())
            if self._counted.get(name) is reading:  # served again from the cache
                return
            self._counted[name] = reading
            if reading.snapshot is None:
                errors[reading.reason] += 1
                return
            for error in reading.snapshot.errors:
                errors[error.reason if error.reason in catalog.SNAPSHOT_REASONS else "refused"] += 1
