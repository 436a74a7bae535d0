"""One call that makes an engine observable. Light to import: what it needs is loaded when it is called.

Nothing is served or sent anywhere before it is asked for: see `server` for `/metrics`, `tracing` for spans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from logging import getLogger
from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from typing import Unpack

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from prometheus_client import CollectorRegistry

    from spinach import Engine

    from .metrics.labels import LabelCaps
    from .tracing.attributes import JobAttributes
    from .tracing.settings import PropagationFunction, PropagationMode, SpanName


class TracingOptions(TypedDict, total=False):
    """The options of `spinach_ops.tracing.instrument_tracing`, where they are documented."""

    tracer_provider: TracerProvider | None
    propagation: PropagationMode | PropagationFunction
    create_spans: bool
    span_name: SpanName
    record_exceptions: bool
    baggage: Sequence[str]
    job_attributes: JobAttributes | None


class Instrumentation:
    """What was put on an engine.

    Attributes:
        engine: The engine.
        registry: Where its metrics are, to be rendered by whoever serves them.
    """

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        self.engine = engine
        self.registry = registry
        self._undo = ExitStack()

    def add(self, undo: ExitStack) -> None:
        """Take on how something more is taken off again."""
        self._undo.push(undo)

    def uninstrument(self) -> None:
        """Take it off again; what was counted stays in the registry."""
        self._undo.close()
        with _lock:
            if _instrumented.get(self.engine) is self:
                del _instrumented[self.engine]


logger = getLogger(__name__)

_lock: Final = threading.RLock()
_instrumented: Final[dict[Engine, Instrumentation]] = {}


def instrument(
    engine: Engine,
    *,
    registry: CollectorRegistry | None = None,
    namespace_metrics: bool = True,
    buckets: Mapping[str, Sequence[float]] | None = None,
    caps: LabelCaps | None = None,
    created: bool = False,
    meter_provider: MeterProvider | None = None,
    tracing: bool = True,
    **tracing_options: Unpack[TracingOptions],
) -> Instrumentation:
    """Count what an engine does, and trace its jobs once the application has a tracer provider.

    Args:
        engine: Once is enough; a second time adds spans, or OpenTelemetry's metrics, where they were not asked for
            before, and changes nothing else.
        registry: Where the metrics go, by default a registry of their own. Several engines may share one.
        namespace_metrics: Whether the registry also tells of the namespace as a whole, read from the broker at each
            scrape. With many workers leave that to one `spinach-ops exporter`.
        buckets: Upper edges in seconds by name of a histogram; the first engine of a registry decides.
        caps: How many label values are kept; likewise.
        created: Whether to expose `_created` samples; likewise.
        meter_provider: Where to record the messaging metrics of OpenTelemetry as well, when given.
        tracing: Whether to trace jobs. Without a provider that costs next to nothing.
        **tracing_options: Those of `spinach_ops.tracing.instrument_tracing`, such as `tracer_provider`.

    Returns:
        The registry, and the way to take all of it off again.

    Example:
        >>> engine = Engine(RedisBroker(), namespace="shop")
        >>> instrument(engine)
        >>> serve(engine, port=9850)
    """
    with _lock, ExitStack() as undo:  # should an option be wrong, nothing is left behind
        if tracing:
            undo.callback(_trace(engine, tracing_options))
        if meter_provider is not None:
            undo.callback(_measure(engine, meter_provider))
        known = _instrumented.get(engine)
        if known is None:
            from prometheus_client import CollectorRegistry

            registry = registry if registry is not None else CollectorRegistry()
            undo.callback(_count(engine, registry, buckets=buckets, caps=caps, created=created))
            if namespace_metrics:
                undo.callback(_read(engine, registry))
            known = _instrumented[engine] = Instrumentation(engine, registry)
        elif registry is not None and registry is not known.registry:
            logger.warning(
                "The engine of namespace %s is instrumented already, in another registry; that stays",
                engine.namespace,
                extra={"action": "instrumented_already"},
            )
        known.add(undo.pop_all())
        return known


def _measure(engine: Engine, meter_provider: MeterProvider) -> Callable[[], None]:
    from .metrics.otel import instrument_otel_metrics

    return instrument_otel_metrics(engine, meter_provider=meter_provider)


def _trace(engine: Engine, options: TracingOptions) -> Callable[[], None]:
    try:
        from .tracing import instrument_tracing
    except Exception as error:
        # OpenTelemetry reads its environment when it is imported: a variable for others must not keep jobs from running.
        if options:
            raise
        logger.warning(
            "Jobs are not traced: OpenTelemetry cannot be loaded (%s: %s)", type(error).__name__, error,
            extra={"action": "tracing_unavailable"},
        )  # fmt: skip
        return lambda: None
    return instrument_tracing(engine, **options)


def _count(
    engine: Engine,
    registry: CollectorRegistry,
    *,
    buckets: Mapping[str, Sequence[float]] | None,
    caps: LabelCaps | None,
    created: bool,
) -> Callable[[], None]:
    from .metrics.exemplars import current_exemplar
    from .metrics.registry import collectors_of

    collectors = collectors_of(registry, buckets=buckets, caps=caps, created=created)
    collectors.process.add(engine, exemplar_source=current_exemplar)
    return lambda: collectors.process.remove(engine)


def _read(engine: Engine, registry: CollectorRegistry) -> Callable[[], None]:
    from .metrics.registry import collectors_of

    return collectors_of(registry).read_namespace(engine)
