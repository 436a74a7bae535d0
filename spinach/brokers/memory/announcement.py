"""What a worker announces about itself when it joins."""

from __future__ import annotations

import os
import platform
import socket
import sys
from typing import Any

from ..base import WorkerProfile, WorkerState


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
        "id": worker_id,
        "name": socket.gethostname(),
        "started_at": int(now),
        "namespace": namespace,
        "last_seen_at": now,
        "dead_after": dead_after_seconds,
        "heartbeat": heartbeat_seconds,
        # Looked up, not imported: the package imports the engine, which stands above the brokers.
        "version": sys.modules["spinach"].__version__,
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
