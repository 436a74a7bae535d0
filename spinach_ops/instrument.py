"""One call that makes an engine observable. Light to import: what it needs is loaded when it is called.

Nothing is served or sent anywhere before it is asked for: see `server` for `/metrics`, `tracing` for spans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from spinach import Engine

    from .bounds import Caps
    from .registries import Telemetry


class Instrumentation:
    """What was put on an engine.

    Attributes:
        engine: The engine.
        registry: Where its metrics are, to be rendered by whoever serves them.
    """

    def __init__(
        self, engine: Engine, registry: CollectorRegistry, removals: list[Callable[[], None]]
    ) -> None:
        self.engine = engine
        self.registry = registry
        self._removals = removals

    def uninstrument(self) -> None:
        """Take it off again; what was counted stays in the registry."""
        removals, self._removals = self._removals, []
        for remove in reversed(removals):
            remove()
        with _lock:
            if _instrumented.get(self.engine) is self:
                del _instrumented[self.engine]


_lock: Final = threading.RLock()
_instrumented: Final[WeakKeyDictionary[Engine, Instrumentation]] = WeakKeyDictionary()


def instrument(
    engine: Engine,
    *,
    registry: CollectorRegistry | None = None,
    namespace_metrics: bool = True,
    buckets: Mapping[str, Sequence[float]] | None = None,
    caps: Caps | None = None,
    created: bool = False,
) -> Instrumentation:
    """Count what an engine does.

    Args:
        engine: Once is enough; a second time returns what is there and changes nothing.
        registry: Where the metrics go, by default a registry of their own. Several engines may share one.
        namespace_metrics: Whether the registry also tells of the namespace as a whole, read from the broker at each
            scrape. With many workers leave that to one `spinach-ops exporter`.
        buckets: Upper edges in seconds by name of a histogram; the first engine of a registry decides.
        caps: How many label values are kept; likewise.
        created: Whether to expose `_created` samples; likewise.

    Returns:
        The registry, and the way to take all of it off again.

    Example:
        >>> engine = Engine(RedisBroker(), namespace="shop")
        >>> instrument(engine)
        >>> serve(engine, port=9850)
    """
    with _lock:
        if engine in _instrumented:
            return _instrumented[engine]
        from prometheus_client import CollectorRegistry

        from .registries import telemetry_of

        registry = registry if registry is not None else CollectorRegistry()
        telemetry = telemetry_of(registry, buckets=buckets, caps=caps, created=created)
        removals = [_count(engine, telemetry)]
        if namespace_metrics:
            removals.append(telemetry.read_namespace(engine))
        made = _instrumented[engine] = Instrumentation(engine, registry, removals)
        return made


def _count(engine: Engine, telemetry: Telemetry) -> Callable[[], None]:
    telemetry.process.watch(engine)
    return lambda: telemetry.process.forget(engine)
