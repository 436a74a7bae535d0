"""Single jobs as stored: queued, held, waiting or failed; groups of failures; and pages of them.

Part of the read model, see `stats`. Arguments are shown in the raw text only. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from .numbers import integer, number

# More than any screen shows; bounds what one poll makes the server send.
MAX_PAGE: Final = 200
# The number of `JobStatus.RUNNING` in a stored text.
_RUNNING: Final = 3

PageKind = Literal["queue", "running", "scheduled", "failed", "groups"]


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One dead letter: a job that will not run again, or bytes that never were a job.

    Attributes:
        id: The job's id, or a digest of bytes that have none.
        raw: The job's text byte for byte.
        reason: ``failed``, ``in doubt`` (its worker died and it must not be repeated) or ``malformed``.
        failed_at: Epoch seconds by the broker's clock.
        queue: Its queue, empty when unknown.
        task_name: Its task, empty when unknown.
        error_type: Fully qualified class of the error.
        message: Message of the error, shortened.
        traceback: Traceback of the error, shortened; empty when there is none.
        attempts: How often the function was started, as far as known.
        worker: Id of the worker that ran it last.
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
    """Errors of one task with one type: what fails, and since when.

    Attributes:
        count: Jobs that failed for good with it, over the life of the group.
        first_seen: Epoch seconds of the first attempt that ended with it since the last hour without one; of
            the first job that failed for good where no attempts are known.
        last_seen: Epoch seconds of the latest.
        sample_id: Id of the latest job.
        sample_message: Message of its error.
        attempts: Attempts that ended with it, over the life of the group, also those that were repeated.
        sample_traceback: Traceback of a late one that was repeated; empty where it was not read.
    """

    task_name: str
    error_type: str
    count: int
    first_seen: float
    last_seen: float
    sample_id: str
    sample_message: str
    attempts: int = 0
    sample_traceback: str = ""

    @classmethod
    def merged(cls, failed: Iterable[FailureGroup], erring: Iterable[FailureGroup]) -> list[FailureGroup]:
        """Return the groups of both kinds, the latest first: a task and type of error has one.

        Args:
            failed: Groups of jobs that failed for good.
            erring: Groups of attempts that ended in an error.
        """
        groups = {(group.task_name, group.error_type): group for group in failed}
        for group in erring:
            known = groups.get((group.task_name, group.error_type))
            groups[group.task_name, group.error_type] = group if known is None else known._with(group)
        return sorted(groups.values(), key=lambda group: group.last_seen, reverse=True)

    def _with(self, erring: FailureGroup) -> FailureGroup:
        newest = erring if erring.last_seen >= self.last_seen else self
        return replace(
            newest, count=self.count, attempts=max(erring.attempts, self.count), first_seen=erring.first_seen,
            sample_traceback=erring.sample_traceback,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A stored job, read leniently: a text that is not a job's gives what can be read, and an `error`.

    Attributes:
        raw: Its text byte for byte.
        id: Its id; this and all that follows is empty or None where the text does not say it.
        at: Epoch seconds of its date.
        enqueued_at: Epoch seconds of its last push; producers of the published package do not say it.
        retries: Retries so far.
        max_retries: Retries allowed.
        started_at: Epoch seconds since which it runs, by the server's clock; None unless a worker of this
            package runs it.
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
    started_at: float | None = None
    error: str = ""

    @classmethod
    def read(cls, raw: bytes) -> JobInfo:
        """Return what a stored text says."""
        try:
            fields = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return cls(raw, error=f"not readable as JSON: {error}"[:200])
        if type(fields) is not dict:
            return cls(raw, error=f"a job is a JSON object, this is a {type(fields).__name__}")
        at = number(fields.get("at"))
        return cls(
            raw=raw,
            id=_text(fields.get("id")),
            task_name=_text(fields.get("task_name")),
            queue=_text(fields.get("queue")),
            at=None if at is None else at + (number(fields.get("at_us")) or 0.0) / 1e6,
            enqueued_at=number(fields.get("enqueued_at")),
            retries=integer(fields.get("retries")),
            max_retries=integer(fields.get("max_retries")),
            started_at=number(fields.get("started_at")) if fields.get("status") == _RUNNING else None,
            error="" if at is not None else "its date is missing or not a number",
        )

    @property
    def ready_since(self) -> float | None:
        """Since when it waits for a worker, in epoch seconds: the later of its date and its last push."""
        return self.at if self.at is None else max(self.at, self.enqueued_at or self.at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of jobs or failures that a snapshot shall contain.

    Attributes:
        kind: Jobs of a ``queue``, ``running`` jobs, ``scheduled`` ones by date, ``failed`` ones, the newest
            first, or failure ``groups``, the latest first.
        of: Name of the queue, or id of the worker; empty for running jobs of all workers.
        limit: At most so many entries, 1 to `MAX_PAGE`. Failure groups are few: all are read.
        from_tail: Read the last jobs of a queue instead of the first.
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
    """A job that a worker holds: claimed, or `reserved` until the worker says that it starts."""

    worker_id: str
    job: JobInfo
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a `Wanted`; only the field of its kind is filled.

    Attributes:
        wanted: What was asked for.
        jobs: Jobs of a queue, head first, or scheduled ones, the earliest first.
        held: Running jobs.
        failed: Dead letters, the newest first.
        groups: Failure groups, the latest first.
        is_readable: False when it could not be read; the snapshot's errors say why.
    """

    wanted: Wanted
    jobs: tuple[JobInfo, ...] = ()
    held: tuple[HeldJob, ...] = ()
    failed: tuple[FailedJob, ...] = ()
    groups: tuple[FailureGroup, ...] = ()
    is_readable: bool = True


def _text(value: Any) -> str:
    return value if type(value) is str else ""
