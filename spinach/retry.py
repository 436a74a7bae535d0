"""Decides what becomes of a job after an attempt. Pure: no I/O, no logging, no clock of its own."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from .clock import as_utc
from .job import Job
from .task import AbortException, RetryException

E = TypeVar("E", bound=BaseException)

# Twenty minutes, as in release 0.0.25, whose workers may serve the same namespace.
_MAX_BACKOFF_SECONDS = 1200
# 3 * 2**9 is above the ceiling of 1200; a larger exponent only costs time.
_MAX_EXPONENT = 9


def random_between(low: int, high: int) -> int:
    """Return a random integer of [low, high] for jitter; importing `random` would slow every start."""
    return low + int.from_bytes(os.urandom(8), "big") % (high - low + 1)


class Verdict(enum.Enum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended and what follows.

    Attributes:
        verdict: How the attempt ended.
        retries: The job's `retries` from now on.
        error: What the function raised; None after a success.
        at: Aware UTC date of the next attempt; None unless the job is retried.
    """

    verdict: Verdict
    retries: int
    error: BaseException | None = None
    at: datetime | None = None


def backoff_seconds(retries: int, *, randint: Callable[[int, int], int] = random_between) -> int:
    """Return the seconds to wait before a retry: exponential, with jitter.

    Half of ``min(3 * 2**retries, 1200)`` seconds plus a random part of the same half: the formula of release
    0.0.25, so that old and new workers of a namespace behave alike.

    Args:
        retries: Number of the retry, 1 for the first.
        randint: Source of jitter: returns an integer between two others, ends included.
    """
    half = min(3 << min(retries, _MAX_EXPONENT), _MAX_BACKOFF_SECONDS) // 2
    return half + randint(0, half)


def decide(
    job: Job,
    error: BaseException | None,
    *,
    now: datetime,
    randint: Callable[[int, int], int] = random_between,
) -> Outcome:
    """Decide what becomes of a job after an attempt.

    An `AbortException` or `RetryException` inside an exception group counts as if it had been raised alone;
    when a group holds both, the job fails. A `RetryException` with an unusable date fails the job with a
    `ValueError` that names the value.

    Args:
        job: The job as it was when the attempt began; it is not changed.
        error: What the attempt raised, None for success.
        now: The broker's time.
        randint: Source of jitter.
    """
    if error is None:
        return Outcome(Verdict.SUCCEEDED, job.retries)
    if _find(error, AbortException) is not None:
        return Outcome(Verdict.FAILED, job.max_retries, error)
    if not job.should_retry:
        return Outcome(Verdict.FAILED, job.retries, error)
    retries = job.retries + 1
    asked = _find(error, RetryException)
    if asked is not None:
        try:
            at = _asked_date(asked, now)
        except ValueError as unusable:
            unusable.__cause__ = error
            return Outcome(Verdict.FAILED, job.retries, unusable)
        if at is not None:
            return Outcome(Verdict.RETRIED, retries, error, at)
    delay = timedelta(seconds=backoff_seconds(retries, randint=randint))
    return Outcome(Verdict.RETRIED, retries, error, now + delay)


def _find(error: BaseException, kind: type[E]) -> E | None:
    """Return the first exception of a kind: the error itself, or one inside a group."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _find(inner, kind))), None)
    return None


def _asked_date(error: RetryException, now: datetime) -> datetime | None:
    """Return the date of the next attempt that a task asked for, None for the usual backoff.

    Raises:
        ValueError: what was given is neither a date nor a delay, or out of range.
    """
    try:
        at: object = error.at
    except Exception:  # a subclass that does not call the constructor of its base
        return None
    if at is None:
        return None
    if isinstance(at, datetime):
        return as_utc(at)
    # People mean a delay by these, though the argument is a date.
    if isinstance(at, timedelta):
        delay: float = at.total_seconds()
    elif isinstance(at, (int, float)) and not isinstance(at, bool):
        delay = float(at)
    else:
        raise ValueError(
            f"RetryException(at={at!r}): expected a datetime, a timedelta or a number of seconds"
        )
    try:
        return now + timedelta(seconds=delay)
    except (OverflowError, ValueError):
        raise ValueError(f"RetryException(at={at!r}): the date is out of range") from None
