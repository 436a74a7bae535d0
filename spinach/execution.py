"""One attempt at a job: its signals, its hooks, and what becomes of the job at its end.

`Attempt` is a context manager that thread and asyncio workers put around the call of the function. It enters
the wrappers (spans, application contexts), sends the signals of an attempt, and turns any exception,
`BaseException` included, into an `Outcome`. It raises nothing and never speaks to the broker.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from . import signals
from .clock import ServerClock, to_datetime
from .guard import Guarded
from .job import Job, JobStatus
from .logger import SafeLogger
from .retry import Outcome, Verdict, decide
from .task import RetryException

logger = SafeLogger(__name__)

_elapsed = time.perf_counter

AttemptWrapper = Callable[["Attempt"], AbstractContextManager[Any] | None]


# `namespace`: whose jobs or duties this thread runs. Such a thread cannot wait for the workers to stop.
this_thread = threading.local()


class Fork:
    """Counts the forks between the process that imported this module and the present one."""

    generation = 0

    @classmethod
    def happened(cls) -> None:
        """Count one more; called in the child."""
        cls.generation += 1


os.register_at_fork(after_in_child=Fork.happened)


@dataclass(slots=True)
class Environment:
    """What every attempt of one engine shares.

    Attributes:
        namespace: Sender of the signals.
        clock: The broker's clock.
        report: Called with each attempt that ended.
        wrappers: Put around each attempt, outermost first; see `Engine.wrap_attempts`.
    """

    namespace: str
    clock: ServerClock
    report: Callable[[Attempt], None]
    wrappers: Sequence[AttemptWrapper] = field(default_factory=list)


class Attempt:
    """One run of one job.

    Attributes:
        job: The job. Once the attempt has ended, `status`, `retries` and `at` are those of what follows.
        number: Number of the attempt, from 1.
        queue_wait: Seconds from the moment the job could run to its start.
        duration: Seconds the function ran; 0 until it ends.
        outcome: How the attempt ended; None until it ends.
    """

    __slots__ = (
        "_environment",
        "_generation",
        "_guarded",
        "_started",
        "duration",
        "job",
        "number",
        "outcome",
        "queue_wait",
    )

    def __init__(self, job: Job, environment: Environment) -> None:
        self.job = job
        self.number = job.retries + 1
        self.queue_wait = 0.0
        self.duration = 0.0
        self.outcome: Outcome | None = None
        self._environment = environment
        self._guarded: Guarded | None = None
        self._generation = Fork.generation
        self._started = 0.0

    def __enter__(self) -> Attempt:
        job, environment = self.job, self._environment
        runnable_since = max(job.due_timestamp, job.enqueued_at or 0.0)
        self.queue_wait = max(0.0, environment.clock.now() - runnable_since)
        if environment.wrappers:
            self._guarded = Guarded(environment.wrappers, (self,), job)
            self._guarded.__enter__()
        if signals.job_started.receivers:
            signals.job_started.send(
                environment.namespace, job=job, queue_wait=self.queue_wait, attempt=self.number
            )
        self._started = _elapsed()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.duration = _elapsed() - self._started
        end_stray_child(self._generation, error)
        job = self.job
        if error is None:
            outcome = Outcome(Verdict.SUCCEEDED, job.retries)
            job.status = JobStatus.SUCCEEDED
        else:
            outcome = outcome_of(job, error, now=self._environment.clock.now())
            apply_outcome(job, outcome)
        self.outcome = outcome
        try:
            _send_signals(self, outcome)
        except BaseException:  # nothing between the end of the function and the report may cost the report
            logger.exception(
                "The outcome of %s could not be announced; the job is reported", job, extra=_FAILED_END
            )
        if (guarded := self._guarded) is not None:
            # Drop the guard: its context managers hold this attempt, and the cycle would be left to the
            # garbage collector, once per job.
            self._guarded = None
            guarded.__exit__(kind, error, traceback)
        self._environment.report(self)
        return True


def outcome_of(job: Job, error: BaseException, *, now: float) -> Outcome:
    """Decide what follows an error; whatever the error does when it is looked at, the job ends with a result.

    Args:
        job: The job as it was when the attempt began.
        error: What the attempt raised.
        now: Epoch seconds by the broker's clock.
    """
    try:
        return decide(job, error, now=to_datetime(now))
    except BaseException as failure:
        logger.exception("No retry could be decided for %s, which fails", job, extra=_FAILED_END)
        return Outcome(Verdict.FAILED, job.retries, failure)


_FAILED_END: Final = {"action": "attempt_end_failed"}
_STATUS_AFTER: Final = {
    Verdict.SUCCEEDED: JobStatus.SUCCEEDED,
    Verdict.FAILED: JobStatus.FAILED,
    Verdict.RETRIED: JobStatus.NOT_SET,
}


def apply_outcome(job: Job, outcome: Outcome) -> None:
    """Write the outcome of an attempt into its job: status, retries, and the date of a retry."""
    job.status = _STATUS_AFTER[outcome.verdict]
    job.retries = outcome.retries
    if outcome.at is not None:
        job.at = outcome.at


def _send_signals(attempt: Attempt, outcome: Outcome) -> None:
    signal, error = _SIGNAL_OF[outcome.verdict], outcome.error
    finished = signals.job_finished
    if error is None and not signal.receivers and not finished.receivers:
        return
    sender = attempt._environment.namespace
    facts: dict[str, Any] = {
        "job": attempt.job,
        "duration": attempt.duration,
        "queue_wait": attempt.queue_wait,
        "attempt": attempt.number,
    }
    if error is None:
        signal.send(sender, **facts)
    else:
        _log_error(attempt, outcome, error)
        signal.send(sender, err=error, **facts)
    finished.send(sender, outcome=outcome.verdict.value, **facts)


_SIGNAL_OF: Final = {
    Verdict.SUCCEEDED: signals.job_succeeded,
    Verdict.RETRIED: signals.job_schedule_retry,
    Verdict.FAILED: signals.job_failed,
}


def _log_error(attempt: Attempt, outcome: Outcome, error: BaseException) -> None:
    job = attempt.job
    extra = {"action": f"job_{outcome.verdict.value}", "job_id": str(job.id), "task": job.task_name}
    if isinstance(error, RetryException) and outcome.verdict is Verdict.RETRIED:
        # The task asked for the retry: this is no error.
        logger.info(
            "Job %s of task %s asks to run again at %s: %s", job.id, job.task_name, job.at, error, extra=extra
        )
    elif outcome.verdict is Verdict.RETRIED:
        logger.warning(
            "Job %s of task %s raised %s in attempt %d of %d; retried at %s",
            job.id, job.task_name, type(error).__name__, attempt.number, job.max_retries + 1, job.at,
            exc_info=error, extra=extra,
        )  # fmt: skip
    else:
        logger.error(
            "Job %s of task %s failed in attempt %d of %d",
            job.id, job.task_name, attempt.number, job.max_retries + 1,
            exc_info=error, extra=extra,
        )  # fmt: skip


def end_stray_child(generation: int, error: BaseException | None) -> None:
    """End this process if it is a child that a task forked and that returned from the task's function.

    The child is a copy of one worker thread. If it went on, it would report its parent's job a second time.

    Args:
        generation: `Fork.generation` when the function was called.
        error: What the function raised; it decides the exit code.
    """
    if generation == Fork.generation:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    code = error.code if isinstance(error, SystemExit) else int(error is not None)
    os._exit(code if isinstance(code, int) else int(code is not None))
