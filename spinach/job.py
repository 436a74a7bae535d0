"""One execution of a task: its fields, its life cycle, and its text, written and read.

A job moves nowhere by itself: only workers, the notifier and brokers change it.
"""

from __future__ import annotations

import enum
import inspect
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from . import codec
from .clock import to_datetime
from .exc import InvalidJobSignatureError

__all__ = ["Job", "JobStatus"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND: Final = timedelta(seconds=1)
# Beyond any date or duration; up to here floats are exact to the second.
_MAX_SECONDS: Final = 2**53


class JobStatus(enum.IntEnum):
    """Where a job is in its life.

    ::

        NOT_SET ──schedule──► QUEUED ──claim──► RUNNING ──► SUCCEEDED
           │                    ▲                 │ └─────► FAILED (dead letter)
           └──schedule_at──► WAITING ◄────retry───┘

    In Redis the place of a job (queue, future, running) is the truth, and this number is a hint.
    """

    NOT_SET = 0
    WAITING = 1
    QUEUED = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5


class Job:
    """One execution of a task, retries included. `Engine.schedule` makes it.

    Args:
        task_name: Name of the task it runs.
        queue: Queue it is in.
        at: Aware UTC date before which it does not start.
        max_retries: How often it may be repeated; 0 means it is not safe to repeat.
        task_args: Positional arguments of the function.
        task_kwargs: Keyword arguments of the function.

    Attributes:
        id: UUID, unique over all namespaces; a retry keeps it.
        status: Where it is in its life.
        retries: How often it has been repeated, after errors and after deaths of workers.
        task_func: The function; None until an engine that knows the task has seen the job.
        enqueued_at: Epoch seconds (server's clock) of the last push to a queue; None from old clients.
        headers: Strings that travel with the job, such as a trace context; None or a flat mapping.
        timeout: Reserved, not produced yet: seconds the job may run. Carried unchanged.
        unique_key: Reserved, not produced yet: key of a unique job. Carried unchanged.
    """

    __slots__ = (  # noqa: RUF023 - the published order, which integrations iterate
        "id",
        "status",
        "task_name",
        "queue",
        "at",
        "max_retries",
        "retries",
        "task_args",
        "task_kwargs",
        "task_func",
        "enqueued_at",
        "headers",
        "timeout",
        "unique_key",
        "_payload",
        "_field",
        "_mark",
    )

    def __init__(
        self,
        task_name: str,
        queue: str,
        at: datetime,
        max_retries: int,
        task_args: tuple[Any, ...] | None = None,
        task_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.id = UUID(bytes=os.urandom(16), version=4)
        self.status = JobStatus.NOT_SET
        self.task_name = task_name
        self.queue = queue
        self.at = at
        self.max_retries = max_retries
        self.retries = 0
        self.task_args: tuple[Any, ...] = task_args or ()
        self.task_kwargs: dict[str, Any] = task_kwargs or {}
        self.task_func: Callable[..., Any] | None = None
        self.enqueued_at: float | None = None
        self.headers: dict[str, str] | None = None
        self.timeout: float | None = None
        self.unique_key: str | None = None
        # The arguments as the client sent them; the task may change the objects above.
        self._payload: tuple[str, str] | bytes | None = None
        # Its field in a running hash: the id as a client spelled it, capitals included.
        self._field: str | None = None
        # Tells this delivery from any other of the same job; set by brokers that need it.
        self._mark: bytes = b""

    @property
    def at_timestamp(self) -> int:
        """The first whole epoch second after `at`."""
        return (self.at - _EPOCH) // _SECOND + 1

    @property
    def due_timestamp(self) -> float:
        """Epoch seconds of `at`, exact to the microsecond."""
        return (self.at - _EPOCH).total_seconds()

    @property
    def should_start(self) -> bool:
        """Whether the job is due by this machine's clock."""
        return self.at <= datetime.now(timezone.utc)

    @property
    def should_retry(self) -> bool:
        """Whether the job may run once more after the present attempt."""
        return self.retries < self.max_retries

    @property
    def held_as(self) -> str:
        """The id under which a broker holds this job while it runs."""
        return self._field or str(self.id)

    def check_signature(self) -> None:
        """Check that the arguments fit the task's function, where that is known.

        Raises:
            InvalidJobSignatureError: They do not fit.
        """
        if self.task_func is None or (signature := _signature_of(self.task_func)) is None:
            return
        try:
            signature.bind(*self.task_args, **self.task_kwargs)
        except TypeError as error:
            raise InvalidJobSignatureError(
                f"Arguments of job not compatible with task {self.task_name}: {error}"
            ) from None

    def payload(self) -> tuple[str, str]:
        """Return the JSON texts of the arguments, byte for byte as the client sent them.

        Raises:
            InvalidJobArguments: The arguments were never sent, and are not strict JSON.
        """
        if self._payload is None:
            self._payload = codec.dump_payload(self.task_args, self.task_kwargs)
        elif isinstance(self._payload, bytes):
            self._payload = codec.payload_of(self._payload)
        return self._payload

    def text(self, status: JobStatus, enqueued_at: float) -> str:
        """Return the text under which a broker stores the job.

        Args:
            status: The status to write; the job keeps its own.
            enqueued_at: Epoch seconds of the push, by the broker's clock.
        """
        head = codec.envelope(
            at=(self.at - _EPOCH) // _SECOND,
            at_us=self.at.microsecond,
            enqueued_at=enqueued_at,
            job_id=str(self.id),
            max_retries=self.max_retries,
            queue=self.queue,
            retries=self.retries,
            status=status,
            further=self._further(),
        )
        return codec.assemble(head, self.payload(), self.task_name)

    def _further(self) -> Mapping[str, Any] | None:
        if self.headers is None and self.timeout is None and self.unique_key is None:
            return None
        extra = {"headers": self.headers, "timeout": self.timeout, "unique_key": self.unique_key}
        return {name: value for name, value in extra.items() if value is not None}

    def serialize(self) -> str:
        """Return the text of the job in its present status.

        Raises:
            InvalidJobArguments: The arguments are not strict JSON.
        """
        return self.text(self.status, self.enqueued_at or self.due_timestamp)

    @classmethod
    def deserialize(cls, job_json_string: str | bytes) -> Job:
        """Return the job that a text describes.

        Args:
            job_json_string: What `serialize` of this or an old release returned.

        Raises:
            MalformedJob: The text is not that of a job.
        """
        fields = codec.parse(job_json_string)
        job = cls.__new__(cls)
        job.id = UUID(fields["id"])
        job.status = _status_of(fields.get("status"))
        job.task_name = fields["task_name"]
        job.queue = fields["queue"]
        job.at = to_datetime(fields["at"]).replace(microsecond=fields["at_us"])
        job.max_retries = fields["max_retries"]
        job.retries = fields["retries"]
        job.task_args = tuple(fields["task_args"])
        job.task_kwargs = fields["task_kwargs"]
        job.task_func = None
        job.enqueued_at = _number_or_none(fields.get("enqueued_at"))
        job.headers = _headers_or_none(fields.get("headers"))
        job.timeout = _number_or_none(fields.get("timeout"))
        unique_key = fields.get("unique_key")
        job.unique_key = unique_key if type(unique_key) is str else None
        raw = job_json_string
        job._payload = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
        job._field = fields["id"]
        job._mark = b""
        return job

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__[:9])

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Job <{self.task_name} {self.status.name} {self.id}>"


def _status_of(value: object) -> JobStatus:
    """Return the status that a stored job hints at; its place in the store decides."""
    return JobStatus(value) if type(value) is int and 0 <= value <= 5 else JobStatus.NOT_SET


def _number_or_none(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    # Python also reads NaN, infinities and integers of any size from JSON; none of them is a time.
    return value if -_MAX_SECONDS < value < _MAX_SECONDS else None  # type: ignore[return-value, operator]


def _headers_or_none(value: object) -> dict[str, str] | None:
    if type(value) is not dict:
        return None
    return {name: text for name, text in value.items() if type(text) is str}


@lru_cache(maxsize=4096)
def _cached_signature(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        # Not that of a function it wraps: a decorator may supply or rename arguments.
        return inspect.signature(func, follow_wrapped=False)
    except (TypeError, ValueError):  # builtins without a signature: let the call decide
        return None


def _signature_of(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return _cached_signature(func)
    except TypeError:  # an unhashable callable
        return None
