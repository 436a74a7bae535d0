"""What caused an attempt: a mark in the job's headers, by the client, timer, rescuer or worker that knows.

A mark names its attempt and counts for no other. So a worker of release 0.0.25, which knows no marks, leaves
one that does not count any more, and never a wrong one.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from .job import Job

ORIGIN_HEADER: Final = "spinach-origin"
RECOVERED_FROM_HEADER: Final = "spinach-recovered-from"
# Our worker ids have 32 to 36 characters; a header may hold any text.
_MAX_ID_CHARACTERS: Final = 100
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Origin(enum.Enum):
    """What caused an attempt."""

    CLIENT = "client"
    BATCH = "batch"
    PERIODIC = "periodic"
    RETRY = "retry"
    RECOVERY = "recovery"


_ORIGINS: Final = {origin.value: origin for origin in Origin}


def mark(job: Job, origin: Origin, headers: Mapping[str, str] = _NO_HEADERS) -> None:
    """Write into a job's headers what causes its next attempt.

    Args:
        job: The job; its `retries` are already those of that attempt.
        origin: The cause.
        headers: Further headers to set in the same step.
    """
    written = f"{origin.value} {job.retries + 1}"
    job.headers = {**(job.headers or _NO_HEADERS), **headers, ORIGIN_HEADER: written}


def mark_recovered(job: Job, worker_id: str) -> None:
    """Write into a job's headers that its next attempt repeats one whose worker, `worker_id`, died."""
    mark(job, Origin.RECOVERY, {RECOVERED_FROM_HEADER: worker_id[:_MAX_ID_CHARACTERS]})


def origin_of(job: Job, attempt: int) -> Origin | None:
    """Return what caused an attempt (its number, from 1), or None where no mark says so."""
    if not job.headers:
        return None
    name, _, number = job.headers.get(ORIGIN_HEADER, "").partition(" ")
    return _ORIGINS.get(name) if number == str(attempt) else None


def recovered_from(job: Job, attempt: int) -> str | None:
    """Return the id of the dead worker whose job this attempt repeats, or None where no mark names one."""
    if origin_of(job, attempt) is not Origin.RECOVERY or job.headers is None:
        return None
    worker_id = job.headers.get(RECOVERED_FROM_HEADER, "")[:_MAX_ID_CHARACTERS]
    return worker_id if worker_id and worker_id.isascii() else None
