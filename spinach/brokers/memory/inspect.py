"""Reads a namespace into the values of `stats`, as the Redis broker does. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from heapq import nsmallest
from itertools import islice

from ...stats import (
    COUNTERS,
    OVERDUE_SECONDS,
    HeldJob,
    Histogram,
    HistogramStats,
    JobInfo,
    LimitStats,
    NamespaceSnapshot,
    Page,
    PeriodicStats,
    QueueStats,
    ServerStats,
    Wanted,
)
from ...stats.workers import OrphanStats, WorkerInfo, WorkerStats, is_abandoned
from .queue import JobQueue
from .store import Assignment, Namespace, StoredJob


def snapshot(
    name: str,
    namespace: Namespace,
    now: float,
    *,
    known: NamespaceSnapshot | None,
    queues: Iterable[str],
    listeners: int,
    wanted: Iterable[Wanted] = (),
) -> NamespaceSnapshot:
    """Return the snapshot of a namespace.

    Args:
        name: Name of the namespace.
        namespace: What it holds.
        now: The store's time in epoch seconds.
        known: The snapshot before.
        queues: Names of queues to show even when they are empty.
        listeners: How many processes subscribe to its notifications.
        wanted: Pages to read along.
    """
    history = namespace.history
    workers = tuple(_worker(namespace, worker_id, now) for worker_id in namespace.workers)
    orphans = tuple(
        OrphanStats(worker_id, len(namespace.running.get(worker_id, ()))) for worker_id in namespace.departed
    )
    overdue = sorted(due for due, _, _ in namespace.waiting if due < now - OVERDUE_SECONDS)
    return NamespaceSnapshot(
        namespace=name,
        at=now,
        queues=tuple(_queue(namespace, queue, now, known) for queue in _names(namespace, known, queues)),
        workers=workers,
        orphans=orphans,
        connected=listeners,
        scheduled=len(namespace.waiting),
        overdue=len(overdue),
        overdue_seconds=now - overdue[0] if overdue else 0.0,
        running=sum(one.running or 0 for one in workers) + sum(one.running for one in orphans),
        reserved=sum(worker.reserved or 0 for worker in workers),
        limits=_limits(namespace),
        periodic=_periodic(namespace, now),
        failed=history.count_dead_letters(now),
        trimmed=history.trimmed,
        workers_lost={"silent": history.workers_lost},
        lost=tuple(history.lost),
        counters={names: count for names, count in history.counts.items() if names[2] in COUNTERS},
        recent=history.recent(now),
        failing=tuple(history.failure_groups()),
        waits=_histograms(history.waits),
        runs=_histograms(history.runs),
        server=ServerStats(clock_skew_seconds=0.0),
        exact=True,
        pages=tuple(_page(namespace, one, now) for one in wanted),
    )


def _page(namespace: Namespace, wanted: Wanted, now: float) -> Page:
    history, limit = namespace.history, wanted.limit
    match wanted.kind:
        case "queue":
            entries = namespace.queues.get(wanted.of) or JobQueue()
            start = max(0, len(entries) - limit) if wanted.from_tail else 0
            return Page(wanted, jobs=_jobs(islice(entries, start, start + limit)))
        case "scheduled":
            return Page(wanted, jobs=_jobs(entry for _, _, entry in nsmallest(limit, namespace.waiting)))
        case "running":
            return Page(wanted, held=_held(namespace, wanted))
        case "failed":
            return Page(wanted, failed=tuple(history.dead_letters(limit, now)))
        case _:
            return Page(wanted, groups=tuple(history.failure_groups()))


def _jobs(entries: Iterable[StoredJob]) -> tuple[JobInfo, ...]:
    return tuple(JobInfo.read(entry.raw) for entry in entries)


def _held(namespace: Namespace, wanted: Wanted) -> tuple[HeldJob, ...]:
    holders = [wanted.of] if wanted.of else list(namespace.running)
    found = (
        HeldJob(holder, _running(one), one.reserved)
        for holder in holders
        for one in namespace.running.get(holder, {}).values()
    )
    return tuple(islice(found, wanted.limit))


def queued_jobs(namespace: Namespace, queue: str, limit: int) -> list[JobInfo]:
    """Return the first jobs of a queue."""
    return [JobInfo.read(entry.raw) for entry in islice(namespace.queues.get(queue, ()), max(0, limit))]


def running_jobs(namespace: Namespace, worker_id: str, limit: int) -> list[JobInfo]:
    """Return jobs that a worker holds, claimed or reserved."""
    held = namespace.running.get(worker_id, {}).values()
    return [_running(one) for one in islice(held, max(0, limit))]


def _running(held: Assignment) -> JobInfo:
    return replace(JobInfo.read(held.job.raw), started_at=held.started_at)


def _names(namespace: Namespace, known: NamespaceSnapshot | None, given: Iterable[str]) -> list[str]:
    served = (queue for announced in namespace.workers.values() for queue in announced["queues"])
    before = (queue.name for queue in known.queues) if known else ()
    periodic = (task.queue for task in namespace.periodic.values())
    counted = (queue for queue, _, _ in namespace.history.counts if queue)
    return sorted({*given, *before, *namespace.queues, *served, *periodic, *counted})


def _queue(namespace: Namespace, name: str, now: float, known: NamespaceSnapshot | None) -> QueueStats:
    queue = namespace.queues.get(name)
    entries = list(queue or ())
    head = JobInfo.read(entries[0].raw) if entries else None
    oldest = 0.0 if head is None else None
    if head is not None and head.ready_since is not None:
        oldest = max(0.0, now - head.ready_since)
    before = next((queue for queue in known.queues if queue.name == name), None) if known else None
    marker = before.tail if before else None
    return QueueStats(
        name=name,
        depth=len(entries),
        oldest_seconds=oldest,
        next_task=head.task_name or None if head else None,
        head_at=head.at if head else None,
        tail=entries[-1].raw if entries else None,
        marker_position=_position(entries, marker),
        marker_reach=max(1, len(entries)) if marker is not None else 0,
        element_bytes=max(len(entries[0].raw), len(entries[-1].raw)) if entries else 0,
        parked=queue.parked if queue else 0,
    )


def _position(entries: Iterable[StoredJob], marker: bytes | None) -> int | None:
    if marker is None:
        return None
    return max((index for index, entry in enumerate(entries) if entry.raw == marker), default=None)


def _worker(namespace: Namespace, worker_id: str, now: float) -> WorkerStats:
    info = WorkerInfo.from_registry(worker_id, namespace.workers[worker_id])
    held: Mapping[str, Assignment] = namespace.running.get(worker_id, {})
    reserved = sum(one.reserved for one in held.values())
    return WorkerStats.of(info, now, running=len(held) - reserved, reserved=reserved)


def _limits(namespace: Namespace) -> tuple[LimitStats, ...]:
    return tuple(
        LimitStats(task, limit, namespace.running_of(task))
        for task, limit in sorted(namespace.limits.items())
    )


def _periodic(namespace: Namespace, now: float) -> tuple[PeriodicStats, ...]:
    tasks = sorted(namespace.periodic.values(), key=lambda task: (task.next_run, task.name))
    workers = [WorkerInfo.from_registry(name, entry) for name, entry in namespace.workers.items()]
    found = []
    for task in tasks:
        abandoned = is_abandoned(task.name, workers)
        late = 0.0 if abandoned else max(0.0, now - task.next_run)
        found.append(
            PeriodicStats(task.name, task.queue, task.period_seconds, task.next_run, late, abandoned)
        )
    return tuple(found)


def _histograms(kept: Mapping[str, Histogram]) -> dict[str, HistogramStats]:
    return {queue: HistogramStats(tuple(one.buckets), one.total_seconds) for queue, one in kept.items()}
