"""The result notifier: tells the broker of attempts that did not succeed.

Retries and dead letters carry texts and tracebacks; they are prepared here, off the worker's thread and off
the arbiter's path. Successes are acknowledged by the arbiter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from .. import signals
from ..brokers import dead_letters
from ..brokers.base import Broker, Settlement
from ..clock import to_datetime
from ..exc import LeaseRevoked
from ..execution import Attempt, apply_outcome
from ..job import Job, JobStatus
from ..retry import Outcome, Verdict, decide
from ..stats import Tally
from .service import Service

_BATCH: Final = 100


class ResultNotifier(Service):
    """Settles retries and failures with the broker, in order, until it has heard of each.

    Args:
        broker: Where jobs are kept.
        on_revoked: Called with the worker id that was declared dead.
    """

    duty = "notifier"

    def __init__(self, *, broker: Broker, on_revoked: Callable[[str], None]) -> None:
        super().__init__(f"{broker.namespace}-result-notifier", on_revoked)
        self._broker = broker
        self._inbox: deque[tuple[str, Settlement]] = deque()

    @property
    def idle(self) -> bool:
        """Whether the broker knows of everything."""
        return not self._inbox

    @property
    def unacknowledged(self) -> int:
        """How many results the broker has not heard of."""
        return len(self._inbox)

    def unsettled(self, lease: str) -> list[Job]:
        """Return the jobs claimed under a lease of which the broker may not have heard yet."""
        return [settlement.job for owner, settlement in self._inbox.copy() if owner == lease]

    def submit(self, attempt: Attempt, lease: str) -> None:
        """Take an attempt that ended with an error; `lease` is the worker id that claimed its job."""
        if attempt.outcome is not None:
            self._put(attempt.job, attempt.outcome, attempt.number, lease)

    def refuse(self, job: Job, error: Exception, lease: str) -> None:
        """Take a job that cannot be attempted here: its task is unknown."""
        attempt = job.retries + 1
        outcome = decide(job, error, now=to_datetime(self._broker.clock.now()))
        apply_outcome(job, outcome)
        told = signals.job_failed if outcome.verdict is Verdict.FAILED else signals.job_schedule_retry
        told.send(self._broker.namespace, job=job, err=error)
        self._put(job, outcome, attempt, lease)

    def tick(self) -> float | None:
        """Settle a batch; what is not confirmed is settled again."""
        batch = [self._inbox[index] for index in range(min(_BATCH, len(self._inbox)))]
        if not batch:
            return None
        lease = self._broker.worker_id
        # Results from before a revocation are void: their jobs are others' now.
        valid = [settlement for owner, settlement in batch if owner == lease]
        if valid:
            self._settle(valid, lease)
        for _ in batch:
            self._inbox.popleft()
        return 0.0

    def flush(self) -> None:
        """Settle all that is left; called after the thread was joined.

        Raises:
            BrokerUnavailable: results are still here.
        """
        while self._inbox:
            try:
                self.tick()
            except LeaseRevoked:
                self._inbox.clear()

    def _put(self, job: Job, outcome: Outcome, attempt: int, lease: str) -> None:
        failure = None
        if outcome.verdict is Verdict.FAILED and outcome.error is not None:
            failure = dead_letters.failed(
                job,
                outcome.error,
                attempts=attempt,
                now=self._broker.clock.now(),
                worker_id=self._broker.worker_id,
            )
        self._inbox.append((lease, Settlement(job, outcome.verdict, failure)))
        self.wake()

    def _settle(self, settlements: list[Settlement], lease: str) -> None:
        tally = Tally()
        for settlement in settlements:
            tally.count(settlement.job.queue, settlement.job.task_name, settlement.verdict.value)
        self._broker.settle(settlements, tally, worker_id=lease)
        for settlement in settlements:
            if settlement.job.status is JobStatus.WAITING:
                signals.job_waiting.send(self._broker.namespace, job=settlement.job)
            elif settlement.job.status is JobStatus.QUEUED:
                signals.job_queued.send(self._broker.namespace, job=settlement.job)
