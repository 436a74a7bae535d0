"""What a worker announces about itself when it joins."""

from __future__ import annotations

import os
import platform
import socket
from typing import Any

from ...const import VERSION
from ..messages import WorkerProfile, WorkerState


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
