"""One execution of a task: its fields, its life cycle, and the way to and from its text."""

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

    In Redis the place of a job (queue, future, running) is the truth and this number a hint.
    """

    NOT_SET = 0
    WAITING = 1
    QUEUED = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5


class Job:
    """One execution of a task. Mutable: only workers, the notifier and brokers change it.

    Attributes:
        id: Unique over all namespaces; kept across retries.
        status: Where it is in its life.
        task_name: Name of the task it runs.
        queue: Queue it stands in.
        at: Aware UTC date before which it does not start.
        max_retries: How often it may be repeated; 0 means it is not safe to repeat.
        retries: How often it has been repeated, rescues of dead workers included.
        task_args: Positional arguments.
        task_kwargs: Keyword arguments.
        task_func: The function, once the job has met an engine that knows its task.
        enqueued_at: Epoch seconds (server clock) of the last push to a queue, None for old producers.
        headers: Text that travels with the job, such as a trace context; None or a flat mapping.
        timeout: Seconds the job may run, or None.
        unique_key: Key of a unique job, or None.
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
        # Raw payload as a client sent it; the arguments above may be changed by the task.
        self._payload: tuple[str, str] | bytes | None = None
        # Its field in a running hash, where that is not the id (bytes whose id Lua could not read).
        self._field: str | None = None
        # What tells this handing out from any other of the same job; set by brokers that need it.
        self._mark: bytes = b""

    @property
    def at_timestamp(self) -> int:
        """Epoch seconds of the first whole second after `at`."""
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
        """Whether the job may be executed once more after this time."""
        return self.retries < self.max_retries

    @property
    def held_as(self) -> str:
        """Field of the running hash under which a broker holds this job."""
        return self._field or str(self.id)

    def check_signature(self) -> None:
        """Check that the arguments fit the task's function.

        Raises:
            InvalidJobSignatureError: they do not.
        """
        if self.task_func is None:
            return
        signature = _signature_of(self.task_func)
        if signature is None:
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
            InvalidJobArguments: the job never was a text and its arguments cannot be one.
        """
        if self._payload is None:
            self._payload = codec.dump_payload(self.task_args, self.task_kwargs)
        elif isinstance(self._payload, bytes):
            self._payload = codec.payload_of(self._payload)
        return self._payload

    def text(self, status: JobStatus, enqueued_at: float) -> str:
        """Return the job's text as it is to stand in a queue.

        Args:
            status: The status to write; that of the job is left alone.
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
        """Return the job's text in its present status.

        Raises:
            InvalidJobArguments: the arguments are not strict JSON.
        """
        return self.text(self.status, self.enqueued_at or self.due_timestamp)

    @classmethod
    def deserialize(cls, job_json_string: str | bytes) -> Job:
        """Return the job that a text describes.

        Raises:
            MalformedJob: the text is not a job's.
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
    """Return the status hint of a stored job; the place where it stood overrides it anyway."""
    return JobStatus(value) if type(value) is int and 0 <= value <= 5 else JobStatus.NOT_SET


def _number_or_none(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    # Python reads NaN, infinities and integers of any size; no time is one.
    return value if -_MAX_SECONDS < value < _MAX_SECONDS else None  # type: ignore[return-value, operator]


def _headers_or_none(value: object) -> dict[str, str] | None:
    if type(value) is not dict:
        return None
    return {name: text for name, text in value.items() if type(text) is str}


@lru_cache(maxsize=4096)
def _cached_signature(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(func)
    except (TypeError, ValueError):  # builtins without a signature: let the call decide
        return None


def _signature_of(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return _cached_signature(func)
    except TypeError:  # an unhashable callable
        return None
