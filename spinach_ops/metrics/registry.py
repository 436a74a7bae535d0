"""Registers one collector per family in a registry, however many engines share it."""

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
from .process_collector import ProcessCollector
from .snapshot_cache import SnapshotCache


@dataclass(frozen=True, slots=True)
class RegistryCollectors:
    """The collectors of one registry.

    Attributes:
        process: Counts what engines of this process do.
        caches: Where the namespace collector gets snapshots from, by namespace.
    """

    process: ProcessCollector
    caches: dict[str, SnapshotCache] = field(default_factory=dict)
    _readers: dict[str, list[Engine]] = field(default_factory=dict)

    def read_namespace(self, engine: Engine) -> Callable[[], None]:
        """Read the namespace of an engine at each scrape; return a function that ends this.

        Engines of one namespace share a cache, which is removed with the last of them.
        """
        name = engine.namespace
        readers = self._readers.setdefault(name, [])
        readers.append(engine)
        self._update_cache(name)

        def remove() -> None:
            if engine in readers:
                readers.remove(engine)
                self._update_cache(name)

        return remove

    def _update_cache(self, name: str) -> None:
        """Read a namespace through the broker of its first engine; without an engine, stop reading it."""
        readers = self._readers[name]
        if not readers:
            self.caches.pop(name, None)
            return
        self.caches[name] = SnapshotCache(partial(take_snapshot, readers[0].broker), name=f"{name}-snapshot")


_registered: Final[WeakKeyDictionary[CollectorRegistry, RegistryCollectors]] = WeakKeyDictionary()


def collectors_of(
    registry: CollectorRegistry,
    *,
    buckets: Mapping[str, Sequence[float]] | None = None,
    caps: LabelCaps | None = None,
    created: bool = False,
) -> RegistryCollectors:
    """Return the collectors of a registry; registers them once. Arguments as in `ProcessCollector`."""
    if registry not in _registered:
        collectors = RegistryCollectors(ProcessCollector(buckets=buckets, caps=caps, created=created))
        registry.register(collectors.process)
        try:
            registry.register(NamespaceCollector(collectors.caches, caps=caps))
        except ValueError:  # the application registered a metric of the same name
            registry.unregister(collectors.process)
            raise
        _registered[registry] = collectors
    return _registered[registry]


def take_snapshot(
    broker: Broker, previous: NamespaceSnapshot | None, *, queues: Sequence[str] = ()
) -> NamespaceSnapshot:
    """Read a namespace; the first poll also searches for queues that are missing from the index."""
    return broker.snapshot(known=previous, queues=queues, discover=previous is None)
