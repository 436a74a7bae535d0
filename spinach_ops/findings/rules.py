"""Rules over a snapshot: each says what is wrong with jobs, queues and workers. Pure: they read nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Final

from spinach.stats import LostWorker, NamespaceSnapshot, QueueStats, WorkerInfo, WorkerStats
from spinach.stats.numbers import number

from ..text import duration
from .causes import arranged
from .failing_tasks import failing_tasks
from .finding import Finding, Rule, Severity, Subject, jobs, worker_subject
from .long_runs import all_slots_are_held, jobs_run_long, long_runs
from .server_rules import SERVER_RULES

# How long the first job of a queue may wait for a worker before that is a warning, and an error.
OLDEST_WARNING_SECONDS: Final = 60.0
OLDEST_CRITICAL_SECONDS: Final = 300.0

# Workers move due jobs to their queues once a second; ten missed rounds mean that none does.
_OVERDUE_SECONDS: Final = 10.0
_LATELY_SECONDS: Final = 900.0
# A worker is late once it missed a heartbeat by half the time between two; they are stamped in whole seconds.
_BEATS_UNTIL_LATE: Final = 1.5
_STAMP_SECONDS: Final = 1.0
_UPSTREAM_BEAT_SECONDS: Final = 60.0
# The error of a job that ran on a worker that died, and that must not run twice.
_LOST_ERROR: Final = "WorkerLost"
# What the published package spinach is called: its workers announce no version.
_UPSTREAM: Final = "upstream"


def findings(snapshot: NamespaceSnapshot) -> list[Finding]:
    """Return what is wrong: the worst cause first, each followed by what it explains."""
    found = [finding for rule in _RULES for finding in rule(snapshot)]
    return arranged(found, snapshot)


def _no_workers(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    late = snapshot.overdue or 0
    # A connected process may be stopping or suspended: only a live worker takes a job.
    any_live = any(worker.state == "live" for worker in snapshot.workers)
    all_read = snapshot.running is not None and "workers" not in snapshot.truncated
    if not (snapshot.queued or late) or not (snapshot.connected == 0 or (all_read and not any_live)):
        return
    states = Counter(worker.state for worker in snapshot.workers)
    seen = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none registered"
    yield Finding(
        "no_workers", "error", _namespace(snapshot),
        f"no live worker is connected ({seen}): {jobs(snapshot.queued)} queued, {late} past their date",
        "start workers: spinach worker package.module:engine",
    )  # fmt: skip


def _old_queues(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for queue in snapshot.queues:
        finding = old_queue(snapshot, queue)
        if finding is not None:
            yield finding


def old_queue(
    snapshot: NamespaceSnapshot, queue: QueueStats, *, aged: float = 0.0, growing: str = ""
) -> Finding | None:
    """Return the finding about a queue whose first job has waited too long, None when it has not.

    Args:
        snapshot: The namespace of the queue.
        queue: The queue.
        aged: Seconds since the snapshot was read; they are added to the age of the first job.
        growing: How the queue grows, appended to the evidence.
    """
    oldest = (queue.oldest_seconds or 0.0) + (aged if queue.depth else 0.0)
    if oldest <= OLDEST_WARNING_SECONDS:
        return None
    full = next(
        (
            limit
            for limit in snapshot.limits or ()
            if limit.task_name == queue.next_task and limit.taken >= limit.limit
        ),
        None,
    )
    severity: Severity = "error" if oldest > OLDEST_CRITICAL_SECONDS else "warning"
    evidence = f"its first job has waited for a worker for {duration(oldest)}{growing}"
    if all_slots_are_held(snapshot, queue.name, long_runs(snapshot, queue.name)):
        return Finding(
            "queue_old", severity, Subject("queue", queue.name),
            f"{evidence}: jobs that run long hold all its slots",
            "see to the jobs that run long",
        )  # fmt: skip
    if full is None:
        return Finding(
            "queue_old", severity, Subject("queue", queue.name), evidence,
            "start more workers for this queue, give them more slots, or find out which task is slow",
        )  # fmt: skip
    return Finding(
        "queue_held_back", severity, Subject("queue", queue.name),
        f"{evidence}: the limit of its task {full.task_name} is full ({full.taken} of {full.limit} run)",
        "raise max_concurrency, or make the task quicker; jobs of other tasks do not wait for it",
    )  # fmt: skip


def _dead_workers(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for worker in snapshot.workers:
        if worker.state not in ("dead", "silent"):
            continue
        held = (worker.running or 0) + (worker.reserved or 0)
        yield Finding(
            f"worker_{worker.state}", "error" if worker.state == "dead" else "warning",
            worker_subject(worker.info),
            f"no heartbeat for {duration(worker.seen_seconds)}, holds {jobs(held)}",
            "any live worker recovers its jobs; check whether its host and its process are still there"
            if worker.state == "dead"
            else f"check its host: it is declared dead after {duration(worker.info.dead_after_seconds)}; "
            "a worker of 0.0.25 that finishes a long job before it stops looks the same",
        )  # fmt: skip


def _blocked_workers(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for worker in snapshot.workers:
        if worker.state == "blocked":
            yield Finding(
                "worker_blocked", "error", worker_subject(worker.info),
                f"one of its {worker.running or 0} running jobs blocks its event loop: no other job of it "
                "runs, though it holds them",
                "see its log (loop_blocked); move what blocks to a plain function or to asyncio.to_thread, "
                "or restart it",
            )  # fmt: skip


def _not_connected(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    registered = sum(worker.state != "dead" for worker in snapshot.workers)
    if (
        snapshot.connected is not None
        and 0 <= snapshot.connected < registered
        and "workers" not in snapshot.truncated
    ):
        yield Finding(
            "workers_not_connected", "warning", _namespace(snapshot),
            f"{registered} workers registered, {snapshot.connected} connected; "
            + _late(snapshot),
            "check its host: a worker that just crashed, or cannot reach the server, is still registered",
        )  # fmt: skip


def _late(snapshot: NamespaceSnapshot) -> str:
    """Name the worker whose heartbeat is latest; a healthy one is not named only because it beats last."""
    alive = [worker for worker in snapshot.workers if worker.state != "dead"]
    worker = max(alive, key=lambda one: one.seen_seconds)
    beat = number(worker.info.details.get("heartbeat")) or _UPSTREAM_BEAT_SECONDS
    if worker.seen_seconds <= _BEATS_UNTIL_LATE * beat + _STAMP_SECONDS:
        return f"which one shows within {duration(_BEATS_UNTIL_LATE * beat)}, when its heartbeat is late"
    return f"late: {worker_subject(worker.info)}{_pid(worker.info)}, no heartbeat for " + duration(
        worker.seen_seconds
    )


def _lost_lately(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for lost in snapshot.lost:
        ago = snapshot.at - lost.lost_at
        if ago < _LATELY_SECONDS:
            yield Finding(
                "worker_lost", "warning", worker_subject(lost.info),
                f"was declared dead {duration(max(0.0, ago))} ago{_pid(lost.info)}, "
                f"after {duration(max(0.0, lost.lost_at - lost.info.last_seen_at))} without a heartbeat"
                f"{_recovered(snapshot, lost)}",
                "see on its host whether it was killed (out of memory?), hung, or lost its network"
                if (again := _joined_again(snapshot, lost)) is None
                else f"the same process joined again as {worker_subject(again.info)}: see whether it was "
                "suspended, or could not reach the server",
            )  # fmt: skip


def _joined_again(snapshot: NamespaceSnapshot, lost: LostWorker) -> WorkerStats | None:
    """Return the registered worker that is the process of a lost one under a new id."""
    pid = lost.info.details.get("pid")
    same = (
        worker
        for worker in snapshot.workers
        if type(pid) is int
        and (worker.info.details.get("pid"), worker.info.name) == (pid, lost.info.name)
        and worker.state != "dead"
    )
    return next(same, None)


def _recovered(snapshot: NamespaceSnapshot, lost: LostWorker) -> str:
    """Say what became of the jobs of dead workers since the minute in which a worker was declared dead."""
    if snapshot.recent is None:
        return ""
    counts = snapshot.recent.over(snapshot.recent.present - int(lost.lost_at // 60))
    requeued = sum(count for (_, _, counter), count in counts.items() if counter == "recovered")
    in_doubt = any(
        group.error_type.endswith(_LOST_ERROR) and group.last_seen >= lost.lost_at - _STAMP_SECONDS
        for group in snapshot.failing or ()
    )
    doubt = ", others must not run twice and failed (spinach-ops failed)" if in_doubt else ""
    return f"; since then {jobs(requeued)} of dead workers went back to the queues{doubt}"


def _orphans(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for orphan in snapshot.orphans:
        yield Finding(
            "orphaned_jobs", "error", Subject("worker", orphan.id),
            f"is not registered any more and holds {jobs(orphan.running)}",
            "a worker of this package recovers them within minutes; start one if only workers of 0.0.25 run",
        )  # fmt: skip


def _versions(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    versions = sorted({worker.info.version or _UPSTREAM for worker in snapshot.workers})
    if len(versions) > 1:
        incomplete = (
            "; counters are incomplete: workers of 0.0.25 do not count" if _UPSTREAM in versions else ""
        )
        yield Finding(
            "mixed_versions", "info", _namespace(snapshot),
            f"workers run {', '.join(versions)}{incomplete}", "finish the rollout",
        )  # fmt: skip


def _no_consumer(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    live = [worker for worker in snapshot.workers if worker.state in ("live", "silent", "blocked")]
    # Upstream workers do not announce their queues, and a worker that was not read may serve any queue.
    if not live or not snapshot.exact:
        return
    served = {queue for worker in live for queue in worker.queues}
    for queue in snapshot.queues:
        if queue.depth and queue.name not in served:
            yield Finding(
                "queue_without_consumer", "error", Subject("queue", queue.name),
                f"{jobs(queue.depth)} queued, and none of the {len(live)} live workers serves it",
                "start a worker for this queue with spinach worker --queue",
            )  # fmt: skip


def _overdue(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    if snapshot.overdue and snapshot.connected and (snapshot.overdue_seconds or 0) > _OVERDUE_SECONDS:
        yield Finding(
            "overdue", "error", Subject("schedule", snapshot.namespace, snapshot.namespace),
            f"{snapshot.overdue} jobs are past their date, "
            f"the first by {duration(snapshot.overdue_seconds or 0)}, "
            f"though {snapshot.connected} workers are connected",
            "look for errors in the workers' logs: every worker moves due jobs to their queue; "
            "the key of the first job's queue may be of another type",
        )  # fmt: skip


def _abandoned(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for task in snapshot.periodic or ():
        if task.abandoned:
            yield Finding(
                "periodic_abandoned", "warning",
                Subject("task", task.task_name, f"periodic task {task.task_name}"),
                f"none of {len(snapshot.workers)} workers can run it, so it is not scheduled",
                "start a worker that has it, or remove it: "
                f"spinach-ops periodic --remove {shlex.quote(task.task_name)}",
            )  # fmt: skip


_RULES: Final[tuple[Rule, ...]] = (
    _no_workers, _old_queues, failing_tasks, _dead_workers, _blocked_workers, jobs_run_long, _lost_lately,
    _not_connected, _orphans, _no_consumer, _overdue, _abandoned, _versions,
    *SERVER_RULES,
)  # fmt: skip


def _namespace(snapshot: NamespaceSnapshot) -> Subject:
    return Subject("namespace", snapshot.namespace, snapshot.namespace)


def _pid(info: WorkerInfo) -> str:
    pid = info.details.get("pid")
    return f", pid {pid}" if type(pid) is int else ""
