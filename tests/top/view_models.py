"""Snapshots and scenes for tests, spelled short."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from spinach.stats import (
    FailedJob,
    FailureGroup,
    HeldJob,
    JobInfo,
    NamespaceSnapshot,
    Page,
    QueueStats,
    Wanted,
    WorkerInfo,
    WorkerStats,
)
from spinach_ops.polling.connection import Connection
from spinach_ops.top.screen.header import Status
from spinach_ops.top.view.table import Line, plain_text
from spinach_ops.top.view.view_model import ViewModel

NOW = 1_800_000_000.0


def queue(name: str = "q", depth: int | None = 3, oldest: float | None = 5.0, **facts: Any) -> QueueStats:
    return QueueStats(name, depth, oldest, **facts)


def worker(
    worker_id: str = "w1", *, seen: float = 5, version: str | None = "1", running: int = 1, **details: Any
) -> WorkerStats:
    details = {"queues": ["q"], "slots": 4, **details} if version else details
    info = WorkerInfo(worker_id, "host", NOW - 100, NOW - seen, 60 if version else 1800, version, details)
    return WorkerStats.of(info, NOW, running=running, reserved=0)


def snapshot(*queues: QueueStats, **facts: Any) -> NamespaceSnapshot:
    facts = {"at": NOW, "connected": 0, "scheduled": 0, "overdue": 0, "running": 0, "failed": 0, **facts}
    return NamespaceSnapshot(namespace="ns", queues=queues, **facts)


def view(*queues: QueueStats, **facts: Any) -> ViewModel:
    return ViewModel(snapshot(*queues, **facts))


def job_text(job_id: str = "id-1", **facts: Any) -> bytes:
    fields = {
        "id": job_id, "task_name": "task", "queue": "q", "at": int(NOW) - 10, "retries": 0, "max_retries": 3,
        "status": 2, "task_args": [1, "two"], "task_kwargs": {"key": "secret"}, **facts,
    }  # fmt: skip
    return json.dumps(fields).encode()


def job(job_id: str = "id-1", **facts: Any) -> JobInfo:
    return JobInfo.read(job_text(job_id, **facts))


def jobs_page(*jobs: JobInfo, of: str = "q", from_tail: bool = False) -> Page:
    return Page(Wanted("queue", of, from_tail=from_tail), jobs=jobs)


def running_page(*held: HeldJob, of: str = "") -> Page:
    return Page(Wanted("running", of), held=held)


def failure(job_id: str = "id-1", **facts: Any) -> FailedJob:
    given = {
        "reason": "failed", "failed_at": NOW - 30, "queue": "q", "task_name": "task",
        "error_type": "app.Boom",
        "message": "it broke",
        "traceback": "Traceback (most recent call last):\n  File x\napp.Boom: it broke",
        "attempts": 4, "worker": "w1", **facts,
    }  # fmt: skip
    return FailedJob(id=job_id, raw=job_text(job_id), **given)  # type: ignore[arg-type]


def group(task: str = "task", error_type: str = "app.Boom", **facts: Any) -> FailureGroup:
    given = {
        "count": 3,
        "first_seen": NOW - 600,
        "last_seen": NOW - 30,
        "sample_id": "i",
        "sample_message": "boom",
    }
    return FailureGroup(task, error_type, **{**given, **facts})


def status(connection: Connection | None = None, **facts: Any) -> Status:
    given = {
        "namespace": "ns", "address": "127.0.0.1:6379", "version": "1.0", "now": 100.0,
        "interval_seconds": 2.0,
        "connection": connection or Connection().succeeded(), **facts,
    }  # fmt: skip
    return Status(**given)  # type: ignore[arg-type]


def texts(lines: Iterable[Line]) -> str:
    return "\n".join(plain_text(line).rstrip() for line in lines)


def later(seen: NamespaceSnapshot, seconds: float, **facts: Any) -> NamespaceSnapshot:
    return replace(seen, at=seen.at + seconds, **facts)
