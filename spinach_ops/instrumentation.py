"""`instrument` makes an engine observable. Light to import: its first call loads what it needs.

It serves and sends nothing by itself: `serve` opens a port, and the application's tracer provider exports
spans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, TypedDict

from spinach.logger import SafeLogger

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
    """The options of `spinach_ops.tracing.instrument_tracing`, which documents them."""

    tracer_provider: TracerProvider | None
    propagation: PropagationMode | PropagationFunction
    create_spans: bool
    span_name: SpanName
    record_exceptions: bool
    baggage: Sequence[str]
    job_attributes: JobAttributes | None


class Instrumentation:
    """The instrumentation of one engine, as `instrument` returns it.

    Attributes:
        engine: The engine.
        registry: The registry with its metrics, for the application's own `/metrics` page.
    """

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        self.engine = engine
        self.registry = registry
        self._undo = ExitStack()

    def add(self, undo: ExitStack) -> None:
        """Add something that `uninstrument` must also remove.

        Args:
            undo: Removes it when it is closed.
        """
        self._undo.push(undo)

    def uninstrument(self) -> None:
        """Remove the instrumentation; the registry keeps what was counted. A second call does nothing."""
        self._undo.close()
        with _lock:
            if _instrumented.get(self.engine) is self:
                del _instrumented[self.engine]


logger = SafeLogger(__name__)

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
        engine: The engine. A second call for it adds tracing, or OpenTelemetry metrics, if the first call
            did not, and changes nothing else.
        registry: The registry for the metrics, by default a new one. Several engines may share one.
        namespace_metrics: Whether each scrape of the registry also reads the whole namespace from the
            broker. With many workers, pass False and run one `spinach-ops exporter`.
        buckets: Upper edges in seconds by name of a histogram, such as
            ``{"spinach_job_duration_seconds": (1, 10, 60)}``. The first engine of a registry decides.
        caps: How many queues, tasks and error types have series of their own
            (`spinach_ops.metrics.labels.LabelCaps`). The first engine of a registry decides.
        created: Whether to expose `_created` samples. The first engine of a registry decides.
        meter_provider: If given, record the messaging metrics of OpenTelemetry there as well.
        tracing: Whether to trace jobs. Without a tracer provider this costs about a microsecond per job.
        **tracing_options: Options of `spinach_ops.tracing.instrument_tracing`, such as `tracer_provider`.

    Returns:
        The registry, and the way to remove all of it.

    Raises:
        ValueError: an option has a value that is not allowed, or the registry holds a metric of the same
        name.

    Example:
        >>> engine = Engine(RedisBroker(), namespace="shop")
        >>> instrument(engine)
        >>> serve(engine, port=9850)
    """
    with _lock, ExitStack() as undo:  # if an option is wrong, what was installed before is removed
        if tracing:
            undo.callback(_trace(engine, tracing_options))
        if meter_provider is not None:
            undo.callback(_record_otel_metrics(engine, meter_provider))
        existing = _instrumented.get(engine)
        if existing is None:
            from prometheus_client import CollectorRegistry

            from .metrics.multiprocess import make_multiprocess_folder

            make_multiprocess_folder()
            registry = registry if registry is not None else CollectorRegistry()
            undo.callback(_count(engine, registry, buckets=buckets, caps=caps, created=created))
            if namespace_metrics:
                undo.callback(_read_namespace(engine, registry))
            existing = _instrumented[engine] = Instrumentation(engine, registry)
        elif registry is not None and registry is not existing.registry:
            logger.warning(
                "The engine of namespace %s keeps its registry; the one given now is ignored",
                engine.namespace,
                extra={"action": "instrumented_already"},
            )
        existing.add(undo.pop_all())
        return existing


def _record_otel_metrics(engine: Engine, meter_provider: MeterProvider) -> Callable[[], None]:
    from .metrics.otel import instrument_otel_metrics

    return instrument_otel_metrics(engine, meter_provider=meter_provider)


def _trace(engine: Engine, options: TracingOptions) -> Callable[[], None]:
    try:
        from .tracing import instrument_tracing
    except Exception as error:
        # OpenTelemetry reads its environment on import: a bad variable of another library must not stop jobs.
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

    process = collectors_of(registry, buckets=buckets, caps=caps, created=created).process
    process.add(engine, exemplar_source=current_exemplar)
    return lambda: process.remove(engine)


def _read_namespace(engine: Engine, registry: CollectorRegistry) -> Callable[[], None]:
    from .metrics.registry import collectors_of

    return collectors_of(registry).read_namespace(engine)
