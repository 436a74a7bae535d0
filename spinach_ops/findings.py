"""What is wrong with a namespace, with evidence and what to do about it. Pure rules over snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from spinach.stats import NamespaceSnapshot, WorkerStats

from .text import duration

Severity = Literal["error", "warning", "info"]

# The promoter looks once a second; so much later nobody looks.
_OVERDUE_SECONDS: Final = 10.0
_SKEW_SECONDS: Final = 2.0
_FULL: Final = 0.9
# What our scripts need of the server.
_OLDEST_SERVER: Final = (6, 2)
_UPSTREAM: Final = "upstream"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know.

    Attributes:
        code: Stable name of the rule.
        severity: ``error`` when jobs do not run or may be lost.
        subject: What it is about: a queue, a worker, a key.
        evidence: What was seen, with numbers.
        remedy: What to do.
    """

    code: str
    severity: Severity
    subject: str
    evidence: str
    remedy: str


Rule = Callable[[NamespaceSnapshot], Iterator[Finding]]


def findings(snapshot: NamespaceSnapshot) -> list[Finding]:
    """Return what is wrong, errors first."""
    found = [finding for rule in _RULES for finding in rule(snapshot)]
    return by_severity(found)


def by_severity(found: Sequence[Finding]) -> list[Finding]:
    """Return findings with the errors first."""
    return sorted(found, key=lambda finding: ("error", "warning", "info").index(finding.severity))


def _nobody_works(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    late = snapshot.overdue or 0
    if snapshot.connected == 0 and (snapshot.queued or late):
        yield Finding(
            "no_workers", "error", snapshot.namespace,
            f"no worker listens, {snapshot.queued} jobs are queued and {late} are past their date",
            "start workers: spinach worker package.module:engine",
        )  # fmt: skip


def _dead_workers(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for worker in snapshot.workers:
        if worker.state not in ("dead", "silent"):
            continue
        held = (worker.running or 0) + (worker.reserved or 0)
        yield Finding(
            f"worker_{worker.state}", "error" if worker.state == "dead" else "warning", _name(worker),
            f"not seen for {duration(worker.seen_seconds)}, holds {held} jobs",
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
            f"{here} workers are registered, {snapshot.connected} are connected",
            "one that crashed a moment ago, or cannot reach the server, is still registered; see its host",
        )  # fmt: skip


def _orphans(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for orphan in snapshot.orphans:
        yield Finding(
            "orphaned_jobs", "error", f"worker {orphan.id}",
            f"is registered nowhere and holds {orphan.running} jobs",
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
                f"{queue.depth} jobs, and none of {len(live)} live workers serves it",
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


def _server(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    server = snapshot.server
    if server is None:
        return
    if server.evicting:
        yield Finding(
            "eviction", "error" if server.memory_max_bytes else "warning", "server",
            f"maxmemory-policy is {server.eviction_policy}: when memory is full, jobs may be deleted",
            "set maxmemory-policy noeviction",
        )  # fmt: skip
    if server.memory_max_bytes and (server.memory_used_bytes or 0) > _FULL * server.memory_max_bytes:
        yield Finding(
            "memory", "warning", "server",
            f"{server.memory_used_bytes} of {server.memory_max_bytes} bytes are used",
            "give it more memory, or find what grows",
        )  # fmt: skip
    if _is_too_old(server.version):
        yield Finding(
            "server_version",
            "error",
            "server",
            f"version {server.version}",
            "use Redis 6.2 or newer, or Valkey",
        )


def _is_too_old(version: str | None) -> bool:
    parts = (version or "").split(".")[:2]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return False
    return (int(parts[0]), int(parts[1])) < _OLDEST_SERVER


def _clocks(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    skew = snapshot.server.clock_skew_seconds if snapshot.server else None
    if skew is not None and abs(skew) > _SKEW_SECONDS:
        yield Finding(
            "clock_skew", "warning", "this machine",
            f"its clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the server's",
            "run NTP on both",
        )  # fmt: skip
    for queue in snapshot.queues:
        ahead = (queue.head_at or 0.0) - snapshot.at
        if ahead > _SKEW_SECONDS:
            yield Finding(
                "producer_clock", "warning", f"queue {queue.name}",
                f"the date of its first job is {duration(ahead)} in the future",
                "the clock of a producer, or of an old worker, is wrong: run NTP there",
            )  # fmt: skip


def _unread(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for error in snapshot.errors:
        yield Finding(
            f"unread_{error.reason}", "warning", error.what, error.message,
            "grant what is missing" if error.reason == "permission"
            else "something else writes to this key, or an application wrote something odd",
        )  # fmt: skip
    for what in snapshot.truncated:
        yield Finding(
            "truncated", "info", what, f"there are more {what} than are shown", "use several namespaces"
        )


_RULES: Final[tuple[Rule, ...]] = (
    _nobody_works, _dead_workers, _not_connected, _orphans, _no_consumer, _overdue, _server, _clocks, _versions,
    _unread,
)  # fmt: skip


def _name(worker: WorkerStats) -> str:
    return f"worker {worker.info.name or '(no host)'}/{worker.info.id[:8]}"
