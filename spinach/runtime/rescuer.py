"""The rescuer: finds dead workers, and sends signals about their jobs.

The broker alone decides who is dead and what becomes of the jobs, in one step.
"""

from __future__ import annotations

from .. import signals
from ..brokers.base import Broker, Recovery
from ..exc import WorkerLost
from ..logger import SafeLogger
from .service import Service

logger = SafeLogger(__name__)


class Rescuer(Service):
    """Recovers the jobs of dead workers, and sends a signal for each.

    Args:
        broker: Knows the workers and their jobs.
    """

    duty = "rescuer"

    def __init__(self, *, broker: Broker) -> None:
        super().__init__(broker.namespace, "rescuer")
        self._broker = broker

    def tick(self) -> float | None:
        """Recover the jobs of every worker that is dead now."""
        for recovery in self._broker.recover():
            self._announce(recovery)
        return self._broker.recovery_check_seconds

    def _announce(self, recovery: Recovery) -> None:
        worker, namespace = recovery.worker, self._broker.namespace
        if recovery.declared:
            logger.warning(
                "Worker %s on %s is dead (last seen %s): %d of its jobs queued again, %d in doubt",
                worker.id, worker.name or "an unknown host", worker.last_seen_at,
                len(recovery.requeued), len(recovery.failed),
                extra={"action": "worker_lost"},
            )  # fmt: skip
        for job in recovery.requeued:
            signals.job_recovered.send(namespace, job=job, worker_info=worker)
        for job in recovery.failed:
            error = WorkerLost(f"worker {worker.id} on {worker.name} died while it ran the job")
            signals.job_failed.send(namespace, job=job, err=error)
        if recovery.declared:
            signals.worker_lost.send(
                namespace,
                worker_info=worker,
                recovered=len(recovery.requeued),
                failed=len(recovery.failed),
            )
