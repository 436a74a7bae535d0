"""Dead letters: makes one for each reason, writes and reads its stored form. Pure; both brokers share it.

The stored form is one line of JSON about the failure, then the bytes of the job as they were.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from ..error_text import describe, qualified_name, shorten, traceback_of
from ..exc import MalformedJob, WorkerLost
from ..job import Job, JobStatus
from ..stats import AttemptError, FailedJob, WorkerInfo
from .limits import MAX_SAMPLE_CHARACTERS

# Values of `FailedJob.reason`.
FAILED: Final = "failed"
IN_DOUBT: Final = "in doubt"
MALFORMED: Final = "malformed"

# Where malformed bytes are found, for a person; see also `jobs_of`.
WAITING_JOBS: Final = "the waiting jobs"
PERIODIC_TASKS: Final = "the periodic tasks"

# A person reads a dead letter; a longer text is cut in the middle.
MAX_MESSAGE_CHARACTERS: Final = 2_000
MAX_TRACEBACK_CHARACTERS: Final = 16_000
MAX_SAMPLE_TRACEBACK_CHARACTERS: Final = 4_000

_FACTS = (
    "reason",
    "queue",
    "task_name",
    "error_type",
    "message",
    "traceback",
    "attempts",
    "worker",
    "failed_at",
)


def to_record(letter: FailedJob) -> bytes:
    """Return the stored form of a dead letter; the raw bytes stay as they are."""
    facts = {name: getattr(letter, name) for name in _FACTS}
    return json.dumps(facts).encode() + b"\n" + letter.raw


def from_record(letter_id: str, record: bytes, failed_at: float) -> FailedJob:
    """Return the dead letter of a stored record; a record that cannot be read becomes a malformed one."""
    head, _, raw = record.partition(b"\n")
    try:
        facts: dict[str, Any] = json.loads(head)
        known = {name: facts[name] for name in _FACTS if type(facts[name]) in (str, int, float)}
        return FailedJob(id=letter_id, raw=raw, **{**known, "failed_at": failed_at})
    except (ValueError, KeyError, TypeError):
        return FailedJob(id=letter_id, raw=record, reason=MALFORMED, failed_at=failed_at)


def failed(job: Job, error: BaseException, *, attempts: int, now: float, worker_id: str) -> FailedJob:
    """Return the dead letter of a job whose last attempt failed with an error."""
    return FailedJob(
        id=str(job.id),
        raw=job.text(JobStatus.FAILED, job.enqueued_at or job.due_timestamp).encode(),
        reason=FAILED,
        failed_at=now,
        queue=job.queue,
        task_name=job.task_name,
        error_type=qualified_name(type(error)),
        message=shorten(describe(error), MAX_MESSAGE_CHARACTERS),
        traceback=shorten(traceback_of(error), MAX_TRACEBACK_CHARACTERS),
        attempts=attempts,
        worker=worker_id,
    )


def attempt_error(job: Job, error: BaseException, *, with_traceback: bool) -> AttemptError:
    """Return what is kept of the error of an attempt, also of one that is repeated."""
    return AttemptError(
        task_name=job.task_name,
        error_type=qualified_name(type(error)),
        job_id=str(job.id),
        message=describe(error)[:MAX_SAMPLE_CHARACTERS],
        traceback=shorten(traceback_of(error), MAX_SAMPLE_TRACEBACK_CHARACTERS) if with_traceback else "",
    )


def in_doubt(job: Job, raw: bytes, worker: WorkerInfo, now: float) -> FailedJob:
    """Return the dead letter of a job that ran on a worker that died, and that must not be repeated."""
    return FailedJob(
        id=str(job.id),
        raw=raw,
        reason=IN_DOUBT,
        failed_at=now,
        queue=job.queue,
        task_name=job.task_name,
        error_type=qualified_name(WorkerLost),
        message=f"worker {worker.id} on {worker.name or 'an unknown host'} died while it ran this job",
        attempts=job.retries + 1,
        worker=worker.id,
    )


def jobs_of(worker_id: str) -> str:
    """Return the name of the place where the jobs of a worker are."""
    return f"the jobs of worker {worker_id}"


def malformed(raw: bytes, error: MalformedJob, place: str, now: float, worker_id: str) -> FailedJob:
    """Return the dead letter of bytes that are not a job; `place` says where they were."""
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    return FailedJob(
        id=f"malformed-{digest}",
        raw=raw,
        reason=MALFORMED,
        failed_at=now,
        error_type=qualified_name(MalformedJob),
        message=f"found in {place}: {error}",
        worker=worker_id,
    )
