"""`spinach-ops doctor`: prints what it checked in a namespace, and what is wrong there."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from spinach.brokers.base import Broker
from spinach.stats import NamespaceSnapshot

from ..cli import tables
from ..cli.exit_codes import FINDINGS, OK
from ..cli.namespaces import explain_empty, is_empty
from ..cli.options import add_common, read_common
from ..findings.causes import arranged
from ..findings.finding import Finding, Subject
from ..findings.rules import findings
from ..text import duration, printable

HELP = "find what is wrong: each finding with its evidence and what to do"

# Jobs start and end between two reads; a difference that stays over three reads is a leak.
_DRIFT_READS: Final = 3
# With more jobs at work, reading each of them would be a load on the server.
_MAX_JOBS_AT_WORK: Final = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Check a namespace; return the exit code: 1 when a finding is an error."""
    options = read_common(given)
    broker = options.connect()
    snapshot = broker.snapshot(discover=True)
    found = arranged(
        [
            *empty_namespace(broker, snapshot),
            *findings(snapshot),
            *limit_drift(broker, snapshot),
        ],
        snapshot,
    )
    facts = checked(snapshot, options.server)
    if options.json:
        print(tables.to_json(_document(snapshot, facts, found)))
    else:
        print("\n".join(f"{name + ':':12} {printable(fact)}" for name, fact in facts.items()))
        print(
            "\n" + (tables.finding_lines(found, color=options.color) if found else "nothing wrong was found")
        )
    return FINDINGS if any(finding.severity == "error" for finding in found) else OK


def empty_namespace(broker: Broker, snapshot: NamespaceSnapshot) -> list[Finding]:
    """Return a finding when the namespace is empty: most likely its name is misspelt."""
    if not is_empty(snapshot):
        return []
    return [
        Finding(
            "empty_namespace",
            "error",
            Subject("namespace", snapshot.namespace, snapshot.namespace),
            explain_empty(broker),
            "check --namespace and --redis",
        )
    ]


def _document(snapshot: NamespaceSnapshot, facts: dict[str, str], found: Iterable[Finding]) -> dict[str, Any]:
    return {
        "schema": tables.SCHEMA,
        "namespace": snapshot.namespace,
        "at": snapshot.at,
        "checked": facts,
        "findings": [finding.document() for finding in found],
    }


def checked(snapshot: NamespaceSnapshot, url: str) -> dict[str, str]:
    """Return what was checked: a name and a value for each line of the report."""
    server = snapshot.server
    states = Counter(worker.state for worker in snapshot.workers)
    versions = Counter(worker.info.version or "upstream" for worker in snapshot.workers)
    skew = server.clock_skew_seconds if server else None
    return {
        "server": f"{url}, version {server.version if server else '?'}",
        "answer": f"{snapshot.costs.round_trips} round trips, {duration(snapshot.costs.seconds)}",
        "eviction": (server.eviction_policy if server else None) or "?",
        "clock": "?" if skew is None else f"this machine {skew:+.3f} s from the server",
        "namespace": snapshot.namespace,
        "workers": f"{snapshot.connected} connected, {len(snapshot.workers)} registered: {_counts(states)}",
        "versions": _counts(versions),
        "queues": f"{len(snapshot.queues)}, {snapshot.queued} jobs",
        "scheduled": f"{snapshot.scheduled}, {snapshot.overdue} overdue",
        "limits": str(len(snapshot.limits or ())),
        "failed jobs": str(snapshot.failed),
    }


def _counts(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def limit_drift(broker: Broker, snapshot: NamespaceSnapshot) -> list[Finding]:
    """Return a finding for each task whose limit counts other slots as taken than jobs of it are at work."""
    drifts: list[dict[str, tuple[int, int]]] = []
    for read in range(_DRIFT_READS):
        latest = broker.snapshot(known=snapshot, totals=False) if read else snapshot
        drifts.append(_drift(broker, latest))
        if not drifts[-1]:
            return []
    return [
        Finding(
            "limit_drift", "error" if taken > running else "warning", Subject("task", task),
            f"{taken} slots count as taken, {running} of its jobs run",
            "a worker of this package counts them again within a heartbeat; start one if none runs",
        )
        for task, (taken, running) in drifts[0].items()
        if all(drift.get(task) == (taken, running) for drift in drifts)
    ]  # fmt: skip


def _drift(broker: Broker, snapshot: NamespaceSnapshot) -> dict[str, tuple[int, int]]:
    """Return (slots taken, jobs held) of tasks where they differ; nothing if some jobs cannot be read."""
    limits = snapshot.limits or ()
    held = (snapshot.running or 0) + (snapshot.reserved or 0)
    if not limits or held > _MAX_JOBS_AT_WORK or "workers" in snapshot.truncated:
        return {}
    holders = [worker.info.id for worker in snapshot.workers] + [orphan.id for orphan in snapshot.orphans]
    jobs = [job for holder in holders for job in broker.running_jobs(holder, _MAX_JOBS_AT_WORK)]
    running = Counter(job.task_name for job in jobs)
    return {
        limit.task_name: (limit.taken, running[limit.task_name])
        for limit in limits
        if limit.taken != running[limit.task_name]
    }
