"""Helpers for tests of applications: run jobs in the test's own thread, on a clock that the test moves.

They start no threads and work on any broker; a `MemoryBroker` needs no server and can follow a `FakeClock`.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Final

from .brokers.base import Exchange, WorkerProfile
from .clock import SystemClock
from .const import DEFAULT_QUEUE
from .engine import Engine
from .exc import UnknownTask
from .execution import Attempt, Environment
from .job import Job, JobStatus
from .retry import Outcome, Verdict
from .runtime.notifier import ResultNotifier
from .runtime.timers import Timers
from .stats import MAX_PAGE, Tally, Wanted
from .task import RetryException

__all__ = ["FakeClock", "run_due_jobs", "run_until_idle", "scheduled_jobs"]

# A test that runs more has a job that schedules itself without end.
_DEFAULT_LIMIT: Final = 1_000
# Dates are rounded to microseconds: a step past a date makes sure that it has come.
_STEP_SECONDS: Final = 0.001


class FakeClock:
    """Time that passes only when a test says so; for `MemoryBroker(clock=...)`.

    Args:
        start: Epoch seconds to begin with; the present time in whole seconds when None.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = float(int(SystemClock().now())) if start is None else start
        self._passed = 0.0

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self._start + self._passed

    def elapsed(self) -> float:
        """Return the seconds that passed since the clock was made."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Args:
            seconds: How long.
        """
        self._passed += seconds


def run_due_jobs(engine: Engine, *, raise_errors: bool = True, limit: int = _DEFAULT_LIMIT) -> list[Attempt]:
    """Run the jobs that are due now, and those that they schedule for now, in this thread.

    Serves the queues of the attached tasks, one job at a time. Signals of jobs, wrappers of attempts, retries
    and dead letters are those of a worker.

    Args:
        engine: Its own workers must not run.
        raise_errors: Raise the first error of a task, once the job's retry or dead letter is stored.
            `RetryException` counts only when no retry is left. What is no `Exception` is always raised.
        limit: At most so many attempts.

    Returns:
        The attempts in order: `attempt.job`, and in `attempt.outcome` the verdict and the error.

    Raises:
        RuntimeError: workers of the engine run, or jobs are still due after `limit` attempts.
        UnknownTask: a job's task is not attached (with `raise_errors`).

    Example:
        >>> engine.schedule(send_receipt, 42)
        >>> (attempt,) = run_due_jobs(engine)
        >>> assert attempt.outcome.verdict is Verdict.SUCCEEDED
    """
    worker = _InlineWorker(engine, limit, raise_errors)
    worker.run()
    return worker.attempts


def run_until_idle(
    engine: Engine, clock: FakeClock, *, raise_errors: bool = True, limit: int = _DEFAULT_LIMIT
) -> list[Attempt]:
    """Run all jobs, retries and future ones included; advance the clock to each date.

    Args:
        engine: As for `run_due_jobs`.
        clock: The clock of the engine's broker.
        raise_errors: Raise the first error after which no retry is left, once its dead letter is stored.
        limit: At most so many attempts.

    Returns:
        The attempts in order.

    Raises:
        RuntimeError: as `run_due_jobs`, or the broker does not follow the clock.
        UnknownTask: a job's task is not attached (with `raise_errors`).
    """
    worker = _InlineWorker(engine, limit, raise_errors, retried_errors=False)
    broker = engine.broker
    while True:
        worker.run()
        due = broker.promote()
        if due.next_at is not None:
            clock.advance(max(0.0, due.next_at - broker.clock.now()) + _STEP_SECONDS)
            if broker.clock.now() < due.next_at:
                raise RuntimeError(
                    "the broker does not follow this clock: make it as MemoryBroker(clock=clock)"
                )
        elif not due.jobs:
            return worker.attempts


def scheduled_jobs(engine: Engine) -> list[Job]:
    """Return the jobs that wait in the namespace: those in queues, head first, then those with a date.

    Args:
        engine: Whose namespace to read.

    Returns:
        The jobs, as stored: `task_name`, `task_args`, `task_kwargs`, `at`, `status` ...

    Raises:
        RuntimeError: there are more than `spinach.stats.MAX_PAGE` in one queue, or with a date.

    Example:
        >>> (job,) = scheduled_jobs(engine)
        >>> assert (job.task_name, job.task_args) == ("shop:send_receipt", (42,))
    """
    known = engine.broker.snapshot(queues=_queues(engine), totals=False)
    wanted = [Wanted("queue", queue.name, MAX_PAGE) for queue in known.queues]
    wanted.append(Wanted("scheduled", limit=MAX_PAGE))
    snapshot = engine.broker.snapshot(known=known, totals=False, wanted=wanted)
    jobs = [Job.deserialize(info.raw) for page in snapshot.pages for info in page.jobs]
    if len(jobs) != snapshot.queued + (snapshot.scheduled or 0):
        raise RuntimeError(f"more than {MAX_PAGE} jobs are in one queue, or wait for their date")
    return jobs


def _queues(engine: Engine) -> list[str]:
    return list(dict.fromkeys(task.queue for task in engine.tasks.values()))


class _InlineWorker:
    """A worker with one slot: the calling thread."""

    def __init__(
        self, engine: Engine, limit: int, raise_errors: bool, *, retried_errors: bool = True
    ) -> None:
        if engine.vitals is not None:
            raise RuntimeError("workers of this engine run already: call stop_workers() first")
        self._engine = engine
        self._broker = engine.broker
        self._limit = limit
        self._raise_errors = raise_errors
        self._retried_errors = retried_errors  # whether errors that are retried count
        self._notifier = ResultNotifier(broker=self._broker, on_revoked=lambda worker_id: None)
        self.attempts: list[Attempt] = []
        self._environment = Environment(
            engine.namespace, self._broker.clock, self.attempts.append, engine._hooks.attempts
        )

    def run(self) -> None:
        """Register, run what is due, unregister."""
        tasks, queues = self._engine.tasks, _queues(self._engine)
        self._broker.join(WorkerProfile((queues or [DEFAULT_QUEUE])[0], 1, "testing", tuple(tasks)))
        try:
            self._broker.register(tasks.values())
            while Timers(self._broker).run_when_due() or any(map(self._run_queue, queues)):
                pass
        finally:
            self._broker.leave()

    def _run_queue(self, queue: str) -> bool:
        ran = False
        while job := self._claim(queue):
            self._run(job)
            ran = True
        return ran

    def _claim(self, queue: str) -> Job | None:
        if len(self.attempts) >= self._limit and not self._broker.is_queue_empty(queue):
            raise RuntimeError(
                f"jobs are still due after {self._limit} attempts; does a job schedule itself?"
            )
        delivery = self._broker.exchange(Exchange(queue, free_slots=1))
        if delivery.error:
            raise RuntimeError(f"queue {queue!r} cannot be read: {delivery.error}")
        if delivery.reserved:  # the broker wants a second call before the job starts
            self._broker.exchange(Exchange(queue, starting=delivery.reserved))
        return next(iter(delivery.claimed + delivery.reserved), None)

    def _run(self, job: Job) -> None:
        try:
            job.task_func = self._engine._tasks.get(job.task_name).func
        except UnknownTask as error:
            self._notifier.refuse(job, error, self._broker.worker_id)
            verdict = Verdict.FAILED if job.status is JobStatus.FAILED else Verdict.RETRIED
            self._settle(Outcome(verdict, job.retries, error))
            return
        job.status = JobStatus.RUNNING
        with Attempt(job, self._environment) as attempt:
            result = job.task_func(*job.task_args, **job.task_kwargs)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        tally = Tally()
        tally.observe(job.queue, wait_seconds=attempt.queue_wait, run_seconds=attempt.duration)
        if attempt.outcome is not None and attempt.outcome.error is not None:
            self._broker.exchange(Exchange(job.queue, tally=tally))
            self._notifier.submit(attempt, self._broker.worker_id)
            self._settle(attempt.outcome)
        else:
            tally.count(job.queue, job.task_name, "succeeded")
            self._broker.exchange(Exchange(job.queue, done=[job], tally=tally))

    def _settle(self, outcome: Outcome) -> None:
        self._notifier.flush()
        error = outcome.error
        is_retried = outcome.verdict is Verdict.RETRIED
        is_ignored = is_retried and (isinstance(error, RetryException) or not self._retried_errors)
        if error is not None and (
            not isinstance(error, Exception) or (self._raise_errors and not is_ignored)
        ):
            raise error
