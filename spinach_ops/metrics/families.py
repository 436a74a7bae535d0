"""Builds families of metrics, those of a namespace from a snapshot. Pure.

What the snapshot could not read is absent, never stale or guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Exposed
from prometheus_client.utils import floatToGoString

from spinach.stats import COUNTERS, HISTOGRAM_EDGES, STATES, HistogramStats, NamespaceSnapshot, WorkerStats

from . import catalog
from .catalog import Metric
from .labels import LabelLimiter, sanitize_label
from .monotonic import MonotonicCounters

UPSTREAM: Final = "upstream"
_MAX_VERSIONS: Final = 20
_MAX_WORKER_SERIES: Final = 200
# Series that exist at 0 for every task that was ever counted; the others only after they happened.
_ALWAYS: Final = ("enqueued", "started", "succeeded", "retried", "failed", "recovered")

Labels = tuple[str, ...]
Sample = tuple[Labels, float | None]

_KINDS: Final[dict[str, Callable[..., Any]]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


class FamilyBuilder:
    """Collects samples by metric, so that several namespaces share families."""

    def __init__(self) -> None:
        self._families: dict[str, Any] = {}
        self._taken: set[tuple[str, Labels]] = set()

    def add(self, metric: Metric, samples: Iterable[Sample]) -> None:
        """Add samples; a sample whose value is None is unknown and stays absent.

        Of two samples with the same labels the first stays: Prometheus refuses a page with both.
        """
        family = self._family(metric)
        for labels, value in samples:
            if value is not None and (metric.name, labels) not in self._taken:
                self._taken.add((metric.name, labels))
                family.add_metric(labels, value)

    def add_histogram(self, metric: Metric, labels: Labels, stats: HistogramStats) -> None:
        """Add a histogram, unless one has these labels already."""
        if (metric.name, labels) in self._taken:
            return
        self._taken.add((metric.name, labels))
        edges = [*map(floatToGoString, HISTOGRAM_EDGES), "+Inf"]
        counts = accumulate(stats.buckets)
        self._family(metric).add_metric(labels, list(zip(edges, counts, strict=True)), stats.total_seconds)

    def build(self) -> list[Exposed]:
        """Return the families, in the catalog's order."""
        return [self._families[metric.name] for metric in catalog.METRICS if metric.name in self._families]

    def _family(self, metric: Metric) -> Any:
        if metric.name not in self._families:
            make = _KINDS[metric.kind]
            self._families[metric.name] = make(metric.base_name, metric.help, labels=metric.labels)
        return self._families[metric.name]


def describe(family: catalog.Family) -> Iterator[Exposed]:
    """Yield the metrics of a family, without samples."""
    for metric in catalog.METRICS:
        if metric.family == family:
            yield Exposed(metric.base_name, metric.help, metric.kind)


def add_snapshot(
    families: FamilyBuilder,
    snapshot: NamespaceSnapshot,
    limiter: LabelLimiter,
    monotonic: MonotonicCounters,
    *,
    per_worker: bool = False,
) -> None:
    """Add everything that a snapshot says.

    Args:
        families: What to add to.
        snapshot: What was read.
        limiter: Which names counters and histograms keep. The same object at each scrape, or they decrease.
        monotonic: What the last scrape showed. The same object at each scrape.
        per_worker: Whether to add a series per worker.
    """
    name = sanitize_label(snapshot.namespace)
    _add_counts(families, name, snapshot, limiter, monotonic)
    _add_totals(families, name, snapshot, are_folded=bool(limiter.overflows))
    _add_queues(families, name, snapshot)
    _add_workers(families, name, snapshot)
    if per_worker:
        _add_each_worker(families, name, snapshot.workers)
    _add_tasks(families, name, snapshot)
    _add_server(families, name, snapshot)


def _add_totals(families: FamilyBuilder, name: str, snapshot: NamespaceSnapshot, *, are_folded: bool) -> None:
    readable = snapshot.running is not None
    versions_known = readable and _versions_are_known(snapshot)
    slots, busy = _slots(snapshot)
    for metric, value in (
        (catalog.SCHEDULED, snapshot.scheduled),
        (catalog.OVERDUE, snapshot.overdue),
        (catalog.OVERDUE_AGE, snapshot.overdue_seconds),
        (catalog.RUNNING, snapshot.running),
        (catalog.ORPHANED, snapshot.orphaned if readable else None),
        (catalog.CONNECTED, snapshot.connected),
        (catalog.DEAD_LETTERS, snapshot.failed),
        (catalog.DEAD_LETTERS_TRIMMED, snapshot.trimmed),
        (catalog.COUNTERS_EXACT, float(snapshot.exact) if versions_known else None),
        (catalog.SLOTS, slots),
        (catalog.SLOTS_BUSY, busy),
        (catalog.REDIS_UP, 1.0),
        (catalog.SNAPSHOT_DURATION, snapshot.costs.seconds),
        (catalog.SNAPSHOT_ROUND_TRIPS, snapshot.costs.round_trips),
        (catalog.SNAPSHOT_COMMANDS, snapshot.costs.commands),
        (catalog.SNAPSHOT_TIMESTAMP, snapshot.at),
    ):
        families.add(metric, [((name,), value)])
    cut = {*snapshot.truncated, *(("tasks",) if are_folded else ())}
    families.add(
        catalog.SNAPSHOT_TRUNCATED, [((name, what), float(what in cut)) for what in catalog.TRUNCATED_REASONS]
    )


def _versions_are_known(snapshot: NamespaceSnapshot) -> bool:
    """Return whether every worker's record could be read: an unreadable one may have any version."""
    return all(worker.info.details for worker in snapshot.workers)


def _live(snapshot: NamespaceSnapshot) -> list[WorkerStats]:
    return [worker for worker in snapshot.workers if worker.state == "live"]


def _slots(snapshot: NamespaceSnapshot) -> tuple[int | None, int | None]:
    """Return slots and busy slots, or None: a worker of the published package reports neither."""
    if not snapshot.exact:
        return None, None
    live = _live(snapshot)
    busy = sum(min(worker.running or 0, worker.slots or 0) for worker in live)
    return sum(worker.slots or 0 for worker in live), busy


def _add_queues(families: FamilyBuilder, name: str, snapshot: NamespaceSnapshot) -> None:
    queues = [((name, sanitize_label(queue.name)), queue) for queue in snapshot.queues]
    families.add(catalog.QUEUE_DEPTH, ((labels, queue.depth) for labels, queue in queues))
    families.add(catalog.QUEUE_OLDEST, ((labels, queue.oldest_seconds) for labels, queue in queues))
    families.add(catalog.QUEUE_PAUSED, ((labels, float(queue.paused)) for labels, queue in queues))
    if not snapshot.exact:  # a worker of the published package does not say which queues it serves
        return
    oldest = _oldest_running(snapshot)
    families.add(catalog.RUNNING_OLDEST, ((labels, oldest.get(queue.name, 0.0)) for labels, queue in queues))
    live = _live(snapshot)
    for labels, queue in queues:
        serving = [worker for worker in live if queue.name in worker.queues]
        families.add(catalog.QUEUE_WORKERS, [(labels, len(serving))])
        slots = sum(worker.slots or 0 for worker in serving)
        families.add(catalog.QUEUE_REACHABLE_SLOTS, [(labels, slots)])


def _oldest_running(snapshot: NamespaceSnapshot) -> dict[str, float]:
    """Return per queue for how many seconds its job that runs for longest has run."""
    oldest: dict[str, float] = {}
    for worker in snapshot.workers:
        for job in worker.longest if worker.state != "dead" else ():
            oldest[job.queue] = max(oldest.get(job.queue, 0.0), snapshot.at - job.started_at)
    return oldest


def _add_workers(families: FamilyBuilder, name: str, snapshot: NamespaceSnapshot) -> None:
    if snapshot.running is None:  # the records of workers could not be read
        return
    states = Counter(worker.state for worker in snapshot.workers)
    families.add(catalog.WORKERS, (((name, state), states[state]) for state in STATES))
    ages = [worker.seen_seconds for worker in snapshot.workers]
    families.add(catalog.HEARTBEAT_AGE_MAX, [((name,), max(ages, default=0.0))])
    if not _versions_are_known(snapshot):
        return
    versions = Counter(sanitize_label(worker.info.version or UPSTREAM) for worker in snapshot.workers)
    kept = dict(versions.most_common(_MAX_VERSIONS))
    rest = versions.total() - sum(kept.values())
    if rest:
        kept[catalog.OTHER] = kept.get(catalog.OTHER, 0) + rest
    families.add(catalog.BY_VERSION, (((name, version), count) for version, count in sorted(kept.items())))


def _add_each_worker(families: FamilyBuilder, name: str, workers: Iterable[WorkerStats]) -> None:
    newest = sorted(workers, key=lambda worker: worker.seen_seconds)[:_MAX_WORKER_SERIES]
    families.add(
        catalog.HEARTBEAT_AGE,
        (((name, sanitize_label(worker.info.id)), worker.seen_seconds) for worker in newest),
    )


def _add_counts(
    families: FamilyBuilder,
    name: str,
    snapshot: NamespaceSnapshot,
    limiter: LabelLimiter,
    monotonic: MonotonicCounters,
) -> None:
    if snapshot.counters is not None:
        families.add(catalog.FLEET_JOBS, _fleet_jobs(name, snapshot.counters, limiter, monotonic))
    if snapshot.workers_lost is not None:
        lost = dict.fromkeys(catalog.LOST_REASONS, 0) | dict(snapshot.workers_lost)
        families.add(
            catalog.WORKERS_LOST, (((name, sanitize_label(reason)), count) for reason, count in lost.items())
        )
    for metric, histograms in ((catalog.FLEET_WAIT, snapshot.waits), (catalog.FLEET_DURATION, snapshot.runs)):
        for queue, stats in _by_queue(histograms or {}, limiter).items():
            families.add_histogram(metric, (name, queue), stats)


def _fleet_jobs(
    name: str,
    counters: Mapping[tuple[str, str, str], int],
    limiter: LabelLimiter,
    monotonic: MonotonicCounters,
) -> Iterator[Sample]:
    totals: dict[tuple[str, str], Counter[str]] = {}
    for (queue, task, counter), count in sorted(counters.items()):
        if queue or task:
            totals.setdefault(limiter.pair(name, queue, task), Counter())[counter] += count
    for (queue, task), found in sorted(totals.items()):
        shown = monotonic.update((name, queue, task), found)
        for counter in COUNTERS:
            if counter in _ALWAYS or counter in shown:
                yield (name, queue, task, counter), shown.get(counter, 0)


def _by_queue(histograms: Mapping[str, HistogramStats], limiter: LabelLimiter) -> dict[str, HistogramStats]:
    """Return histograms by the label of their queue; those that share a label are added up."""
    found: dict[str, HistogramStats] = {}
    for queue, stats in sorted(histograms.items()):
        label = limiter.queue(queue)
        other = found.get(label)
        if other is not None:
            buckets = tuple(a + b for a, b in zip(other.buckets, stats.buckets, strict=True))
            stats = HistogramStats(buckets, other.total_seconds + stats.total_seconds)  # noqa: PLW2901
        found[label] = stats
    return found


def _add_tasks(families: FamilyBuilder, name: str, snapshot: NamespaceSnapshot) -> None:
    periodic = [((name, sanitize_label(task.task_name)), task) for task in snapshot.periodic or ()]
    families.add(catalog.PERIODIC_PERIOD, ((labels, task.period_seconds) for labels, task in periodic))
    families.add(catalog.PERIODIC_NEXT, ((labels, task.next_run) for labels, task in periodic))
    planned = ((labels, task.late_seconds) for labels, task in periodic if task.next_run is not None)
    families.add(catalog.PERIODIC_LATE, planned)
    limits = [((name, sanitize_label(limit.task_name)), limit) for limit in snapshot.limits or ()]
    families.add(catalog.LIMIT, ((labels, limit.limit) for labels, limit in limits))
    families.add(catalog.LIMIT_USED, ((labels, limit.taken) for labels, limit in limits))


def _add_server(families: FamilyBuilder, name: str, snapshot: NamespaceSnapshot) -> None:
    server = snapshot.server
    if server is None:
        return
    families.add(catalog.REDIS_SKEW, [((name,), server.clock_skew_seconds)])
    families.add(catalog.REDIS_MEMORY, [((name,), server.memory_used_bytes)])
    families.add(catalog.REDIS_MEMORY_MAX, [((name,), server.memory_max_bytes)])
    evicting = None if server.eviction_policy is None else float(server.evicting)
    families.add(catalog.REDIS_EVICTING, [((name,), evicting)])
