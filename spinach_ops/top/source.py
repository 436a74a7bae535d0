"""Where snapshots come from: one after the other, each cheaper for knowing the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spinach.brokers.base import Broker
from spinach.stats import NamespaceSnapshot

from .derive import Rate, rates


@dataclass(frozen=True, slots=True)
class Tick:
    """One look at a namespace, and what it says together with the one before."""

    snapshot: NamespaceSnapshot
    rates: Mapping[str, Rate] = field(default_factory=dict)


class Source:
    """Looks at a namespace again and again.

    A look that fails raises and forgets the one before: the next begins anew, without rates over the gap.

    Args:
        broker: Reads the namespace.
        interval_seconds: How far apart the looks are meant to be.
        queues: Names to look at beside those the namespace tells of.
        discover: Whether the first look searches all keys for queues.
        totals: Whether to read counters and histograms.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        interval_seconds: float = 2.0,
        queues: Sequence[str] = (),
        discover: bool = False,
        totals: bool = False,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._broker = broker
        self._queues = queues
        self._discover = discover
        self._totals = totals
        self._known: NamespaceSnapshot | None = None

    def look(self) -> Tick:
        """Look once.

        Raises:
            BrokerError: the namespace cannot be read now.
        """
        before, self._known = self._known, None
        snapshot = self._broker.snapshot(
            known=before, queues=self._queues, totals=self._totals, discover=self._discover and before is None
        )
        self._known = snapshot
        return Tick(snapshot, rates(before, snapshot, interval_seconds=self.interval_seconds))
