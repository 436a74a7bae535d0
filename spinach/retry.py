"""What becomes of a job after an attempt. Pure: no I/O, no logging, no clock of its own."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .clock import as_utc
from .job import Job
from .task import AbortException, RetryException

# Twenty minutes: the published package's ceiling, shared with old workers of the namespace.
_MAX_BACKOFF_SECONDS = 1200
# 3 * 2**9 passes the ceiling; larger exponents only cost time.
_MAX_EXPONENT = 9


def random_between(low: int, high: int) -> int:
    """Return a random integer between both ends; good enough for jitter, and spares importing `random`."""
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
        verdict: The end itself.
        error: What was raised, None for a success.
        at: When the next attempt is due (aware UTC), only for a retry.
        retries: The job's new retry count.
    """

    verdict: Verdict
    retries: int
    error: BaseException | None = None
    at: datetime | None = None


def backoff_seconds(retries: int, *, randint: Callable[[int, int], int] = random_between) -> int:
    """Return the delay before retry number `retries` (1 for the first): exponential, with jitter.

    Half of ``min(3 * 2**retries, 1200)`` seconds plus a random share of the same half: the
    formula of the published package, so that mixed fleets behave alike.
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
        error: What the attempt raised, None for success.
        now: The broker's time.
        randint: Poller of jitter.
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
