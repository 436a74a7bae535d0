"""Why a job is attempted, told in its headers by whoever knows: a client, a timer, a rescuer, a worker that retries.

A mark counts for one attempt only. Whoever moves a job on without knowing of marks, such as a worker of the published
package, so leaves one that no longer counts, never one that is wrong.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from .job import Job

ORIGIN_HEADER: Final = "spinach-origin"
RECOVERED_FROM_HEADER: Final = "spinach-recovered-from"
# Worker ids are 32 to 36 characters; another's registry may hold anything.
_MAX_ID_CHARACTERS: Final = 100
_NONE: Final[Mapping[str, str]] = {}


class Origin(enum.Enum):
    """Why there is an attempt."""

    CLIENT = "client"
    BATCH = "batch"
    PERIODIC = "periodic"
    RETRY = "retry"
    RECOVERY = "recovery"


_ORIGINS: Final = {origin.value: origin for origin in Origin}


def mark(job: Job, origin: Origin, headers: Mapping[str, str] = _NONE) -> None:
    """Note why there will be the job's next attempt; its `retries` are those of that attempt already.

    Args:
        job: The job.
        origin: Why.
        headers: More to put into the job's headers, in the same step.
    """
    told = f"{origin.value} {job.retries + 1}"
    if job.headers:
        job.headers = {**job.headers, **headers, ORIGIN_HEADER: told}
    else:
        job.headers = {**headers, ORIGIN_HEADER: told}


def mark_recovered(job: Job, worker_id: str) -> None:
    """Note that the job's next attempt follows one whose worker died."""
    mark(job, Origin.RECOVERY, {RECOVERED_FROM_HEADER: worker_id[:_MAX_ID_CHARACTERS]})


def origin_of(job: Job, attempt: int) -> Origin | None:
    """Return why there is this attempt, None when nobody told."""
    if not job.headers:
        return None
    name, _, number = job.headers.get(ORIGIN_HEADER, "").partition(" ")
    return _ORIGINS.get(name) if number == str(attempt) else None


def recovered_from(job: Job, attempt: int) -> str | None:
    """Return the id of the dead worker that this attempt was taken from, None when it was taken from none that can be told."""
    if origin_of(job, attempt) is not Origin.RECOVERY or job.headers is None:
        return None
    worker_id = job.headers.get(RECOVERED_FROM_HEADER, "")[:_MAX_ID_CHARACTERS]
    return worker_id if worker_id and worker_id.isascii() else None
