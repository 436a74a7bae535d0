"""Adds the current job to log records, and formats records as lines of JSON. Never logs arguments of jobs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Final

from opentelemetry.trace import get_current_span

from spinach import Engine
from spinach.execution import Attempt
from spinach.hooks import OncePerEngine

#: What `JobContextFilter` adds: empty (0 for the attempt) if a record belongs to no job or no trace.
FIELDS: Final = ("job_id", "task", "queue", "spinach_namespace", "attempt", "trace_id", "span_id")
_current: Final[ContextVar[tuple[str, Attempt] | None]] = ContextVar("spinach_attempt", default=None)
_tracked: Final = OncePerEngine()
# The attributes that every record has; any other comes from `extra`.
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", *FIELDS}


def track_jobs(engine: Engine) -> Callable[[], None]:
    """Track the running job for `JobContextFilter`. An engine that is tracked already is left unchanged.

    Args:
        engine: The engine; before or after its workers start.

    Returns:
        A function that ends the tracking.

    Example:
        >>> track_jobs(engine)
        >>> handler.addFilter(JobContextFilter())
    """
    namespace = engine.namespace
    return _tracked.put_on(
        engine, lambda: [engine.wrap_attempts(lambda attempt: _CurrentAttempt(namespace, attempt))]
    )


class _CurrentAttempt:
    """Makes an attempt the current one while its function runs."""

    __slots__ = ("_token", "_value")

    def __init__(self, namespace: str, attempt: Attempt) -> None:
        self._value = (namespace, attempt)
        self._token: Token[tuple[str, Attempt] | None] | None = None

    def __enter__(self) -> None:
        self._token = _current.set(self._value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None


class JobContextFilter(logging.Filter):
    """Adds `FIELDS` to every record, also of the application. Needs `track_jobs`; add it to handlers.

    Example:
        >>> handler.addFilter(JobContextFilter())
        >>> handler.setFormatter(logging.Formatter("%(levelname)s %(job_id)s %(trace_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields that the record does not have; return True, so that no record is dropped."""
        attributes = record.__dict__
        for name, value in _job_fields().items():
            attributes.setdefault(name, value)
        return True


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of strict JSON: time, level, logger, message, job, trace, and its `extra`.

    The time is RFC 3339 in UTC. An entry of `extra` whose name is taken gets the prefix ``extra_``.

    Example:
        >>> handler.setFormatter(JsonFormatter())
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        when = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None))}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:  # the record came from another process
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        extras = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        line |= {f"extra_{name}" if name in line else name: value for name, value in extras.items()}
        try:
            return _dump(line)
        except (ValueError, RecursionError):  # a value is not JSON, or contains itself
            return _dump(
                {name: value if _can_dump(value) else _as_text(value) for name, value in line.items()}
            )


def _job_fields() -> dict[str, Any]:
    fields: dict[str, Any] = dict.fromkeys(FIELDS, "")
    fields["attempt"] = 0
    current = _current.get()
    if current is not None:
        namespace, attempt = current
        job = attempt.job
        fields |= {
            "job_id": str(job.id), "task": job.task_name, "queue": job.queue,
            "spinach_namespace": namespace, "attempt": attempt.number,
        }  # fmt: skip
    span = get_current_span().get_span_context()
    if span.is_valid:
        fields["trace_id"], fields["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return fields


def _dump(value: object) -> str:
    return json.dumps(value, default=_as_text, skipkeys=True, allow_nan=False)


def _can_dump(value: object) -> bool:
    try:
        _dump(value)
    except (ValueError, RecursionError):
        return False
    return True


def _as_text(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"
