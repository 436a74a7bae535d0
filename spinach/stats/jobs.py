"""What is kept of single jobs: those that stand somewhere, those that failed, what fails alike; and pages of them.

Part of the read model, see `stats`. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

# Nobody reads more on a screen, and the server is not to send more.
MAX_PAGE: Final = 200

PageKind = Literal["queue", "running", "scheduled", "failed", "groups"]


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One dead letter: a job that will not run again, or bytes that never were a job.

    Attributes:
        id: The job's id, or a digest of bytes that have none.
        raw: The job's text byte for byte.
        reason: ``failed``, ``in doubt`` (its worker died and it must not be repeated) or ``malformed``.
        failed_at: Epoch seconds by the broker's clock.
        queue: Queue it stood in, empty when unknown.
        task_name: Its task, empty when unknown.
        error_type: Fully qualified class of the error.
        message: Its message, capped.
        traceback: Its traceback, capped, empty when there is none.
        attempts: How often the function was started, as far as known.
        worker: Broker id of the worker that gave it up.
    """

    id: str
    raw: bytes
    reason: str
    failed_at: float
    queue: str = ""
    task_name: str = ""
    error_type: str = ""
    message: str = ""
    traceback: str = ""
    attempts: int = 0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one task with one type of error: what fails, and since when."""

    task_name: str
    error_type: str
    count: int
    first_seen: float
    last_seen: float
    sample_id: str
    sample_message: str


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as it stands in a queue or in a worker's hands, read leniently; arguments are only in `raw`.

    Attributes:
        raw: Its text byte for byte.
        id: Its id; like all that follows empty or None where the text does not say it.
        at: Epoch seconds of its date.
        enqueued_at: Epoch seconds of its last push, None for old producers.
        error: Why the text is not a job's, empty when it is.
    """

    raw: bytes
    id: str = ""
    task_name: str = ""
    queue: str = ""
    at: float | None = None
    enqueued_at: float | None = None
    retries: int | None = None
    max_retries: int | None = None
    error: str = ""

    @classmethod
    def read(cls, raw: bytes) -> JobInfo:
        """Return what a stored text says, whatever it is."""
        try:
            fields = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return cls(raw, error=f"not readable as JSON: {error}"[:200])
        if type(fields) is not dict:
            return cls(raw, error=f"a job is a JSON object, this is a {type(fields).__name__}")
        at = _number(fields.get("at"))
        return cls(
            raw=raw,
            id=_text(fields.get("id")),
            task_name=_text(fields.get("task_name")),
            queue=_text(fields.get("queue")),
            at=None if at is None else at + (_number(fields.get("at_us")) or 0.0) / 1e6,
            enqueued_at=_number(fields.get("enqueued_at")),
            retries=_count(fields.get("retries")),
            max_retries=_count(fields.get("max_retries")),
            error="" if at is not None else "its date is missing or no number",
        )

    @property
    def ready_since(self) -> float | None:
        """Epoch seconds from which it waits for a worker: the later of its date and its last push."""
        return self.at if self.at is None else max(self.at, self.enqueued_at or self.at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of single things that a snapshot is asked to bring along.

    Attributes:
        kind: Jobs of a ``queue``, ``running`` jobs, ``scheduled`` ones by date, ``failed`` ones with the newest first,
            or failure ``groups``, the latest first.
        of: The queue's name; the worker's broker id, empty for running jobs of all workers.
        limit: At most so many, 1 to `MAX_PAGE`; of failure groups all come, they are few.
        from_tail: Whether of a queue the last jobs are wanted, and not the first.
    """

    kind: PageKind
    of: str = ""
    limit: int = 100
    from_tail: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise ValueError(f"a page has 1 to {MAX_PAGE} entries, not {self.limit}")


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job in the hands of a worker; `reserved` while it was fetched and not started."""

    worker_id: str
    job: JobInfo
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What was found for `wanted`; only the field of its kind is filled.

    Attributes:
        wanted: What was asked for.
        jobs: Of a queue, head first, or scheduled ones, the earliest first.
        held: Running jobs.
        failed: Dead letters.
        groups: What fails alike.
        is_readable: Whether it could be read at all; else the snapshot's errors say why.
    """

    wanted: Wanted
    jobs: tuple[JobInfo, ...] = ()
    held: tuple[HeldJob, ...] = ()
    failed: tuple[FailedJob, ...] = ()
    groups: tuple[FailureGroup, ...] = ()
    is_readable: bool = True


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def _number(value: Any) -> float | None:
    # No time is beyond 2**53 seconds; Python reads infinities, NaN and integers of any size.
    if type(value) not in (int, float) or not -(2**53) < value < 2**53:
        return None
    return float(value)


def _count(value: Any) -> int | None:
    return value if type(value) is int else None
