"""OpenTelemetry tracing: spans around scheduling and around attempts, tied together through the headers of jobs.

Never fails, reorders or loses a job: what a sampler, propagator, processor or exporter raises is told once and
forgotten. Never shuts down a provider: it belongs to who made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.trace import TracerProvider

from spinach import Engine
from spinach.hooks import OncePerEngine, Remover

from .attributes import Describer, JobAttributes
from .complaints import Complaints
from .consumer import AttemptTracer
from .errors import ErrorRecorder
from .producer import SubmissionTracer
from .propagation import Propagation
from .samplers import LinkedSampler
from .settings import Decide, Propagate, Settings, SpanName
from .shared import Shared
from .tracers import Tracers, suppressed

__all__ = ["LinkedSampler", "instrument_tracing"]

_traced: Final = OncePerEngine()


def instrument_tracing(
    engine: Engine,
    *,
    tracer_provider: TracerProvider | None = None,
    propagation: Propagate | Decide = "auto",
    create_spans: bool = True,
    span_name: SpanName = "task",
    record_exceptions: bool = True,
    baggage: Sequence[str] = (),
    job_attributes: JobAttributes | None = None,
) -> Callable[[], None]:
    """Trace the jobs that an engine schedules and runs. An engine that is traced already stays as it is.

    Args:
        engine: The engine; before or after its workers are started.
        tracer_provider: Makes the spans; by default the global one, whenever that is set. It is flushed when the
            workers stop, for at most 5 seconds, and never shut down.
        propagation: How an attempt is tied to what scheduled its job. *auto*: the first attempt of a job that is due
            within a minute and came alone, or in a batch of up to 20, is a child; others begin a trace of their own and
            link to it. *child*, *link* and *none* do the same for all. Or a function of a job that returns one of these.
        create_spans: Whether each job of a batch (up to 128) has a span of its own.
        span_name: What names of spans end with: the *task*, or the *destination*, as the conventions have it.
        record_exceptions: Whether messages and tracebacks of errors are recorded.
        baggage: Names of baggage that travels with jobs; all else stays behind.
        job_attributes: Returns further attributes for a job: the only way for its arguments to get into a span.

    Returns:
        A function that takes the tracing away again; one that does nothing where the engine was traced already.

    Raises:
        ValueError: an option has no such value.

    Example:
        >>> remove = instrument_tracing(engine, baggage=("tenant",))
    """
    complaints = Complaints()
    settings = Settings(complaints, propagation, create_spans, span_name, record_exceptions, baggage)

    def install() -> list[Remover]:
        shared = Shared(
            tracers=Tracers(tracer_provider, complaints),
            describer=Describer(engine.broker, job_attributes, complaints),
            propagation=Propagation(baggage, complaints),
            settings=settings,
            errors=ErrorRecorder(record_exceptions, complaints),
            complaints=complaints,
        )
        return [
            engine.wrap_enqueues(SubmissionTracer(shared, engine.broker.clock)),
            engine.wrap_attempts(AttemptTracer(shared)),
            engine.wrap_services(suppressed),
            engine.when_stopped(shared.tracers.flush),
        ]

    return _traced.put_on(engine, install)
