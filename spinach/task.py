"""What applications declare and schedule: tasks, registries, batches, and the exceptions that steer retries.

Nothing here speaks to a broker.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeAlias

from . import const
from .decorator import TaskDecorator
from .exc import UnknownTask
from .job import Job
from .validation import check_queue_name, check_task

__all__ = ["AbortException", "Batch", "RetryException", "Task", "Tasks"]


class RetryException(Exception):
    """A task raises it to run its job again.

    The job fails all the same when its `max_retries` are used up.

    Args:
        message: Why, for logs and dead letters.
        at: Date of the next attempt; a naive one is UTC. None means the usual backoff.

    Example:
        >>> raise RetryException("the payment is pending", at=in_five_minutes)
    """

    def __init__(self, message: object = "", at: datetime | None = None) -> None:
        super().__init__(message)
        self.at = at


class AbortException(Exception):
    """A task raises it to fail its job now, without the retries that are left."""


class Task:
    """One registered task.

    Args:
        func: The function that jobs call.
        name: Name of the task, unique in its registry; every job carries it.
        queue: Queue of its jobs.
        max_retries: How often a job may be repeated; 0 when the function is not safe to repeat.
        periodicity: Interval of a periodic task, in whole seconds, or None.
        max_concurrency: How many jobs of the task may run at once over the namespace, or None.

    Raises:
        TypeError: `func` is not callable.
        ValueError: Another value is not valid.
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
        """The name again, under the attribute that decorated functions have."""
        return self.name

    @property
    def period_seconds(self) -> int | None:
        """The periodicity in whole seconds, None for a task that is not periodic."""
        return None if self.periodicity is None else int(self.periodicity.total_seconds())

    def __repr__(self) -> str:
        return f"Task <{self.name} queue={self.queue} max_retries={self.max_retries}>"


# How a call may name a task: by its name, the decorated function, or the `Task`.
AnyTask: TypeAlias = str | Callable[..., Any] | Task


# Stands for `task` and `at` in the calls that schedule: these are taken by position, so that a function may
# have
# parameters of the same names, and by name where they are not given by position.
GIVEN_BY_NAME: Any = ...


def by_name(kwargs: dict[str, Any], name: str) -> Any:
    """Take `task` or `at` out of the keyword arguments of a call.

    Raises:
        TypeError: It is not there.
    """
    try:
        return kwargs.pop(name)
    except KeyError:
        raise TypeError(f"the argument {name!r} is missing: give it first, or by name") from None


def name_of(task: AnyTask) -> str:
    """Return the name that a task is registered under.

    Args:
        task: Name, decorated function, or `Task`.

    Raises:
        TypeError: The value is something else.
    """
    name = task if isinstance(task, str) else getattr(task, "task_name", None)
    if not isinstance(name, str):
        raise TypeError(
            f"{task!r} is not a task: pass a task name, a Task, or a function decorated with "
            "@engine.task(name=...) or @tasks.task(name=...)"
        )
    return name


class BatchEntry(NamedTuple):
    """One job of a batch: what to run, when (None: now), and its arguments."""

    task: AnyTask
    at: datetime | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Batch:
    """Jobs that are scheduled together, in one round trip; see `Engine.schedule_batch`."""

    def __init__(self) -> None:
        self.entries: list[BatchEntry] = []

    def schedule(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> None:
        """Add a job that runs as soon as possible.

        Args:
            task: Name, decorated function, or `Task`; checked when the batch is scheduled.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.
        """
        if task is GIVEN_BY_NAME:
            task = by_name(kwargs, "task")
        self.entries.append(BatchEntry(task, None, args, kwargs))

    def schedule_at(
        self, task: AnyTask = GIVEN_BY_NAME, at: datetime = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any
    ) -> None:
        """Add a job that does not run before a date.

        Args:
            task: Name, decorated function, or `Task`; checked when the batch is scheduled.
            at: The date; a naive one is UTC.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.
        """
        if task is GIVEN_BY_NAME:
            task = by_name(kwargs, "task")
        if at is GIVEN_BY_NAME:
            at = by_name(kwargs, "at")
        self.entries.append(BatchEntry(task, at, args, kwargs))

    def __len__(self) -> int:
        return len(self.entries)


class Scheduler(Protocol):
    """What a registry needs from the engine it is attached to."""

    def schedule(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job to run now."""

    def schedule_at(
        self, task: AnyTask = GIVEN_BY_NAME, at: datetime = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job to run at a date."""

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule many jobs at once."""


class Tasks(TaskDecorator):
    """A registry of tasks that share defaults. An engine knows the tasks once the registry is attached to it.

    Args:
        queue: Queue of tasks that name none; ``"spinach"`` when None.
        max_retries: Number of retries of tasks that give none; 0 when None.
        periodicity: Interval of tasks that give none; not periodic when None.
        max_concurrency: How many jobs of each task may run at once, where a task gives no limit; no limit
            when None.

    Raises:
        ValueError: The queue is reserved or cannot be stored.

    Example:
        >>> tasks = Tasks(queue="mail", max_retries=5)
        >>> @tasks.task(name="mail:send")
        ... def send(address): ...
        >>> engine.attach_tasks(tasks)
        >>> tasks.schedule(send, "someone@example.org")
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
        """Return a registered task.

        Args:
            name: Name, decorated function, or `Task`.

        Raises:
            UnknownTask: The task is not registered; the message lists those that are.
            TypeError: `name` is not a task.
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
        """Copy the tasks of another registry into this one.

        Args:
            tasks: The other registry. Its tasks replace those of the same name.
        """
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
        """Register a function as a task without changing it: it gets no `.task_name`.

        Args:
            func: The function.
            name: Name of the task, unique and required.
            queue: Queue of its jobs; by default that of the registry.
            max_retries: How often a job may be repeated; 0 when the function is not safe to repeat.
            periodicity: Run the task by itself at this interval: whole seconds, at least one.
            max_concurrency: How many jobs of the task may run at once over the namespace.

        Raises:
            TypeError: `func` is not callable.
            ValueError: The name is missing or taken, or another value is not valid.
        """
        if not name:
            raise ValueError(f"a task needs a name: pass name=... for {func!r}")
        if name in self._tasks:
            raise ValueError(
                f"a task named {name!r} is already registered; known tasks: {sorted(self._tasks)}"
            )
        self._tasks[name] = Task(
            func,
            name,
            _first_given(queue, self.queue, const.DEFAULT_QUEUE),
            _first_given(max_retries, self.max_retries, const.DEFAULT_MAX_RETRIES),
            _first_given(periodicity, self.periodicity, None),
            _first_given(max_concurrency, self.max_concurrency, None),
        )

    def _add_task(self, func: Callable[..., Any], name: str | None, *settings: Any) -> None:
        self.add(func, name, *settings)

    def bind(self, scheduler: Scheduler) -> bool:
        """Schedule through an engine from now on; `Engine.attach_tasks` calls it.

        Args:
            scheduler: The engine.

        Returns:
            Whether the registry scheduled through another engine before.
        """
        rebound = self._scheduler is not None and self._scheduler is not scheduler
        self._scheduler = scheduler
        return rebound

    def _attached_engine(self) -> Scheduler:
        if self._scheduler is None:
            raise RuntimeError(
                "these Tasks are not attached to an engine: call engine.attach_tasks(tasks) first"
            )
        return self._scheduler

    def schedule(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job on the engine this registry is attached to; see `Engine.schedule`.

        Args:
            task: Name, decorated function, or `Task`.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.

        Raises:
            RuntimeError: The registry is not attached to an engine.
        """
        return self._attached_engine().schedule(task, *args, **kwargs)

    def schedule_at(
        self, task: AnyTask = GIVEN_BY_NAME, at: datetime = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job for a date on the engine this registry is attached to; see `Engine.schedule_at`.

        Args:
            task: Name, decorated function, or `Task`.
            at: The date before which the job does not run; a naive one is UTC.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.

        Raises:
            RuntimeError: The registry is not attached to an engine.
        """
        return self._attached_engine().schedule_at(task, at, *args, **kwargs)

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule jobs together on the engine this registry is attached to; see `Engine.schedule_batch`.

        Args:
            batch: The jobs.

        Raises:
            RuntimeError: The registry is not attached to an engine.
        """
        return self._attached_engine().schedule_batch(batch)


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
