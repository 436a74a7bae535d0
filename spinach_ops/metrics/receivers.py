"""The receivers that turn signals into counts. They add numbers, and do no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any, Final

from prometheus_client import Counter, Histogram

from spinach import Engine, signals
from spinach.error_text import qualified_name
from spinach.exc import WorkerLost
from spinach.job import Job, JobStatus
from spinach.runtime.vitals import Vitals

from . import catalog
from .labels import LabelLimiter, sanitize_label

# One exemplar per series and second is as useful as a thousand, and cheaper.
_EXEMPLAR_SECONDS: Final = 1.0
# Names of queues and tasks whose series are cached; many names may share the series of `other`.
_MAX_CACHED: Final = 2000

ExemplarSource = Callable[[], "dict[str, str] | None"]


class Instruments:
    """The counters and histograms of one registry.

    Args:
        counters: By name in the catalog.
        histograms: By name in the catalog.
        limiter: Which label values keep their name.
    """

    def __init__(
        self, counters: Mapping[str, Counter], histograms: Mapping[str, Histogram], limiter: LabelLimiter
    ) -> None:
        self._counters = counters
        self._histograms = histograms
        self.limiter = limiter

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


class ExemplarHistogram:
    """A histogram of one label set that keeps at most one exemplar per second."""

    __slots__ = ("_exemplar_due", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._exemplar_due = 0.0

    def observe(self, seconds: float, exemplar_source: ExemplarSource | None) -> None:
        """Count a duration, with its exemplar if one is due."""
        exemplar = None
        if exemplar_source is not None and (exemplar := exemplar_source()) is not None:
            now = monotonic()
            if now < self._exemplar_due:
                exemplar = None
            else:
                self._exemplar_due = now + _EXEMPLAR_SECONDS
        self._histogram.observe(seconds, exemplar)


class TaskSeries:
    """The series of one task in one queue, cached because `labels()` takes four times as long as `inc()`."""

    __slots__ = (
        "duration", "failed", "lost", "promoted", "queued", "requeued", "retried", "started", "succeeded",
        "task", "wait", "waiting",
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
        self.duration = ExemplarHistogram(instruments.histogram(catalog.DURATION, *names))
        self.wait = ExemplarHistogram(instruments.histogram(catalog.QUEUE_WAIT, namespace, queue))


class NamespaceReceivers:
    """Receives the signals of one namespace, for all its engines: signals do not name the engine.

    Args:
        namespace: The namespace.
        instruments: What to count with.
        exemplar_source: Returns the ids of the trace an observation belongs to, or None.
    """

    def __init__(
        self, namespace: str, instruments: Instruments, exemplar_source: ExemplarSource | None
    ) -> None:
        self._sender = namespace
        self.namespace = sanitize_label(namespace)
        self._instruments = instruments
        self._exemplar_source = exemplar_source
        self._engines: list[Engine] = []
        self._series: dict[tuple[str, str], TaskSeries] = {}
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
        """The engines whose jobs are counted."""
        return tuple(self._engines)

    def add(self, engine: Engine) -> None:
        """Count the jobs of an engine, too."""
        if engine in self._engines:
            return
        self._engines.append(engine)
        self.create_series_of_attached_tasks()
        engine.broker.observe_requests(self._on_request)
        if len(self._engines) == 1:
            for signal, receiver in self._receivers:
                signal.connect(receiver, sender=self._sender, weak=False)

    def remove(self, engine: Engine) -> None:
        """Stop counting the jobs of an engine; after the last one, disconnect the receivers."""
        if engine not in self._engines:
            return
        self._engines.remove(engine)
        engine.broker.observe_requests(None)
        if not self._engines:
            for signal, receiver in self._receivers:
                signal.disconnect(receiver, sender=self._sender)

    def vitals(self) -> list[Vitals]:
        """Return the vitals of the engines whose workers run."""
        return [vitals for engine in self.engines if (vitals := engine.vitals) is not None]

    def create_series_of_attached_tasks(self) -> None:
        """Create the series of every attached task: a task that never ran is 0, not absent."""
        for engine in self.engines:
            for task in list(engine.tasks.values()):
                if (task.queue, task.name) not in self._series:
                    self._create_series(task.queue, task.name)

    def _series_of(self, job: Job) -> TaskSeries:
        return self._series.get((job.queue, job.task_name)) or self._create_series(job.queue, job.task_name)

    def _create_series(self, queue: str, task: str) -> TaskSeries:
        labels = self._instruments.limiter.pair(self.namespace, queue, task)
        series = self._series.get(labels) or TaskSeries(self._instruments, self.namespace, *labels)
        self._series[labels] = series
        if len(self._series) < _MAX_CACHED:
            self._series[queue, task] = series
        return series

    # --- receivers -----------------------------------------------------------------------------------------

    def _on_submitted(self, _: str, job: Job, **__: Any) -> None:
        if job.retries == 0:  # a retry is not a new job
            series = self._series_of(job)
            (series.queued if job.status is JobStatus.QUEUED else series.waiting).inc()

    def _on_promoted(self, _: str, job: Job, **__: Any) -> None:
        self._series_of(job).promoted.inc()

    def _on_started(self, _: str, job: Job, queue_wait: float, **__: Any) -> None:
        series = self._series_of(job)
        series.started.inc()
        series.wait.observe(queue_wait, self._exemplar_source)

    def _on_succeeded(self, _: str, job: Job, duration: float, **__: Any) -> None:
        series = self._series_of(job)
        series.succeeded.inc()
        series.duration.observe(duration, self._exemplar_source)

    def _on_retry(
        self, _: str, job: Job, err: BaseException, duration: float | None = None, **__: Any
    ) -> None:
        series = self._series_of(job)
        series.retried.inc()
        self._count_error(series, err, duration, "retried")

    def _on_failed(
        self, _: str, job: Job, err: BaseException, duration: float | None = None, **__: Any
    ) -> None:
        series = self._series_of(job)
        if isinstance(err, WorkerLost):
            series.lost.inc()
            return
        series.failed.inc()
        self._count_error(series, err, duration, "failed")

    def _count_error(
        self, series: TaskSeries, error: BaseException, duration: float | None, outcome: str
    ) -> None:
        kind = self._instruments.limiter.error_type(qualified_name(type(error)))
        self._instruments.counter(catalog.ERRORS, self.namespace, series.task, kind, outcome).inc()
        if duration is None:
            # The task is unknown and never ran: count the start that the broker counted with the claim.
            series.started.inc()
        else:
            series.duration.observe(duration, self._exemplar_source)

    def _on_recovered(self, _: str, job: Job, **__: Any) -> None:
        self._series_of(job).requeued.inc()

    def _on_receiver_failed(self, _: str, signal: str, **__: Any) -> None:
        self._instruments.counter(catalog.RECEIVER_ERRORS, self.namespace, signal).inc()

    def _on_request(self, operation: str, seconds: float, error: Exception | None) -> None:
        histogram = self._requests.get(operation)
        if histogram is None:
            label = self._instruments.limiter.operation(operation)
            histogram = self._instruments.histogram(catalog.REQUEST_DURATION, self.namespace, label)
            if label == operation:
                self._requests[operation] = histogram
        histogram.observe(seconds)
        if error is not None:
            limiter = self._instruments.limiter
            kind = limiter.error_type(qualified_name(type(error)))
            self._instruments.counter(
                catalog.BROKER_ERRORS, self.namespace, limiter.operation(operation), kind
            ).inc()
