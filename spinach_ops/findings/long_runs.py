"""Jobs that run far longer than others of their queue. Pure: reads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from spinach.stats import (
    HISTOGRAM_EDGES,
    MAX_LONGEST,
    HistogramStats,
    NamespaceSnapshot,
    RunningJob,
    WorkerStats,
)

from ..text import duration
from .finding import Finding, Subject, worker_subject

# A job runs long when it has run for so many times as long as 99 % of the attempts of its queue, ...
_TIMES: Final = 3.0
# ... and never before this time; or, while a queue has too few attempts to compare with, after the other.
_SHORTEST_SECONDS: Final = 60.0
_WITHOUT_HISTORY_SECONDS: Final = 300.0
_ENOUGH_ATTEMPTS: Final = 20
_MOST: Final = 0.99
# Nothing is known of the attempts beyond the last edge.
_BEYOND_EDGES_SECONDS: Final = 4 * HISTOGRAM_EDGES[-1]


@dataclass(frozen=True, slots=True)
class LongRun:
    """A job that has run for long: `seconds` at the time of the snapshot."""

    worker: WorkerStats
    job: RunningJob
    seconds: float


def usual_seconds(attempts: HistogramStats | None) -> float | None:
    """Return within which time 99 % of a queue's attempts ended; None while there were too few."""
    if attempts is None or sum(attempts.buckets) < _ENOUGH_ATTEMPTS:
        return None
    enough = _MOST * sum(attempts.buckets)
    edges = zip(accumulate(attempts.buckets), HISTOGRAM_EDGES, strict=False)
    return next((edge for count, edge in edges if count >= enough), _BEYOND_EDGES_SECONDS)


def long_runs(snapshot: NamespaceSnapshot, queue: str) -> list[LongRun]:
    """Return the jobs of a queue that run long, the longest first, as the workers' last heartbeats say."""
    usual = usual_seconds((snapshot.runs or {}).get(queue))
    limit = _WITHOUT_HISTORY_SECONDS if usual is None else max(_SHORTEST_SECONDS, _TIMES * usual)
    found = [
        LongRun(worker, job, snapshot.at - job.started_at)
        for worker in snapshot.workers
        if worker.state != "dead"
        for job in worker.longest
        if job.queue == queue and snapshot.at - job.started_at > limit
    ]
    return sorted(found, key=lambda run: -run.seconds)


def all_slots_are_held(snapshot: NamespaceSnapshot, queue: str, runs: list[LongRun]) -> bool:
    """Return whether jobs that run long hold every slot of a queue, as far as heartbeats name them."""
    serving = [worker for worker in snapshot.workers if worker.state != "dead" and queue in worker.queues]
    held = [sum(run.worker is worker for run in runs) for worker in serving]
    slots = [min(worker.slots or 0, MAX_LONGEST) for worker in serving]
    return bool(runs) and all(count >= most > 0 for count, most in zip(held, slots, strict=True))


def jobs_run_long(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    """Yield a finding per queue with jobs that run long: it names the one that has run for longest."""
    queues = {job.queue for worker in snapshot.workers for job in worker.longest}
    for queue in sorted(queues):
        runs = long_runs(snapshot, queue)
        if runs:
            yield _finding(snapshot, queue, runs)


def _finding(snapshot: NamespaceSnapshot, queue: str, runs: list[LongRun]) -> Finding:
    first = runs[0]
    usual = usual_seconds((snapshot.runs or {}).get(queue))
    others = f", and {len(runs) - 1} more" if len(runs) > 1 else ""
    compared = "" if usual is None else f"; 99 % of the attempts of this queue end within {duration(usual)}"
    held = all_slots_are_held(snapshot, queue, runs)
    slots = "; such jobs hold all slots of the queue, so no other job of it starts" if held else ""
    where = worker_subject(first.worker.info)
    return Finding(
        "slots_held" if held else "job_runs_long", "error" if held else "warning", Subject("queue", queue),
        f"task {first.job.task_name} has run for {duration(first.seconds)} on {where} "
        f"(job {first.job.id[:8]}){others}{compared}{slots}",
        "find out what it waits for: spinach-ops jobs --longest lists them; a restart of the worker puts an "
        "end to jobs that hang",
    )  # fmt: skip
