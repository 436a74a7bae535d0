"""Decides what becomes of a job after an attempt. Pure: no I/O, no logging, no clock of its own."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .clock import as_utc
from .job import Job
from .task import AbortException, RetryException

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
    """Decide what becomes of `job` after an attempt that ended with `error`.

    Args:
        job: The job as it was when the attempt began; it is not changed.
        error: What the function raised; None after a success.
        now: The present date by the broker's clock (aware UTC).
        randint: Source of jitter; see `backoff_seconds`.
    """
    if error is None:
        return Outcome(Verdict.SUCCEEDED, job.retries)
    if isinstance(error, AbortException):
        return Outcome(Verdict.FAILED, job.max_retries, error)
    if not job.should_retry:
        return Outcome(Verdict.FAILED, job.retries, error)
    retries = job.retries + 1
    if isinstance(error, RetryException) and error.at is not None:
        return Outcome(Verdict.RETRIED, retries, error, as_utc(error.at))
    delay = timedelta(seconds=backoff_seconds(retries, randint=randint))
    return Outcome(Verdict.RETRIED, retries, error, now + delay)
