"""Tasks: one as registered, the registry, the batch, and the exceptions by which a task steers its retry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from . import const
from .exc import UnknownTask
from .job import Job
from .validation import check_queue_name, check_task

__all__ = ["AbortException", "Batch", "RetryException", "Task", "Tasks"]

F = TypeVar("F", bound=Callable[..., Any])


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
        check_task(name, func, queue, max_retries, periodicity, max_concurrency)

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


# What stands for a task in a call: its name, the decorated function, or the `Task` itself.
AnyTask: TypeAlias = str | Callable[..., Any] | Task


def name_of(task: AnyTask) -> str:
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


class BatchEntry(NamedTuple):
    """One job to be: what to run, when, with what. `at` of None means now."""

    task: AnyTask
    at: datetime | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Batch:
    """Jobs that are scheduled together, in one round trip."""

    def __init__(self) -> None:
        self.entries: list[BatchEntry] = []

    def schedule(self, task: AnyTask, *args: Any, **kwargs: Any) -> None:
        """Add a job that runs as soon as possible."""
        self.entries.append(BatchEntry(task, None, args, kwargs))

    def schedule_at(self, task: AnyTask, at: datetime, *args: Any, **kwargs: Any) -> None:
        """Add a job that does not run before `at` (naive means UTC)."""
        self.entries.append(BatchEntry(task, at, args, kwargs))

    def __len__(self) -> int:
        return len(self.entries)


class Scheduler(Protocol):
    """What a registry needs of the engine it is attached to."""

    def schedule(self, task: AnyTask, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job to run now."""

    def schedule_at(self, task: AnyTask, at: datetime, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job to run at a date."""

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule many jobs at once."""


class TaskDecorator(ABC):
    """Gives its subclasses the decorator `task`."""

    @overload
    def task(
        self,
        func: None = None,
        name: str | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        periodicity: timedelta | None = None,
        max_concurrency: int | None = None,
    ) -> Callable[[F], F]: ...

    @overload
    def task(
        self,
        func: F,
        name: str | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        periodicity: timedelta | None = None,
        max_concurrency: int | None = None,
    ) -> F: ...

    def task(
        self,
        func: F | None = None,
        name: str | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        periodicity: timedelta | None = None,
        max_concurrency: int | None = None,
    ) -> F | Callable[[F], F]:
        """Decorate a function to make it a task. The function is returned unchanged, but for `.task_name`.

        Args:
            func: The function, where the decorator stands without parentheses.
            name: Name of the task, unique and required, such as ``"shop:send_receipt"``.
            queue: Queue of its jobs; by default that of the registry, else ``"spinach"``.
            max_retries: How often a job may be repeated after an error or the death of its worker. 0, the
                default, is for functions that are not safe to repeat: they run at most once.
            periodicity: Run the task by itself at this interval: whole seconds, at least one.
            max_concurrency: How many jobs of the task may run at once over all workers of the namespace. Needs
                `max_retries` > 0.

        Returns:
            The function, or a decorator for one.

        Raises:
            TypeError: `func` is not callable.
            ValueError: the name is missing or taken, the queue is reserved, or another value is not valid.

        Example:
            >>> @engine.task(name="shop:send_receipt", max_retries=5)
            ... def send_receipt(order_id): ...
        """
        if func is None:
            return lambda function: self.task(
                function, name, queue, max_retries, periodicity, max_concurrency
            )
        self._add_task(func, name, queue, max_retries, periodicity, max_concurrency)
        func.task_name = name  # type: ignore[attr-defined]
        return func

    @abstractmethod
    def _add_task(self, func: Callable[..., Any], name: str | None, *settings: Any) -> None:
        """Register the function of a task, with what else `task` was given, in order."""


class Tasks(TaskDecorator):
    """A registry of tasks with shared defaults, to be attached to an engine.

    Args:
        queue: Default queue, `const.DEFAULT_QUEUE` when None.
        max_retries: Default number of retries, `const.DEFAULT_MAX_RETRIES` when None.
        periodicity: Default interval of periodic tasks.
        max_concurrency: Default limit of jobs running at once.
    """

    def __init__(
        self,
        queue: str | None = None,
        max_retries: int | None = None,
        periodicity: timedelta | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        if queue is not None:
            check_queue_name(queue)
        self.queue = queue
        self.max_retries = max_retries
        self.periodicity = periodicity
        self.max_concurrency = max_concurrency
        self._tasks: dict[str, Task] = {}
        self._scheduler: Scheduler | None = None

    @property
    def names(self) -> list[str]:
        """Names of the registered tasks, in order of registration."""
        return list(self._tasks)

    @property
    def tasks(self) -> dict[str, Task]:
        """The registered tasks by name."""
        return self._tasks

    def get(self, name: AnyTask) -> Task:
        """Return the task of that name.

        Raises:
            UnknownTask: it is not registered; the message lists those that are.
        """
        task_name = name_of(name)
        try:
            return self._tasks[task_name]
        except KeyError:
            raise UnknownTask(
                f'Unknown task "{task_name}", known tasks: {sorted(self._tasks)}; '
                "attach its Tasks to this engine first"
            ) from None

    def update(self, tasks: Tasks) -> None:
        """Copy the tasks of another registry into this one; the newcomer wins over a namesake."""
        self._tasks.update(tasks.tasks)

    def add(
        self,
        func: Callable[..., Any],
        name: str | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        periodicity: timedelta | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        """Register a function as a task without touching it; parameters as in `task`."""
        if not name:
            raise ValueError(f"a task needs a name: pass name=... for {func!r}")
        if name in self._tasks:
            raise ValueError(
                f"a task named {name!r} is already registered; known tasks: {sorted(self._tasks)}"
            )
        self._tasks[name] = Task(
            func,
            name,
            _first(queue, self.queue, const.DEFAULT_QUEUE),
            _first(max_retries, self.max_retries, const.DEFAULT_MAX_RETRIES),
            _first(periodicity, self.periodicity, None),
            _first(max_concurrency, self.max_concurrency, None),
        )

    def _add_task(self, func: Callable[..., Any], name: str | None, *settings: Any) -> None:
        self.add(func, name, *settings)

    def bind(self, scheduler: Scheduler) -> bool:
        """Schedule through `scheduler` from now on; return whether another one was bound before."""
        rebound = self._scheduler is not None and self._scheduler is not scheduler
        self._scheduler = scheduler
        return rebound

    def _bound(self) -> Scheduler:
        if self._scheduler is None:
            raise RuntimeError(
                "these Tasks are not attached to an engine: call engine.attach_tasks(tasks) first"
            )
        return self._scheduler

    def schedule(self, task: AnyTask, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job on the attached engine; see `Engine.schedule`."""
        return self._bound().schedule(task, *args, **kwargs)

    def schedule_at(self, task: AnyTask, at: datetime, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job at a date on the attached engine; see `Engine.schedule_at`."""
        return self._bound().schedule_at(task, at, *args, **kwargs)

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule a batch on the attached engine; see `Engine.schedule_batch`."""
        return self._bound().schedule_batch(batch)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
