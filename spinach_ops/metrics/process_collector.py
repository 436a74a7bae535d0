"""The process family of metrics: what one worker or client counts from the signals of its engines.

On the path of a job it only adds to numbers: no look-up of labels, no clock, no lock of its own, no I/O. Whatever
fails here is the signal's to log; it never touches a job.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.core import Metric as Exposed

from spinach import Engine
from spinach.const import VERSION
from spinach.runtime.vitals import ServiceVitals, Vitals

from . import catalog
from .catalog import Metric
from .labels import LabelCaps, LabelLimiter
from .receivers import Instruments, Watch

STATES: Final = ("starting", "running", "quiet", "stopping")

_COUNTED: Final = (
    catalog.SUBMITTED, catalog.PROMOTED, catalog.STARTED, catalog.FINISHED, catalog.ERRORS, catalog.RECOVERED,
    catalog.BROKER_ERRORS, catalog.RECEIVER_ERRORS,
)  # fmt: skip
_OBSERVED: Final = (catalog.DURATION, catalog.QUEUE_WAIT, catalog.REQUEST_DURATION)

# A gauge of a worker, and where it comes from.
_OF_WORKER: Final[tuple[tuple[Metric, Callable[[Vitals], float]], ...]] = (
    (catalog.WORKER_SLOTS, lambda vitals: vitals.slots),
    (catalog.WORKER_SLOTS_BUSY, lambda vitals: vitals.busy),
    (catalog.WORKER_START_TIME, lambda vitals: vitals.started_at),
    (catalog.WORKER_HEARTBEAT, lambda vitals: vitals.heartbeat_at),
    (catalog.UNACKNOWLEDGED, lambda vitals: vitals.unacknowledged),
)


class ProcessMetrics:
    """A collector for a registry: counts for every engine that it watches.

    Args:
        caps: How many label values are kept.
        buckets: Upper edges in seconds by name of a histogram, in place of those in the catalog.
        created: Whether to expose the `_created` samples of the client library, which Prometheus 2 stores as series.

    Raises:
        ValueError: `buckets` names something that is no histogram of this family.
    """

    def __init__(
        self,
        *,
        caps: LabelCaps | None = None,
        buckets: Mapping[str, Sequence[float]] | None = None,
        created: bool = False,
    ) -> None:
        edges = dict(buckets or {})
        if unknown := edges.keys() - {metric.name for metric in _OBSERVED}:
            raise ValueError(
                f"no histogram is called {', '.join(sorted(unknown))}; "
                f"there are {', '.join(metric.name for metric in _OBSERVED)}"
            )
        self._bounds = LabelLimiter(caps)
        self._created = created
        counters = {
            metric.name: Counter(metric.name, metric.help, metric.labels, registry=None)
            for metric in _COUNTED
        }
        histograms = {
            metric.name: Histogram(
                metric.name, metric.help, metric.labels, registry=None, buckets=edges.get(metric.name, metric.buckets)
            )
            for metric in _OBSERVED
        }  # fmt: skip
        self._instruments = Instruments(counters, histograms, self._bounds)
        self._watches: dict[str, Watch] = {}

    def watch(self, engine: Engine, *, exemplar: Callable[[], dict[str, str] | None] | None = None) -> None:
        """Count what an engine does from now on; the same engine twice counts once.

        Args:
            engine: Whose namespace's signals to hear.
            exemplar: Returns the identity of the trace an observation belongs to, if any; the first engine of a
                namespace decides.
        """
        name = engine.namespace
        if name not in self._watches:
            self._watches[name] = Watch(name, self._instruments, exemplar)
        self._watches[name].add(engine)

    def forget(self, engine: Engine) -> None:
        """Count no more for an engine; what was counted stays."""
        if watch := self._watches.get(engine.namespace):
            watch.remove(engine)

    # --- the client library's contract of collectors -----------------------------------------------------

    def describe(self) -> Iterator[Exposed]:
        """Yield the families, without samples."""
        for metric in catalog.METRICS:
            if metric.family == "process":
                yield Exposed(metric.base_name, metric.help, metric.kind)

    def collect(self) -> Iterator[Exposed]:
        """Yield the families as they are now."""
        watches = list(self._watches.values())
        for watch in watches:
            watch.touch_attached_tasks()
        for instrument in self._instruments.all():
            yield from map(self._trimmed, instrument.collect())
        yield self._overflow()
        yield _build_info()
        fares = [(watch.namespace, combined(vitals)) for watch in watches if (vitals := watch.vitals())]
        yield from _of_workers(fares)

    def _trimmed(self, family: Exposed) -> Exposed:
        if not self._created:
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        return family

    def _overflow(self) -> Exposed:
        family = CounterMetricFamily(catalog.OVERFLOW.base_name, catalog.OVERFLOW.help, labels=("reason",))
        for reason, count in sorted(self._bounds.overflows.items()):
            family.add_metric((reason,), count)
        return family


def combined(vitals: Sequence[Vitals]) -> Vitals:
    """Return the vitals of several engines of one namespace as those of one process: the worst of each."""
    if len(vitals) == 1:
        return vitals[0]
    services: dict[str, ServiceVitals] = {}
    for service in (service for each in vitals for service in each.services):
        other = services.get(service.name, service)
        services[service.name] = replace(
            service,
            last_run_at=min(service.last_run_at, other.last_run_at),
            failures=service.failures + (other.failures if other is not service else 0),
        )
    return replace(
        max(vitals, key=lambda one: STATES.index(one.state)),
        slots=sum(one.slots for one in vitals),
        busy=sum(one.busy for one in vitals),
        started_at=min(one.started_at for one in vitals),
        heartbeat_at=min(one.heartbeat_at for one in vitals),
        unacknowledged=sum(one.unacknowledged for one in vitals),
        services=tuple(services.values()),
    )


def _of_workers(fares: Iterable[tuple[str, Vitals]]) -> Iterator[Exposed]:
    fares = list(fares)
    for metric, read in _OF_WORKER:
        yield _gauge(metric, (((namespace,), read(vitals)) for namespace, vitals in fares))
    yield _gauge(
        catalog.WORKER_STATE,
        (
            ((namespace, state), float(state == vitals.state))
            for namespace, vitals in fares
            for state in STATES
        ),
    )
    services = [(namespace, service) for namespace, vitals in fares for service in vitals.services]
    yield _gauge(
        catalog.SERVICE_LAST_RUN,
        (((namespace, service.name), service.last_run_at) for namespace, service in services),
    )
    failures = catalog.SERVICE_FAILURES
    family = CounterMetricFamily(failures.base_name, failures.help, labels=failures.labels)
    for namespace, service in services:
        family.add_metric((namespace, service.name), service.failures)
    yield family


def _gauge(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> Exposed:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _build_info() -> Exposed:
    family: Any = InfoMetricFamily(catalog.BUILD_INFO.base_name, catalog.BUILD_INFO.help)
    family.add_metric(
        (), {"version": VERSION, "python": platform.python_version(), "redis_client": _version_of("redis")}
    )
    return family  # type: ignore[no-any-return]


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # vendored or frozen: then nobody knows
        return "unknown"
