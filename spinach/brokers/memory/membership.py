"""A worker's entry in the registry: written when it joins, renewed by heartbeats, removed when it leaves."""

from __future__ import annotations

import os
import platform
import socket
from typing import Any

from ...const import VERSION
from ..messages import WorkerProfile, WorkerState
from .store import Namespace


def announcement(
    worker_id: str,
    profile: WorkerProfile,
    *,
    namespace: str,
    now: float,
    dead_after_seconds: float,
    heartbeat_seconds: float,
) -> dict[str, Any]:
    """Return the registry entry of a worker that joins at `now` (epoch seconds)."""
    initial = WorkerState()
    return {
        **profile.announced,
        "id": worker_id,
        "name": socket.gethostname(),
        "started_at": int(now),
        "namespace": namespace,
        "last_seen_at": now,
        "dead_after": dead_after_seconds,
        "heartbeat": heartbeat_seconds,
        "version": VERSION,
        "python": platform.python_version(),
        "pid": os.getpid(),
        "queues": [profile.queue],
        "slots": profile.slots,
        "kind": profile.kind,
        "tasks": list(profile.task_names),
        "state": initial.state,
        "busy": initial.busy,
        "fetched": initial.fetched,
    }


def beat(
    namespace: Namespace, worker_id: str, state: WorkerState, now: float, *, dead_after_seconds: float
) -> None:
    """Renew the entry of a registered worker."""
    namespace.workers[worker_id] |= {
        "last_seen_at": now,
        "dead_after": dead_after_seconds,
        "state": state.state,
        "busy": state.busy,
        "fetched": state.fetched,
    }


def leave(namespace: Namespace, worker_id: str) -> None:
    """Remove a worker's entry; what it still holds is kept for others to recover."""
    announced = namespace.workers.pop(worker_id, None)
    if announced and worker_id in namespace.running:
        namespace.departed[worker_id] = announced
