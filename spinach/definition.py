"""One task as registered, the checks on its values, and the exceptions by which it steers its retry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

# Longer would be longer than most payloads; names are labels of metrics and fields of hashes.
_MAX_NAME_LENGTH: Final = 512


class RetryException(Exception):
    """Raised by a task: run me again.

    Args:
        message: Why, for logs and failure lists.
        at: Date of the next attempt; naive means UTC, None means the usual backoff. `max_retries`
            still counts.
    """

    def __init__(self, message: object = "", at: datetime | None = None) -> None:
        super().__init__(message)
        self.at = at


class AbortException(Exception):
    """Raised by a task: fail now, no retry whatever `max_retries` says."""


class Task:
    """One registered task.

    Attributes:
        func: The function that jobs call.
        name: Unique in its registry; stands in every job.
        queue: Queue of its jobs.
        max_retries: 0 when it is not safe to repeat.
        periodicity: Interval of a periodic task, or None.
        max_concurrency: How many may run at once over the namespace, or None.
    """

    __slots__ = ["func", "max_concurrency", "max_retries", "name", "periodicity", "queue"]

    def __init__(
        self,
        func: Callable[..., Any],
        name: str,
        queue: str,
        max_retries: int,
        periodicity: timedelta | None,
        max_concurrency: int | None = None,
    ) -> None:
        self.func = func
        self.name = name
        self.queue = queue
        self.max_retries = max_retries
        self.periodicity = periodicity
        self.max_concurrency = max_concurrency
        _check_task(self)

    @property
    def task_name(self) -> str:
        """The name, under the attribute that decorated functions carry."""
        return self.name

    @property
    def period_seconds(self) -> int | None:
        """The periodicity in whole seconds, None for a task that is not periodic."""
        return None if self.periodicity is None else int(self.periodicity.total_seconds())

    def __repr__(self) -> str:
        return f"Task <{self.name} queue={self.queue} max_retries={self.max_retries}>"


def check_queue_name(queue: object) -> None:
    """Check the name of a queue that an application may use.

    Raises:
        ValueError: it is not a text, empty, reserved, or cannot be stored.
    """
    _check_text("queue", queue)
    if str(queue).startswith("_"):
        raise ValueError(f"queue {queue!r} is reserved: names that start with '_' belong to Spinach")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a task needs a {what}: a non-empty string, not {value!r}")
    if len(value) > _MAX_NAME_LENGTH:
        raise ValueError(f"{what} {value[:40]!r}... is longer than {_MAX_NAME_LENGTH} characters")
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError(f"{what} {value!r} contains control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {value!r} cannot be written as UTF-8") from None


def _check_task(task: Task) -> None:
    if not callable(task.func):
        raise TypeError(f"task {task.name!r}: {task.func!r} is not callable")
    _check_text("name", task.name)
    check_queue_name(task.queue)
    if type(task.max_retries) is not int or task.max_retries < 0:
        raise ValueError(
            f"task {task.name!r}: max_retries is {task.max_retries!r}, expected an integer of 0 or more"
        )
    _check_periodicity(task)
    _check_max_concurrency(task)


def _check_periodicity(task: Task) -> None:
    period = task.periodicity
    if period is None:
        return
    if not isinstance(period, timedelta) or period < timedelta(seconds=1) or period.microseconds:
        raise ValueError(
            f"task {task.name!r}: periodicity is {period!r}, expected a timedelta of whole seconds, "
            "at least one"
        )


def _check_max_concurrency(task: Task) -> None:
    limit = task.max_concurrency
    if limit is None:
        return
    if type(limit) is not int or limit < 1:
        raise ValueError(
            f"task {task.name!r}: max_concurrency is {limit!r}, expected an integer of 1 or more"
        )
    if task.max_retries <= 0:
        raise ValueError(
            f"task {task.name!r}: max_concurrency needs max_retries > 0, since a slot is given back "
            "by repeating the job of a dead worker"
        )


def name_of(task: str | Callable[..., Any] | Task) -> str:
    """Return the name that `task` is registered under.

    Raises:
        TypeError: it is neither a name, a `Task`, nor a function that was made a task.
    """
    name = task if isinstance(task, str) else getattr(task, "task_name", None)
    if not isinstance(name, str):
        raise TypeError(
            f"{task!r} is not a task: pass a task name, a Task, or a function decorated with "
            "@engine.task(name=...) or @tasks.task(name=...)"
        )
    return name


# Tracebacks and failure lists name them by the path that applications import.
for _public in (RetryException, AbortException, Task):
    _public.__module__ = "spinach.task"
