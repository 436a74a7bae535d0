"""A worker's entry in the registry: written when it joins, renewed by heartbeats, removed when it leaves."""

from __future__ import annotations

from .. import worker_record
from ..messages import WorkerState
from .store import Namespace


def beat(
    namespace: Namespace, worker_id: str, state: WorkerState, now: float, *, dead_after_seconds: float
) -> None:
    """Renew the entry of a registered worker."""
    namespace.workers[worker_id] |= {
        "last_seen_at": now,
        "dead_after": dead_after_seconds,
        **worker_record.changing(state),
    }


def announce_task(namespace: Namespace, worker_id: str, task_name: str) -> None:
    """Add a task to those that a registered worker announces."""
    if worker_id in namespace.workers:
        namespace.workers[worker_id] = worker_record.with_tasks(namespace.workers[worker_id], [task_name])


def leave(namespace: Namespace, worker_id: str) -> None:
    """Remove a worker's entry; what it still holds is kept for others to recover."""
    announced = namespace.workers.pop(worker_id, None)
    if announced and worker_id in namespace.running:
        namespace.departed[worker_id] = announced
    if not namespace.workers:
        for queue in namespace.queues.values():
            queue.unpark()
