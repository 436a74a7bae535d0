"""The result notifier: settles attempts that did not succeed.

It prepares the texts and tracebacks of dead letters in its own thread, so that they delay neither the workers
nor the arbiter. It never acknowledges a success: the arbiter does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .. import signals
from ..brokers import dead_letters
from ..brokers.base import Broker, Settlement
from ..error_text import describe
from ..exc import BrokerError, LeaseRevoked
from ..execution import Attempt, apply_outcome, outcome_of
from ..job import Job, JobStatus
from ..logger import SafeLogger
from ..retry import Outcome, Verdict
from ..stats import AttemptError, FailedJob, Tally
from .service import Service

_BATCH_SIZE: Final = 100
# To write a traceback takes longer than a short job: of one kind of error one a second is enough.
_TRACEBACK_PAUSE_SECONDS: Final = 1.0
_MAX_KINDS: Final = 500
_UNSTORABLE: Final = "result cannot be stored"

logger = SafeLogger(__name__)


class ResultNotifier(Service):
    """Settles retries and failures, in order; repeats each call until the broker confirms it.

    Args:
        broker: Where jobs are kept.
        on_revoked: Called with the worker id that was declared dead.
    """

    duty = "notifier"

    def __init__(self, *, broker: Broker, on_revoked: Callable[[str], None]) -> None:
        super().__init__(broker.namespace, "result-notifier", on_revoked)
        self._broker = broker
        self._unsettled: deque[tuple[str, Settlement]] = deque()
        self._written: dict[tuple[str, type[BaseException]], float] = {}

    @property
    def idle(self) -> bool:
        """Whether the broker has confirmed every result."""
        return not self._unsettled

    @property
    def unacknowledged(self) -> int:
        """How many results the broker has not confirmed."""
        return len(self._unsettled)

    def unsettled(self, worker_id: str) -> list[Job]:
        """Return the jobs of this worker id whose settlement the broker has not confirmed."""
        return [settlement.job for owner, settlement in self._unsettled.copy() if owner == worker_id]

    def submit(self, attempt: Attempt, worker_id: str) -> None:
        """Take an attempt that ended with an error; `worker_id` is the one that claimed its job."""
        if attempt.outcome is not None:
            self._put(attempt.job, attempt.outcome, attempt.number, worker_id)

    def refuse(self, job: Job, error: Exception, worker_id: str) -> None:
        """Take a job that cannot be attempted here, because its task is unknown."""
        attempt = job.retries + 1
        outcome = outcome_of(job, error, now=self._broker.clock.now())
        apply_outcome(job, outcome)
        signal = signals.job_failed if outcome.verdict is Verdict.FAILED else signals.job_schedule_retry
        signal.send(self._broker.namespace, job=job, err=error)
        self._put(job, outcome, attempt, worker_id)

    def tick(self) -> float | None:
        """Settle a batch; one that is not confirmed stays, and the next tick settles it again."""
        batch = [self._unsettled[index] for index in range(min(_BATCH_SIZE, len(self._unsettled)))]
        if not batch:
            return None
        worker_id = self._broker.worker_id
        # A result under an earlier id is void: that lease was revoked, and other workers may have its jobs.
        valid = [settlement for owner, settlement in batch if owner == worker_id]
        if valid:
            self._settle(valid, worker_id)
        for _ in batch:
            self._unsettled.popleft()
        return 0.0

    def flush(self) -> None:
        """Settle all results; called after the thread was joined.

        Raises:
            BrokerUnavailable: the broker has not confirmed all results.
        """
        while self._unsettled:
            try:
                self.tick()
            except LeaseRevoked:
                self._unsettled.clear()

    def _put(self, job: Job, outcome: Outcome, attempt: int, worker_id: str) -> None:
        failure = error = None
        if outcome.error is not None:
            if outcome.verdict is Verdict.FAILED:
                failure = self._dead_letter(job, outcome.error, attempt)
            error = self._attempt_error(job, outcome.error, with_traceback=failure is None)
        self._unsettled.append((worker_id, Settlement(job, outcome.verdict, failure, error)))
        self.wake()

    def _settle(self, settlements: list[Settlement], worker_id: str) -> None:
        tally = Tally()
        for settlement in settlements:
            tally.count(settlement.job.queue, settlement.job.task_name, settlement.verdict.value)
            if settlement.error is not None:
                tally.note_error(settlement.error)
        try:
            self._broker.settle(settlements, tally, worker_id=worker_id)
        except BrokerError:  # an outage, a revoked lease: the service waits or joins again
            raise
        except Exception as error:
            self._settle_apart(settlements, worker_id, error)
            return
        for settlement in settlements:
            if settlement.job.status is JobStatus.WAITING:
                signals.job_waiting.send(self._broker.namespace, job=settlement.job)
            elif settlement.job.status is JobStatus.QUEUED:
                signals.job_queued.send(self._broker.namespace, job=settlement.job)

    def _settle_apart(self, settlements: list[Settlement], worker_id: str, error: Exception) -> None:
        """Settle results one by one, so that one that cannot be stored does not hold back the others."""
        if len(settlements) > 1:
            for settlement in settlements:
                self._settle([settlement], worker_id)
            return
        job, failure = settlements[0].job, settlements[0].failure
        logger.error(
            "The result of %s cannot be stored as it is: %s", job, describe(error),
            extra={"action": "result_refused", "job_id": str(job.id)},
        )  # fmt: skip
        if failure is not None and failure.reason == _UNSTORABLE:
            return  # not even this: the job is recovered when this worker leaves
        job.status = JobStatus.FAILED
        letter = replace(self._dead_letter(job, error, job.retries), reason=_UNSTORABLE)
        self._settle([Settlement(job, Verdict.FAILED, letter)], worker_id)

    def _attempt_error(self, job: Job, error: BaseException, *, with_traceback: bool) -> AttemptError:
        """Return an attempt's error; no traceback where one of its kind was just written."""
        kind = job.task_name, type(error)
        now = self._broker.clock.elapsed()
        if with_traceback and now - self._written.get(kind, -math.inf) >= _TRACEBACK_PAUSE_SECONDS:
            if len(self._written) >= _MAX_KINDS:
                self._written.clear()
            self._written[kind] = now
        else:
            with_traceback = False
        return dead_letters.attempt_error(job, error, with_traceback=with_traceback)

    def _dead_letter(self, job: Job, error: BaseException, attempts: int) -> FailedJob:
        return dead_letters.failed(
            job, error, attempts=attempts, now=self._broker.clock.now(), worker_id=self._broker.worker_id
        )
