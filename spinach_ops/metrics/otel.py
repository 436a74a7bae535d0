"""The messaging metrics of OpenTelemetry, for applications that collect them beside or without Prometheus.

Recorded by the engine's hooks; never raises into a job. Tasks, queues and error types beyond their caps
count as one, so that series are bounded.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import metrics

from spinach import Engine, const
from spinach.error_text import qualified_name
from spinach.execution import Attempt
from spinach.hooks import OncePerEngine, Remover, Submission

from ..tracing.attributes import ERROR_TYPE, PROCESS, SCHEMA_URL, SEND, AttributeBuilder, Attributes
from ..tracing.failures import FailureLog, Guarded, Observer
from .catalog import OTHER
from .labels import LabelCaps, LabelLimiter

OPERATION_DURATION: Final = "messaging.client.operation.duration"
SENT_MESSAGES: Final = "messaging.client.sent.messages"
CONSUMED_MESSAGES: Final = "messaging.client.consumed.messages"
PROCESS_DURATION: Final = "messaging.process.duration"
# Bucket edges of the conventions, in seconds.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_OTHER_ERROR: Final = "_OTHER"  # the name that the conventions prescribe

_measured: Final = OncePerEngine()


def instrument_otel_metrics(
    engine: Engine, *, meter_provider: metrics.MeterProvider | None = None, caps: LabelCaps | None = None
) -> Callable[[], None]:
    """Record the messaging metrics of an engine's jobs. An engine that is measured already is left unchanged.

    Args:
        engine: The engine.
        meter_provider: Where to record, by default the global provider.
        caps: How many queues, tasks and error types have series of their own; the others count as *other*.

    Returns:
        A function that removes the metrics. It does nothing if the engine was measured already.

    Example:
        >>> remove = instrument_otel_metrics(engine, meter_provider=provider)
    """

    def install() -> list[Remover]:
        recorder = _Recorder(engine, meter_provider or metrics.get_meter_provider(), LabelLimiter(caps))
        return [
            engine.wrap_enqueues(lambda jobs: _MeasuredSubmission(recorder, jobs)),
            engine.wrap_attempts(lambda attempt: _MeasuredAttempt(recorder, attempt)),
        ]

    return _measured.put_on(engine, install)


class _Recorder(Observer):
    """The instruments, and the attributes that each value is recorded with."""

    observation = "messaging metrics"

    def __init__(self, engine: Engine, provider: metrics.MeterProvider, limiter: LabelLimiter) -> None:
        self.failures = FailureLog()
        self._builder = AttributeBuilder(engine.broker, None, self.failures)
        self._namespace = engine.namespace
        self._limiter = limiter
        meter = provider.get_meter("spinach", const.VERSION, schema_url=SCHEMA_URL)
        self._operations = _histogram(meter, OPERATION_DURATION, "Duration of calls that schedule jobs.")
        self._processing = _histogram(meter, PROCESS_DURATION, "Duration of attempts at jobs.")
        self._sent = meter.create_counter(SENT_MESSAGES, "{message}", "Jobs that were to be scheduled.")
        self._consumed = meter.create_counter(CONSUMED_MESSAGES, "{message}", "Attempts at jobs.")

    def record_submission(self, jobs: Submission, seconds: float, error: BaseException | None) -> None:
        """Record a call that schedules."""
        counts: Counter[tuple[str, str]] = Counter()
        for (queue, task), count in Counter((job.queue, job.task_name) for job in jobs).items():
            counts[self._limiter.pair(self._namespace, queue, task)] += count
        queues, tasks = ({pair[position] for pair in counts} for position in (0, 1))
        one_queue, one_task = (names.pop() if len(names) == 1 else None for names in (queues, tasks))
        self._operations.record(seconds, self._attributes(SEND, one_task, one_queue, error))
        for (queue, task), count in counts.items():
            self._sent.add(count, self._attributes(SEND, task, queue, error))

    def record_attempt(self, attempt: Attempt) -> None:
        """Record an attempt that ended."""
        job, error = attempt.job, attempt.outcome.error if attempt.outcome else None
        queue, task = self._limiter.pair(self._namespace, job.queue, job.task_name)
        attributes = self._attributes(PROCESS, task, queue, error)
        self._processing.record(attempt.duration, attributes)
        self._consumed.add(1, attributes)

    def _attributes(
        self, operation: str, task: str | None, queue: str | None, error: BaseException | None
    ) -> Attributes:
        attributes = self._builder.for_task(operation, task, queue)
        if error is None:
            return attributes
        kind = self._limiter.error_type(qualified_name(type(error)))
        return {**attributes, ERROR_TYPE: _OTHER_ERROR if kind == OTHER else kind}


def _histogram(meter: metrics.Meter, name: str, description: str) -> metrics.Histogram:
    options: dict[str, Any] = {"unit": "s", "description": description}
    try:
        return meter.create_histogram(name, explicit_bucket_boundaries_advisory=BUCKETS, **options)
    except TypeError:  # older releases do not take bucket edges
        return meter.create_histogram(name, **options)


@dataclass(slots=True)
class _MeasuredSubmission(Guarded):
    """Measures one call that schedules."""

    _observer: _Recorder
    _jobs: Submission
    _began: float = 0.0

    def begin(self) -> None:
        """Note the time."""
        self._began = time.perf_counter()

    def end(self, error: BaseException | None) -> None:
        """Record the call."""
        self._observer.record_submission(self._jobs, time.perf_counter() - self._began, error)


@dataclass(slots=True)
class _MeasuredAttempt(Guarded):
    """Records one attempt; the engine measured it already."""

    _observer: _Recorder
    _attempt: Attempt

    def end(self, _error: BaseException | None) -> None:
        """Record the attempt."""
        self._observer.record_attempt(self._attempt)
