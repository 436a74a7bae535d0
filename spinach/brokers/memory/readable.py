"""The sight of a memory broker: verbs that read and change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...clock import Clock
from ...stats import FailedJob, FailureGroup, JobInfo, NamespaceSnapshot, Wanted
from ..base import Broker
from . import inspect
from .store import MemoryStore, Namespace


class ReadableBroker(Broker):
    """What a memory broker can tell of its store.

    Args:
        store: Memory to read.
        clock: This broker's own clock, the store's when None.
    """

    def __init__(self, store: MemoryStore, clock: Clock | None) -> None:
        self._store = store
        super().__init__(clock=clock or store.clock)

    @contextmanager
    def _step(self) -> Iterator[Namespace]:
        with self._store.lock:
            yield self._store.namespace(self.namespace)

    def get_all_brokers(self) -> list[dict[str, Any]]:
        """Return the registered workers as they announced themselves."""
        with self._step() as namespace:
            return [dict(announced) for announced in namespace.workers.values()]

    def failed_jobs(self, limit: int = 100) -> list[FailedJob]:
        """Return the newest dead letters, newest first."""
        with self._step() as namespace:
            return namespace.ledger.dead_letters(limit, self._store.clock.now())

    def failure_groups(self) -> list[FailureGroup]:
        """Return what fails and since when, the latest first."""
        with self._step() as namespace:
            return namespace.ledger.failure_groups()

    def queued_jobs(self, queue: str, limit: int = 100) -> list[JobInfo]:
        """Return the first jobs of a queue, whatever their texts are."""
        with self._step() as namespace:
            return inspect.queued_jobs(namespace, queue, limit)

    def running_jobs(self, worker_id: str, limit: int = 100) -> list[JobInfo]:
        """Return jobs in the hands of a worker, those it reserved included."""
        with self._step() as namespace:
            return inspect.running_jobs(namespace, worker_id, limit)

    def snapshot(
        self,
        *,
        known: NamespaceSnapshot | None = None,
        queues: Sequence[str] = (),
        totals: bool = True,
        discover: bool = False,
        wanted: Sequence[Wanted] = (),
    ) -> NamespaceSnapshot:
        """Return what the namespace looks like now; here everything is known and nothing costs a round trip."""
        del totals, discover
        listeners = self._store.news(self.namespace).listeners
        with self._step() as namespace:
            return inspect.snapshot(
                self.namespace, namespace, self._store.clock.now(),
                known=known, queues=queues, listeners=listeners, wanted=wanted,
            )  # fmt: skip

    def counters(self) -> dict[tuple[str, str, str], int]:
        """Return the totals by queue, task name and counter."""
        with self._step() as namespace:
            return dict(namespace.ledger.counts)
