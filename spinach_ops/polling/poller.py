"""Takes snapshots of a namespace, each cheaper because it knows the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from spinach.brokers.base import Broker
from spinach.stats import NamespaceSnapshot, Page, Wanted

from .rates import Rate, rates

# A page of large jobs is made shorter: nobody waits for megabytes twice.
_MAX_PAGE_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brings: the snapshot, and the rates since the one before."""

    snapshot: NamespaceSnapshot
    rates: Mapping[str, Rate] = field(default_factory=dict)


class Poller:
    """Polls a namespace again and again.

    A poll that fails raises and forgets the snapshot before, so that no rate spans the gap. The names of
    queues are remembered.

    Args:
        broker: Reads the namespace.
        interval_seconds: Intended time between two polls.
        queues: Names of queues to read besides those in the index.
        discover: Whether the first poll searches all keys for queues.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        interval_seconds: float = 2.0,
        queues: Sequence[str] = (),
        discover: bool = False,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._broker = broker
        self._queues = queues
        self._discover = discover
        self._known: NamespaceSnapshot | None = None
        self._found: tuple[str, ...] = ()
        self._bytes_each: dict[str, float] = {}

    @property
    def broker(self) -> Broker:
        """The broker that reads."""
        return self._broker

    def poll(self, wanted: Sequence[Wanted] = ()) -> Poll:
        """Poll once.

        Args:
            wanted: Pages of single things to bring along; of large ones fewer come than were wanted.

        Raises:
            BrokerError: the namespace cannot be read now.
        """
        before, self._known = self._known, None
        snapshot = self._broker.snapshot(
            known=before,
            # What is known is asked for anyway; after a gap it is not.
            queues=self._queues if before is not None else [*self._queues, *self._found],
            discover=self._discover and not self._found and before is None,
            wanted=[self._thrifty(one, before) for one in wanted],
        )
        self._known = snapshot
        self._found = tuple(queue.name for queue in snapshot.queues)
        for page in snapshot.pages:
            self._weigh(page)
        return Poll(snapshot, rates(before, snapshot, interval_seconds=self.interval_seconds))

    def _thrifty(self, wanted: Wanted, before: NamespaceSnapshot | None) -> Wanted:
        each = self._bytes_each.get(f"{wanted.kind} {wanted.of}", 0.0)
        if not each and wanted.kind == "queue" and before is not None:
            # Nobody saw a page of it yet, but one of its jobs.
            each = max((queue.element_bytes for queue in before.queues if queue.name == wanted.of), default=0)
        return replace(wanted, limit=max(1, int(min(wanted.limit, _MAX_PAGE_BYTES / max(1.0, each)))))

    def _weigh(self, page: Page) -> None:
        sizes = [len(job.raw) for job in (*page.jobs, *(held.job for held in page.held))]
        if len(self._bytes_each) > 1000:
            self._bytes_each.clear()
        if sizes:
            self._bytes_each[f"{page.wanted.kind} {page.wanted.of}"] = sum(sizes) / len(sizes)
