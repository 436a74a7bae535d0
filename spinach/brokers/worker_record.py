"""What the registry says about a worker, the same for both brokers. Reads and writes no store."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from typing import Any, Final

from ..const import VERSION
from .messages import WorkerProfile, WorkerState

# Every tool that polls reads all records: one with many tasks must not be long.
_MAX_TASKS: Final = 100


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
        "tasks": list(profile.task_names)[:_MAX_TASKS],
        "heartbeat": heartbeat_seconds,
        "dead_after": dead_after_seconds,
    }


def record_of(facts: Mapping[str, Any], announced: Mapping[str, str], state: WorkerState) -> dict[str, Any]:
    """Return a worker's record without `last_seen_at`, which the broker adds by its own clock.

    Args:
        facts: See `facts_of`.
        announced: What the application announces; it overrides no fact.
        state: What changes from heartbeat to heartbeat.
    """
    return {**announced, **facts, "state": state.state, "busy": state.busy, "fetched": state.fetched}
