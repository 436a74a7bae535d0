"""What of ours stands in a registry: one collector per family, whatever the number of engines that share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry

from spinach import Engine
from spinach.brokers.base import Broker
from spinach.stats import NamespaceSnapshot

from .labels import LabelCaps
from .namespace_collector import NamespaceCollector
from .process_collector import ProcessMetrics
from .snapshot_cache import SnapshotCache


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Our collectors of one registry.

    Attributes:
        process: Counts what engines of this process do.
        caches: Where snapshots of their namespaces come from, by namespace.
    """

    process: ProcessMetrics
    caches: dict[str, SnapshotCache] = field(default_factory=dict)
    _readers: dict[str, list[Engine]] = field(default_factory=dict)

    def read_namespace(self, engine: Engine) -> Callable[[], None]:
        """Read the namespace of an engine at each scrape; return the way to stop that.

        Engines of one namespace share a cache, which ends with the last of them.
        """
        name = engine.namespace
        readers = self._readers.setdefault(name, [])
        readers.append(engine)
        self._read_through(name)

        def remove() -> None:
            if engine in readers:
                readers.remove(engine)
                self._read_through(name)

        return remove

    def _read_through(self, name: str) -> None:
        """Read a namespace through the first engine that is left, or no more."""
        readers = self._readers[name]
        if not readers:
            self.caches.pop(name, None)
            return
        self.caches[name] = SnapshotCache(partial(take_snapshot, readers[0].broker), name=f"{name}-snapshot")


_telemetry: Final[WeakKeyDictionary[CollectorRegistry, Telemetry]] = WeakKeyDictionary()


def telemetry_of(
    registry: CollectorRegistry,
    *,
    buckets: Mapping[str, Sequence[float]] | None = None,
    caps: LabelCaps | None = None,
    created: bool = False,
) -> Telemetry:
    """Return our collectors of a registry, put there when they are not; arguments as in `ProcessMetrics`."""
    if registry not in _telemetry:
        telemetry = Telemetry(ProcessMetrics(buckets=buckets, caps=caps, created=created))
        registry.register(telemetry.process)
        try:
            registry.register(NamespaceCollector(telemetry.caches, caps=caps))
        except ValueError:  # something else in the registry has one of the names
            registry.unregister(telemetry.process)
            raise
        _telemetry[registry] = telemetry
    return _telemetry[registry]


def take_snapshot(
    broker: Broker, known: NamespaceSnapshot | None, *, queues: Sequence[str] = ()
) -> NamespaceSnapshot:
    """Look at a namespace; the first look also searches for queues that stand in no index."""
    return broker.snapshot(known=known, queues=queues, discover=known is None)
