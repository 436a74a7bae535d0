"""The process family of metrics: what one worker or client counts from the signals of its engines.

For a job that succeeds it only adds to numbers: no look-up of labels, no lock of its own, no I/O. If a
receiver fails, the signal logs it; the job goes on.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import InfoMetricFamily
from prometheus_client.core import Metric as Exposed

from spinach import Engine
from spinach.const import VERSION
from spinach.runtime.vitals import ServiceVitals, Vitals

from . import catalog
from .catalog import Metric
from .families import FamilyBuilder, describe
from .labels import LabelCaps, LabelLimiter
from .receivers import ExemplarSource, Instruments, NamespaceReceivers

STATES: Final = ("starting", "running", "quiet", "stopping")

_COUNTERS: Final = (
    catalog.SUBMITTED, catalog.PROMOTED, catalog.STARTED, catalog.FINISHED, catalog.ERRORS, catalog.RECOVERED,
    catalog.BROKER_ERRORS, catalog.RECEIVER_ERRORS,
)  # fmt: skip
_HISTOGRAMS: Final = (catalog.DURATION, catalog.QUEUE_WAIT, catalog.REQUEST_DURATION)

# The gauges of a worker, and where each value comes from.
_WORKER_GAUGES: Final[tuple[tuple[Metric, Callable[[Vitals], float]], ...]] = (
    (catalog.WORKER_SLOTS, lambda vitals: vitals.slots),
    (catalog.WORKER_SLOTS_BUSY, lambda vitals: vitals.busy),
    (catalog.WORKER_START_TIME, lambda vitals: vitals.started_at),
    (catalog.WORKER_HEARTBEAT, lambda vitals: vitals.heartbeat_at),
    (catalog.UNACKNOWLEDGED, lambda vitals: vitals.unacknowledged),
)


class ProcessCollector:
    """A collector for a registry: counts what the engines that were added to it do.

    Args:
        caps: How many label values keep their name.
        buckets: Upper edges in seconds by name of a histogram, in place of those in the catalog.
        created: Whether to expose the client library's `_created` samples, which Prometheus 2 stores as
            series.

    Raises:
        ValueError: `buckets` has a key that is not the name of a histogram of this family.
    """

    def __init__(
        self,
        *,
        caps: LabelCaps | None = None,
        buckets: Mapping[str, Sequence[float]] | None = None,
        created: bool = False,
    ) -> None:
        edges = dict(buckets or {})
        if unknown := edges.keys() - {metric.name for metric in _HISTOGRAMS}:
            raise ValueError(
                f"no histogram is called {', '.join(sorted(unknown))}; "
                f"there are {', '.join(metric.name for metric in _HISTOGRAMS)}"
            )
        self._limiter = LabelLimiter(caps)
        self._created = created
        counters = {
            metric.name: Counter(metric.name, metric.help, metric.labels, registry=None)
            for metric in _COUNTERS
        }
        histograms = {
            metric.name: Histogram(
                metric.name, metric.help, metric.labels, registry=None,
                buckets=edges.get(metric.name, metric.buckets),
            )
            for metric in _HISTOGRAMS
        }  # fmt: skip
        self._instruments = Instruments(counters, histograms, self._limiter)
        self._receivers: dict[str, NamespaceReceivers] = {}

    def add(self, engine: Engine, *, exemplar_source: ExemplarSource | None = None) -> None:
        """Count what an engine does from now on; an engine that is added twice counts once.

        Args:
            engine: The engine.
            exemplar_source: Returns the ids of the trace an observation belongs to, or None. That of the
                first engine of a namespace is used.
        """
        name = engine.namespace
        if name not in self._receivers:
            self._receivers[name] = NamespaceReceivers(name, self._instruments, exemplar_source)
        self._receivers[name].add(engine)

    def remove(self, engine: Engine) -> None:
        """Stop counting what an engine does; its counts stay."""
        if receivers := self._receivers.get(engine.namespace):
            receivers.remove(engine)

    # --- called by the client library -----------------------------------------------------

    def describe(self) -> Iterator[Exposed]:
        """Yield the families, without samples."""
        yield from describe("process")

    def collect(self) -> Iterator[Exposed]:
        """Yield the families as they are now."""
        namespaces = list(self._receivers.values())
        for each in namespaces:
            each.create_series_of_attached_tasks()
        for instrument in self._instruments.all():
            yield from map(self._without_created, instrument.collect())
        yield _build_info()
        families = FamilyBuilder()
        families.add(
            catalog.OVERFLOW, (((reason,), count) for reason, count in self._limiter.overflows.items())
        )
        _add_workers(
            families,
            [(each.namespace, combine_vitals(vitals)) for each in namespaces if (vitals := each.vitals())],
        )
        yield from families.build()

    def _without_created(self, family: Exposed) -> Exposed:
        if not self._created:
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        return family


def combine_vitals(vitals: Sequence[Vitals]) -> Vitals:
    """Return the vitals of several engines of one namespace as those of one process: the worst values."""
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


def _add_workers(families: FamilyBuilder, workers: Sequence[tuple[str, Vitals]]) -> None:
    for metric, read in _WORKER_GAUGES:
        families.add(metric, (((name,), read(vitals)) for name, vitals in workers))
    states = (((name, state), float(state == vitals.state)) for name, vitals in workers for state in STATES)
    families.add(catalog.WORKER_STATE, states)
    services = [((name, service.name), service) for name, vitals in workers for service in vitals.services]
    families.add(catalog.SERVICE_LAST_RUN, ((labels, service.last_run_at) for labels, service in services))
    families.add(catalog.SERVICE_FAILURES, ((labels, service.failures) for labels, service in services))


def _build_info() -> Exposed:
    family: Any = InfoMetricFamily(catalog.BUILD_INFO.base_name, catalog.BUILD_INFO.help)
    family.add_metric(
        (), {"version": VERSION, "python": platform.python_version(), "redis_client": _version_of("redis")}
    )
    return family  # type: ignore[no-any-return]


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # vendored or frozen: the version is unknown
        return "unknown"
