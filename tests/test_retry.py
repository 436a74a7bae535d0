"""What becomes of a job after an attempt."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from spinach.job import Job
from spinach.retry import Verdict, backoff_seconds, decide
from spinach.task import AbortException, RetryException

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def job_after(retries: int, *, of: int) -> Job:
    job = Job("task", "q", NOW, of)
    job.retries = retries
    return job


def least(low: int, _high: int) -> int:
    return low


def most(_low: int, high: int) -> int:
    return high


@pytest.mark.parametrize(
    ("retries", "shortest", "longest"),
    [(1, 3, 6), (2, 6, 12), (3, 12, 24), (8, 384, 768), (9, 600, 1200), (10, 600, 1200), (10**6, 600, 1200)],
)
def test_backoff_is_that_of_old_workers(retries: int, shortest: int, longest: int) -> None:
    """The delay doubles with each retry up to twenty minutes; half of it is random."""
    assert backoff_seconds(retries, randint=least) == shortest
    assert backoff_seconds(retries, randint=most) == longest


def test_no_error_is_success() -> None:
    """An attempt that raised nothing succeeded."""
    outcome = decide(job_after(1, of=3), None, now=NOW)
    assert (outcome.verdict, outcome.retries, outcome.error, outcome.at) == (Verdict.SUCCEEDED, 1, None, None)


def test_error_with_retries_left_is_retried() -> None:
    """An error leads to a retry after the backoff while retries are left."""
    error = ValueError()
    outcome = decide(job_after(1, of=2), error, now=NOW, randint=least)
    assert (outcome.verdict, outcome.retries, outcome.error) == (Verdict.RETRIED, 2, error)
    assert outcome.at == NOW + timedelta(seconds=6)


@pytest.mark.parametrize("error", [ValueError(), RetryException("again", at=NOW), KeyboardInterrupt()])
def test_last_attempt_fails(error: BaseException) -> None:
    """Without retries left every error is final, the wish for another attempt included."""
    outcome = decide(job_after(2, of=2), error, now=NOW)
    assert (outcome.verdict, outcome.retries, outcome.at) == (Verdict.FAILED, 2, None)


def test_unrepeatable_job_is_never_retried() -> None:
    """A job with no retries fails at its first error."""
    assert decide(job_after(0, of=0), RetryException("again"), now=NOW).verdict is Verdict.FAILED


def test_abort_uses_all_retries_up() -> None:
    """An abort is final and counts as if all retries had been used."""
    outcome = decide(job_after(0, of=5), AbortException("no"), now=NOW)
    assert (outcome.verdict, outcome.retries) == (Verdict.FAILED, 5)


def test_retry_at_a_date() -> None:
    """A task names the date of its next attempt; a naive one is UTC."""
    date = NOW + timedelta(days=1)
    for at in (date, date.replace(tzinfo=None), date.astimezone(timezone(timedelta(hours=5)))):
        assert decide(job_after(0, of=1), RetryException("later", at=at), now=NOW).at == date


def test_retry_without_a_date_backs_off() -> None:
    """A wish for another attempt without a date waits like any error."""
    outcome = decide(job_after(0, of=1), RetryException("again"), now=NOW, randint=least)
    assert outcome.at == NOW + timedelta(seconds=3)


def test_deciding_changes_nothing() -> None:
    """The job is as it was; applying the outcome is another's duty."""
    job = job_after(1, of=3)
    decide(job, ValueError(), now=NOW)
    assert (job.retries, job.at) == (1, NOW)
