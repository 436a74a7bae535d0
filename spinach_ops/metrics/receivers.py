"""The receivers that turn the signals of one engine into counts. They only add numbers, and never wait for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any, Final

from prometheus_client import Counter, Histogram

from spinach import Engine, signals
from spinach.exc import WorkerLost
from spinach.job import Job, JobStatus
from spinach.runtime.notifier import qualified_name
from spinach.runtime.vitals import Vitals

from . import catalog
from .labels import LabelLimiter, sanitize_label

# One per series and second tells as much as a thousand.
_EXEMPLAR_SECONDS: Final = 1.0
# Raw names that are remembered: many may be counted under one name that is kept.
_MAX_REMEMBERED: Final = 2000

Exemplar = Callable[[], "dict[str, str] | None"]


class Instruments:
    """What the watches of one registry count with.

    Args:
        counters: By name in the catalog.
        histograms: Likewise.
        bounds: Which label values are kept.
    """

    def __init__(
        self, counters: Mapping[str, Counter], histograms: Mapping[str, Histogram], bounds: LabelLimiter
    ) -> None:
        self._counters = counters
        self._histograms = histograms
        self.bounds = bounds

    def counter(self, metric: catalog.Metric, *labels: str) -> Counter:
        """Return the counter of a label set."""
        return self._counters[metric.name].labels(*labels)

    def histogram(self, metric: catalog.Metric, *labels: str) -> Histogram:
        """Return the histogram of a label set."""
        return self._histograms[metric.name].labels(*labels)

    def all(self) -> Iterator[Counter | Histogram]:
        """Yield all of them."""
        yield from self._counters.values()
        yield from self._histograms.values()


class Cells:
    """The counters and histograms of one task in one queue, found once and kept: a look-up costs four increments."""

    __slots__ = (
        "duration", "duration_trace_due", "failed", "lost", "promoted", "queued", "requeued", "retried", "started", "succeeded",
        "task", "wait", "wait_trace_due", "waiting",
    )  # fmt: skip

    def __init__(self, instruments: Instruments, namespace: str, queue: str, task: str) -> None:
        self.task = task
        names = (namespace, queue, task)
        count = instruments.counter
        self.queued = count(catalog.SUBMITTED, *names, "queued")
        self.waiting = count(catalog.SUBMITTED, *names, "waiting")
        self.promoted = count(catalog.PROMOTED, *names)
        self.started = count(catalog.STARTED, *names)
        self.succeeded = count(catalog.FINISHED, *names, "succeeded")
        self.retried = count(catalog.FINISHED, *names, "retried")
        self.failed = count(catalog.FINISHED, *names, "failed")
        self.requeued = count(catalog.RECOVERED, *names, "requeued")
        self.lost = count(catalog.RECOVERED, *names, "failed")
        self.duration = instruments.histogram(catalog.DURATION, *names)
        self.wait = instruments.histogram(catalog.QUEUE_WAIT, namespace, queue)
        self.duration_trace_due = 0.0
        self.wait_trace_due = 0.0

    def observe_wait(self, seconds: float, exemplar: Exemplar | None) -> None:
        """Count a wait, with its trace now and then."""
        trace = None
        if exemplar is not None and (trace := exemplar()) is not None:
            trace, self.wait_trace_due = _now_and_then(trace, self.wait_trace_due)
        self.wait.observe(seconds, trace)

    def observe_duration(self, seconds: float, exemplar: Exemplar | None) -> None:
        """Count a duration, with its trace now and then."""
        trace = None
        if exemplar is not None and (trace := exemplar()) is not None:
            trace, self.duration_trace_due = _now_and_then(trace, self.duration_trace_due)
        self.duration.observe(seconds, trace)


def _now_and_then(trace: dict[str, str], due: float) -> tuple[dict[str, str] | None, float]:
    """Return the trace if one is due again, and when the next one is."""
    now = monotonic()
    return (trace, now + _EXEMPLAR_SECONDS) if now >= due else (None, due)


class Watch:
    """Hears one namespace, for every engine of this process that serves it: signals tell no engines apart.

    Args:
        namespace: Whose signals.
        instruments: What to count with.
        exemplar: Returns the identity of the trace an observation belongs to, if any.
    """

    def __init__(self, namespace: str, instruments: Instruments, exemplar: Exemplar | None) -> None:
        self._name = namespace
        self.namespace = sanitize_label(namespace)
        self._instruments = instruments
        self._exemplar = exemplar
        self._engines: list[Engine] = []
        self._cells: dict[tuple[str, str], Cells] = {}
        self._requests: dict[str, Histogram] = {}
        self._receivers: tuple[tuple[signals.SafeNamedSignal, Callable[..., None]], ...] = (
            (signals.job_queued, self._on_submitted),
            (signals.job_waiting, self._on_submitted),
            (signals.job_promoted, self._on_promoted),
            (signals.job_started, self._on_started),
            (signals.job_succeeded, self._on_succeeded),
            (signals.job_schedule_retry, self._on_retry),
            (signals.job_failed, self._on_failed),
            (signals.job_recovered, self._on_recovered),
            (signals.receiver_failed, self._on_receiver_failed),
        )

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines it counts for."""
        return tuple(self._engines)

    def add(self, engine: Engine) -> None:
        """Count for an engine, too."""
        if engine in self._engines:
            return
        self._engines.append(engine)
        self.touch_attached_tasks()
        engine.broker.observe_requests(self._on_request)
        if len(self._engines) == 1:
            for signal, receiver in self._receivers:
                signal.connect(receiver, sender=self._name, weak=False)

    def remove(self, engine: Engine) -> None:
        """Count for an engine no more; once there is none left, listen no more."""
        if engine not in self._engines:
            return
        self._engines.remove(engine)
        engine.broker.observe_requests(None)
        if not self._engines:
            for signal, receiver in self._receivers:
                signal.disconnect(receiver, sender=self._name)

    def vitals(self) -> list[Vitals]:
        """Return how the workers of its engines fare."""
        return [vitals for engine in self.engines if (vitals := engine.vitals) is not None]

    def touch_attached_tasks(self) -> None:
        """Make the series of every attached task exist: what was never counted is 0, not unknown."""
        for engine in self.engines:
            for task in list(engine.tasks.values()):
                if (task.queue, task.name) not in self._cells:
                    self._find(task.queue, task.name)

    def _of(self, job: Job) -> Cells:
        return self._cells.get((job.queue, job.task_name)) or self._find(job.queue, job.task_name)

    def _find(self, queue: str, task: str) -> Cells:
        kept = self._instruments.bounds.pair(self.namespace, queue, task)
        cells = self._cells.get(kept) or Cells(self._instruments, self.namespace, *kept)
        self._cells[kept] = cells
        if len(self._cells) < _MAX_REMEMBERED:
            self._cells[queue, task] = cells
        return cells

    # --- receivers -----------------------------------------------------------------------------------------

    def _on_submitted(self, _: str, job: Job, **__: Any) -> None:
        if job.retries == 0:  # a retry is no new job
            cells = self._of(job)
            (cells.queued if job.status is JobStatus.QUEUED else cells.waiting).inc()

    def _on_promoted(self, _: str, job: Job, **__: Any) -> None:
        self._of(job).promoted.inc()

    def _on_started(self, _: str, job: Job, queue_wait: float, **__: Any) -> None:
        cells = self._of(job)
        cells.started.inc()
        cells.observe_wait(queue_wait, self._exemplar)

    def _on_succeeded(self, _: str, job: Job, duration: float, **__: Any) -> None:
        cells = self._of(job)
        cells.succeeded.inc()
        cells.observe_duration(duration, self._exemplar)

    def _on_retry(
        self, _: str, job: Job, err: BaseException, duration: float | None = None, **__: Any
    ) -> None:
        cells = self._of(job)
        cells.retried.inc()
        self._count_error(cells, err, duration, "retried")

    def _on_failed(
        self, _: str, job: Job, err: BaseException, duration: float | None = None, **__: Any
    ) -> None:
        cells = self._of(job)
        if isinstance(err, WorkerLost):
            cells.lost.inc()
            return
        cells.failed.inc()
        self._count_error(cells, err, duration, "failed")

    def _count_error(self, cells: Cells, error: BaseException, duration: float | None, outcome: str) -> None:
        kind = self._instruments.bounds.error_type(qualified_name(type(error)))
        self._instruments.counter(catalog.ERRORS, self.namespace, cells.task, kind, outcome).inc()
        if duration is None:
            # The task is unknown: the attempt began when the job was claimed, as the broker counts it, and never ran.
            cells.started.inc()
        else:
            cells.observe_duration(duration, self._exemplar)

    def _on_recovered(self, _: str, job: Job, **__: Any) -> None:
        self._of(job).requeued.inc()

    def _on_receiver_failed(self, _: str, signal: str, **__: Any) -> None:
        self._instruments.counter(catalog.RECEIVER_ERRORS, self.namespace, signal).inc()

    def _on_request(self, operation: str, seconds: float, error: Exception | None) -> None:
        histogram = self._requests.get(operation)
        if histogram is None:
            kept = self._instruments.bounds.operation(operation)
            histogram = self._instruments.histogram(catalog.REQUEST_DURATION, self.namespace, kept)
            if kept == operation:
                self._requests[operation] = histogram
        histogram.observe(seconds)
        if error is not None:
            bounds = self._instruments.bounds
            kind = bounds.error_type(qualified_name(type(error)))
            self._instruments.counter(
                catalog.BROKER_ERRORS, self.namespace, bounds.operation(operation), kind
            ).inc()
