"""What tests of brokers share: jobs, tasks, and exchanges spelled short."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from spinach.brokers.base import Broker, Delivery, Exchange, Settlement
from spinach.clock import to_datetime
from spinach.job import Job, JobStatus
from spinach.retry import Verdict
from spinach.stats import FailedJob, Tally
from spinach.task import Task

SAFE = 3  # max_retries of a job that is safe to repeat


def queued(*args: Any, retries: int = SAFE, name: str = "task", queue: str = "q", **kwargs: Any) -> Job:
    """Return a job that is to run now; `retries` is its max_retries."""
    job = Job(name, queue, datetime.now(timezone.utc), retries, args, kwargs)
    job.status = JobStatus.QUEUED
    return job


def waiting(broker: Broker, *args: Any, seconds: float, retries: int = SAFE, queue: str = "q") -> Job:
    """Return a job that is to run `seconds` from now by the broker's clock."""
    job = Job("task", queue, to_datetime(broker.clock.now() + seconds), retries, args, {})
    job.status = JobStatus.WAITING
    return job


def task(
    name: str, *, period: int | None = None, limit: int | None = None, retries: int = SAFE, queue: str = "q"
) -> Task:
    periodicity = None if period is None else timedelta(seconds=period)
    return Task(print, name, queue, retries, periodicity, limit)


def fetch(
    worker: Broker,
    *,
    free_slots: int = 0,
    claim_ahead: int = 0,
    reserve_ahead: int = 0,
    queue: str = "q",
    done: list[Job] | None = None,
    starting: list[Job] | None = None,
) -> Delivery:
    exchange = Exchange(queue, done or [], starting or [], free_slots, claim_ahead, reserve_ahead)
    delivery = worker.exchange(exchange)
    assert delivery.error == ""
    return delivery


def claim(worker: Broker, free_slots: int = 100, queue: str = "q") -> list[Job]:
    """Claim up to `free_slots` jobs, in as many exchanges as it takes.

    A broker may reserve instead of claim what it cannot read without its client; it starts by a second call.
    """
    jobs: list[Job] = []
    while free_slots > len(jobs):
        delivery = fetch(worker, free_slots=free_slots - len(jobs), queue=queue)
        if not delivery.claimed + delivery.reserved:
            break
        if delivery.reserved:
            fetch(worker, starting=delivery.reserved, queue=queue)
        jobs += delivery.claimed + delivery.reserved
    return jobs


def claim_one(worker: Broker, queue: str = "q") -> Job:
    (job,) = claim(worker, 1, queue)
    return job


def firsts(jobs: list[Job]) -> list[Any]:
    """Return the first argument of each job."""
    return [job.task_args[0] for job in jobs]


def retried(broker: Broker, job: Job, *, seconds: float = -1) -> Settlement:
    """Return the settlement of a failed attempt that is repeated `seconds` from now."""
    job.retries += 1
    job.status = JobStatus.NOT_SET
    job.at = to_datetime(broker.clock.now() + seconds)
    return Settlement(job, Verdict.RETRIED)


def failed(broker: Broker, job: Job, *, at: float | None = None, message: str = "boom") -> Settlement:
    """Return the settlement of a last attempt that failed."""
    now = broker.clock.now() if at is None else at
    job.status = JobStatus.FAILED
    letter = FailedJob(
        id=str(job.id),
        raw=job.text(JobStatus.FAILED, now).encode(),
        reason="failed",
        failed_at=now,
        queue=job.queue,
        task_name=job.task_name,
        error_type="ValueError",
        message=message,
        traceback="Traceback ...",
        attempts=job.retries + 1,
        worker=broker.worker_id,
    )
    return Settlement(job, Verdict.FAILED, letter)


def settle(worker: Broker, *settlements: Settlement) -> None:
    tally = Tally()
    for one in settlements:
        tally.count(one.job.queue, one.job.task_name, one.verdict.value)
    worker.settle(settlements, tally)
