"""OpenTelemetry tracing: spans around scheduling and attempts, tied together through the headers of jobs.

Never fails, reorders or loses a job: what a sampler, propagator, processor or exporter raises is logged once.
Never shuts down a provider: it belongs to the code that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import TracerProvider

from spinach import Engine
from spinach.hooks import OncePerEngine, Remover

from .attributes import AttributeBuilder, JobAttributes
from .consumer import AttemptTracer
from .errors import ErrorRecorder
from .failures import FailureLog
from .producer import SubmissionTracer
from .propagation import HeaderPropagator
from .settings import PropagationFunction, PropagationMode, SpanName, TracingSettings
from .spans import EngineTracing
from .tracers import TracerSource, suppress_instrumentation

if TYPE_CHECKING:
    from .samplers import LinkedSampler

__all__ = ["LinkedSampler", "instrument_tracing"]

_traced: Final = OncePerEngine()


def __getattr__(name: str) -> Any:
    # Samplers need the SDK, which reads the environment on import: load it only for an application that asks.
    if name == "LinkedSampler":
        from .samplers import LinkedSampler

        return LinkedSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def instrument_tracing(
    engine: Engine,
    *,
    tracer_provider: TracerProvider | None = None,
    propagation: PropagationMode | PropagationFunction = "auto",
    create_spans: bool = True,
    span_name: SpanName = "task",
    record_exceptions: bool = True,
    baggage: Sequence[str] = (),
    job_attributes: JobAttributes | None = None,
) -> Callable[[], None]:
    """Trace the jobs that an engine schedules and runs. An engine that is traced already is left unchanged.

    Args:
        engine: The engine; before or after its workers start.
        tracer_provider: Makes the spans. By default the global provider, which the application may set later.
            It is flushed when the workers stop, for at most 5 seconds, and never shut down.
        propagation: How an attempt is tied to the call that scheduled its job. ``"auto"``: the first
            attempt is a child if its job is due within 60 seconds and came alone or in a batch of up to 20
            jobs. Other attempts begin a trace of their own and link to that call. ``"child"``, ``"link"``
            and ``"none"`` treat all attempts alike. A function may return one of these for each job.
        create_spans: Whether each job of a batch of up to 128 jobs gets a span of its own.
        span_name: What span names end with: ``"task"``, or ``"destination"`` as in the conventions.
        record_exceptions: Whether spans record the messages and tracebacks of errors.
        baggage: Names of the baggage entries that travel with jobs; no other entry does.
        job_attributes: Returns more attributes for a job: the only way for arguments of jobs into spans.

    Returns:
        A function that removes the tracing. It does nothing if the engine was traced already.

    Raises:
        ValueError: an option has a value that is not allowed.

    Example:
        >>> remove = instrument_tracing(engine, baggage=("tenant",))
    """
    failures = FailureLog()
    settings = TracingSettings(failures, propagation, create_spans, span_name, record_exceptions, baggage)

    def install() -> list[Remover]:
        tracing = EngineTracing(
            tracers=TracerSource(tracer_provider, failures),
            attributes=AttributeBuilder(engine.broker, job_attributes, failures),
            propagator=HeaderPropagator(baggage, failures),
            settings=settings,
            errors=ErrorRecorder(record_exceptions, failures),
            failures=failures,
            clock=engine.broker.clock,
        )
        return [
            engine.wrap_enqueues(SubmissionTracer(tracing)),
            engine.wrap_attempts(AttemptTracer(tracing)),
            engine.wrap_services(suppress_instrumentation),
            engine.when_stopped(tracing.tracers.flush),
        ]

    return _traced.put_on(engine, install)
