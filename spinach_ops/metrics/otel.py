"""The messaging metrics of OpenTelemetry, for those who collect them beside, or instead of, those of Prometheus.

Fed by the engine's hooks. Series are bounded: tasks, queues and error types beyond their caps are counted as one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from opentelemetry import metrics

from spinach import Engine, const
from spinach.brokers.error_text import qualified_name
from spinach.execution import Attempt
from spinach.hooks import OncePerEngine, Remover, Submission

from ..tracing.attributes import ERROR_TYPE, PROCESS, SCHEMA_URL, SEND, Attributes, Describer
from ..tracing.complaints import Complaints
from .catalog import OTHER
from .labels import Bounds, Caps

OPERATION_DURATION: Final = "messaging.client.operation.duration"
SENT_MESSAGES: Final = "messaging.client.sent.messages"
CONSUMED_MESSAGES: Final = "messaging.client.consumed.messages"
PROCESS_DURATION: Final = "messaging.process.duration"
# Those of the conventions, in seconds.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_OTHER_ERROR: Final = "_OTHER"  # as the conventions have it

_measured: Final = OncePerEngine()


def instrument_otel_metrics(
    engine: Engine, *, meter_provider: metrics.MeterProvider | None = None, caps: Caps | None = None
) -> Callable[[], None]:
    """Record the metrics of an engine's jobs. An engine that is measured already stays as it is.

    Args:
        engine: The engine.
        meter_provider: Where to record, by default the global one.
        caps: How many queues, tasks and error types are told apart: the others are counted as *other*.

    Returns:
        A function that ends it.
    """

    def install() -> list[Remover]:
        recorder = _Recorder(engine, meter_provider or metrics.get_meter_provider(), Bounds(caps))
        return [
            engine.wrap_enqueues(lambda jobs: _Sending(recorder, jobs)),
            engine.wrap_attempts(lambda attempt: _Processing(recorder, attempt)),
        ]

    return _measured.put_on(engine, install)


class _Recorder:
    """The instruments, and what is recorded with each value."""

    def __init__(self, engine: Engine, provider: metrics.MeterProvider, bounds: Bounds) -> None:
        self._complaints = Complaints()
        self._describer = Describer(engine.broker, None, self._complaints)
        self._namespace = engine.namespace
        self._bounds = bounds
        meter = provider.get_meter("spinach", const.VERSION, schema_url=SCHEMA_URL)
        self._operations = _histogram(meter, OPERATION_DURATION, "Duration of calls that schedule jobs.")
        self._processing = _histogram(meter, PROCESS_DURATION, "Duration of attempts at jobs.")
        self._sent = meter.create_counter(SENT_MESSAGES, "{message}", "Jobs that were to be scheduled.")
        self._consumed = meter.create_counter(CONSUMED_MESSAGES, "{message}", "Attempts at jobs.")

    def sent(self, jobs: Submission, seconds: float, error: BaseException | None) -> None:
        """Record a call that schedules."""
        try:
            counts: Counter[tuple[str, str]] = Counter()
            for (place, name), count in Counter((job.queue, job.task_name) for job in jobs).items():
                counts[self._bounds.pair(self._namespace, place, name)] += count
            queues, tasks = ({pair[position] for pair in counts} for position in (0, 1))
            queue, task = (names.pop() if len(names) == 1 else None for names in (queues, tasks))
            self._operations.record(seconds, self._attributes(SEND, task, queue, error))
            for (place, name), count in counts.items():
                self._sent.add(count, self._attributes(SEND, name, place, error))
        except Exception as failure:
            self._complaints.report("record metrics of scheduling", failure)

    def processed(self, attempt: Attempt) -> None:
        """Record an attempt that ended."""
        try:
            job, error = attempt.job, attempt.outcome.error if attempt.outcome else None
            queue, task = self._bounds.pair(self._namespace, job.queue, job.task_name)
            attributes = self._attributes(PROCESS, task, queue, error)
            self._processing.record(attempt.duration, attributes)
            self._consumed.add(1, attributes)
        except Exception as failure:
            self._complaints.report("record metrics of an attempt", failure)

    def _attributes(
        self, operation: str, task: str | None, queue: str | None, error: BaseException | None
    ) -> Attributes:
        attributes = self._describer.shared(operation, task, queue)
        if error is None:
            return attributes
        kind = self._bounds.error_type(qualified_name(type(error)))
        return {**attributes, ERROR_TYPE: _OTHER_ERROR if kind == OTHER else kind}


def _histogram(meter: metrics.Meter, name: str, description: str) -> metrics.Histogram:
    options: dict[str, Any] = {"unit": "s", "description": description}
    try:
        return meter.create_histogram(name, explicit_bucket_boundaries_advisory=BUCKETS, **options)
    except TypeError:  # older releases know no advice
        return meter.create_histogram(name, **options)


class _Sending:
    """Measures one call that schedules."""

    __slots__ = ("_began", "_jobs", "_recorder")

    def __init__(self, recorder: _Recorder, jobs: Submission) -> None:
        self._recorder = recorder
        self._jobs = jobs
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recorder.sent(self._jobs, time.perf_counter() - self._began, error)


class _Processing:
    """Measures one attempt; the engine took the time already."""

    __slots__ = ("_attempt", "_recorder")

    def __init__(self, recorder: _Recorder, attempt: Attempt) -> None:
        self._recorder = recorder
        self._attempt = attempt

    def __enter__(self) -> None:
        """Nothing happens before the end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recorder.processed(self._attempt)
