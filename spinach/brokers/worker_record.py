"""What the registry says about a worker, the same for both brokers. Reads and writes no store."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..const import VERSION
from ..stats.workers import MAX_ANNOUNCED_TASKS
from .messages import WorkerProfile, WorkerState


def facts_of(
    worker_id: str,
    profile: WorkerProfile,
    *,
    namespace: str,
    now: float,
    dead_after_seconds: float,
    heartbeat_seconds: float,
) -> dict[str, Any]:
    """Return what does not change about a worker that joins at `now` (epoch seconds)."""
    return {
        "id": worker_id,
        "name": socket.gethostname(),
        "started_at": int(now),
        "namespace": namespace,
        "pid": os.getpid(),
        "version": VERSION,
        "python": platform.python_version(),
        "queues": [profile.queue],
        "slots": profile.slots,
        "kind": profile.kind,
        "tasks": list(profile.task_names)[:MAX_ANNOUNCED_TASKS],
        "heartbeat": heartbeat_seconds,
        "dead_after": dead_after_seconds,
    }


def with_tasks(facts: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the facts of a worker that can run further tasks."""
    known = dict.fromkeys((*facts["tasks"], *names))
    return {**facts, "tasks": list(known)[:MAX_ANNOUNCED_TASKS]}


def record_of(facts: Mapping[str, Any], announced: Mapping[str, str], state: WorkerState) -> dict[str, Any]:
    """Return a worker's record without `last_seen_at`, which the broker adds by its own clock.

    Args:
        facts: See `facts_of`.
        announced: What the application announces; it overrides no fact.
        state: What changes from heartbeat to heartbeat.
    """
    return {**announced, **facts, **changing(state)}


def changing(state: WorkerState) -> dict[str, Any]:
    """Return what each heartbeat says anew."""
    return {
        "state": state.state,
        "busy": state.busy,
        "fetched": state.fetched,
        "longest": [asdict(job) for job in state.longest],
    }
