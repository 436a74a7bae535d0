"""What is wrong with a namespace, with evidence and what to do about it. Pure rules over snapshots."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from spinach.stats import FailureGroup, NamespaceSnapshot, QueueStats, WorkerStats

from ..text import duration
from .finding import Finding, Rule, Severity, by_severity, jobs
from .server_rules import SERVER_RULES

# How long the first job of a queue may be ready before somebody should look, and before it is bad.
OLDEST_WARNING_SECONDS: Final = 60.0
OLDEST_CRITICAL_SECONDS: Final = 300.0

# The promoter looks once a second; so much later nobody looks.
_OVERDUE_SECONDS: Final = 10.0
_UPSTREAM: Final = "upstream"
_LATELY_SECONDS: Final = 900.0
# A task of which more attempts than these ended, and more than half of them in an error, is broken.
_ENOUGH_ATTEMPTS: Final = 10
_MANY_FAIL: Final = 0.5


def findings(snapshot: NamespaceSnapshot) -> list[Finding]:
    """Return what is wrong, errors first."""
    found = [finding for rule in _RULES for finding in rule(snapshot)]
    return by_severity(found)


def _nobody_works(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    late = snapshot.overdue or 0
    # Who listens may be on its way out, or suspended: only a live worker takes a job.
    takes = any(worker.state == "live" for worker in snapshot.workers)
    knows = snapshot.running is not None and "workers" not in snapshot.truncated
    if not (snapshot.queued or late) or not (snapshot.connected == 0 or (knows and not takes)):
        return
    states = Counter(worker.state for worker in snapshot.workers)
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none registered"
    yield Finding(
        "no_workers", "error", snapshot.namespace,
        f"no live worker listens ({told}): {jobs(snapshot.queued)} queued, {late} past their date",
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
    """Return what there is to say of a queue whose first job has been ready for long, None when it has not.

    Args:
        snapshot: Where the queue is.
        queue: The queue.
        aged: Seconds since the snapshot, when there was none after it.
        growing: What is known of its growth, for a person.
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
    evidence = f"its first job is ready for {duration(oldest)}{growing}"
    if full is None:
        return Finding(
            "queue_old",
            severity,
            f"queue {queue.name}",
            evidence,
            "more workers or slots for it, or find what is slow",
        )
    return Finding(
        "queue_held_back", severity, f"queue {queue.name}",
        f"{evidence}: the limit of its task {full.task_name} is full ({full.taken} of {full.limit} run)",
        "raise max_concurrency, or make the task quicker; jobs of other tasks do not wait for it",
    )  # fmt: skip


def _failing_tasks(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    attempts: Counter[tuple[str, str]] = Counter()
    for (_, task, counter), count in (snapshot.counters or {}).items():
        attempts[task, counter] += count
    for task in sorted({task for task, _ in attempts if task}):
        raised = attempts[task, "retried"] + attempts[task, "failed"]
        ended = raised + attempts[task, "succeeded"]
        if ended >= _ENOUGH_ATTEMPTS and raised > _MANY_FAIL * ended:
            yield Finding(
                "task_fails", "warning", f"task {task}",
                f"{raised} of {ended} attempts ended in an error since counting began, "
                f"{attempts[task, 'retried']} of them to be retried",
                "see spinach-ops failed, or the log of a worker for those that are still retried",
            )  # fmt: skip


def recent_failures(groups: Iterable[FailureGroup], now: float) -> list[Finding]:
    """Return what failed for good lately.

    Args:
        groups: What fails.
        now: Epoch seconds by the broker's clock.
    """
    return [
        Finding(
            "failed_lately", "warning", f"task {group.task_name or '(none)'}",
            f"{jobs(group.count)} failed for good with {group.error_type}, first {duration(now - group.first_seen)} ago, "
            f"last {duration(max(0.0, now - group.last_seen))} ago",
            "see spinach-ops failed --traceback",
        )
        for group in groups
        if now - group.last_seen < _LATELY_SECONDS
    ]  # fmt: skip


def _dead_workers(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for worker in snapshot.workers:
        if worker.state not in ("dead", "silent"):
            continue
        held = (worker.running or 0) + (worker.reserved or 0)
        yield Finding(
            f"worker_{worker.state}", "error" if worker.state == "dead" else "warning", _name(worker),
            f"not seen for {duration(worker.seen_seconds)}, holds {jobs(held)}",
            "its jobs are recovered by any live worker; see whether the host or the process is gone"
            if worker.state == "dead"
            else f"it counts as dead after {duration(worker.info.dead_after_seconds)}; "
            "an old worker that stops with a long job looks the same",
        )  # fmt: skip


def _not_connected(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    here = sum(worker.state != "dead" for worker in snapshot.workers)
    if (
        snapshot.connected is not None
        and 0 <= snapshot.connected < here
        and "workers" not in snapshot.truncated
    ):
        yield Finding(
            "workers_not_connected", "warning", snapshot.namespace,
            f"{here} registered, {snapshot.connected} connected; longest silent: {_longest_silent(snapshot)}",
            "one that crashed a moment ago, or cannot reach the server, is still registered; see its host",
        )  # fmt: skip


def _longest_silent(snapshot: NamespaceSnapshot) -> str:
    alive = [worker for worker in snapshot.workers if worker.state != "dead"]
    worker = max(alive, key=lambda one: one.seen_seconds)
    pid = worker.info.details.get("pid")
    return f"{_name(worker)}{f', pid {pid}' if type(pid) is int else ''}, {duration(worker.seen_seconds)}"


def _lost_lately(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for lost in snapshot.lost:
        ago = snapshot.at - lost.lost_at
        if ago < _LATELY_SECONDS:
            pid = lost.info.details.get("pid")
            yield Finding(
                "worker_lost", "warning", f"worker {lost.info.name or '(no host)'}/{lost.info.id[:8]}",
                f"was declared dead {duration(max(0.0, ago))} ago{f', pid {pid}' if type(pid) is int else ''}, "
                f"after {duration(max(0.0, lost.lost_at - lost.info.last_seen_at))} without a heartbeat",
                "its jobs were recovered; see on its host whether it was killed (out of memory?), hung, or cut off",
            )  # fmt: skip


def _orphans(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for orphan in snapshot.orphans:
        yield Finding(
            "orphaned_jobs", "error", f"worker {orphan.id}",
            f"is registered nowhere and holds {jobs(orphan.running)}",
            "workers of this package take them over within minutes; start one if only old ones run",
        )  # fmt: skip


def _versions(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    versions = sorted({worker.info.version or _UPSTREAM for worker in snapshot.workers})
    if len(versions) > 1:
        incomplete = ": counters are incomplete meanwhile" if _UPSTREAM in versions else ""
        yield Finding(
            "mixed_versions", "info", snapshot.namespace,
            f"workers run {', '.join(versions)}{incomplete}", "finish the rollout",
        )  # fmt: skip


def _no_consumer(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    live = [worker for worker in snapshot.workers if worker.state in ("live", "silent")]
    # Old workers do not say which queues they serve, and one not read may serve any.
    if not live or not snapshot.exact:
        return
    served = {queue for worker in live for queue in worker.queues}
    for queue in snapshot.queues:
        if queue.depth and queue.name not in served:
            yield Finding(
                "queue_without_consumer", "error", f"queue {queue.name}",
                f"{jobs(queue.depth)}, and none of {len(live)} live workers serves it",
                "start a worker with --queue for it",
            )  # fmt: skip


def _overdue(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    if snapshot.overdue and snapshot.connected and (snapshot.overdue_seconds or 0) > _OVERDUE_SECONDS:
        yield Finding(
            "overdue", "error", snapshot.namespace,
            f"{snapshot.overdue} jobs are past their date, the first by {duration(snapshot.overdue_seconds or 0)}, "
            f"though {snapshot.connected} workers listen",
            "every worker releases due jobs: look for errors in their logs; the first one may belong to a queue "
            "whose key is of a foreign type",
        )  # fmt: skip


def _abandoned(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for task in snapshot.periodic or ():
        if task.abandoned:
            yield Finding(
                "periodic_abandoned", "warning", f"periodic task {task.task_name}",
                f"none of {len(snapshot.workers)} workers can run it, so it is not scheduled",
                "start a worker that has it, or remove it: "
                f"spinach-ops periodic --remove {shlex.quote(task.task_name)}",
            )  # fmt: skip


_RULES: Final[tuple[Rule, ...]] = (
    _abandoned,
    _nobody_works, _old_queues, _failing_tasks, _dead_workers, _lost_lately, _not_connected, _orphans, _no_consumer, _overdue, _versions,
    *SERVER_RULES,
)  # fmt: skip


def _name(worker: WorkerStats) -> str:
    return f"worker {worker.info.name or '(no host)'}/{worker.info.id[:8]}"
