"""The decorator `task`, which `Tasks`, `Engine` and the Flask extension share.

It does not know where tasks are kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])


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

        A bound method, a builtin or an object with slots takes no attribute: schedule such a task by its
        name.

        Args:
            func: The function, for ``engine.task(send, name="mail:send")``; a decorator leaves it out.
            name: Name of the task, unique and required, such as ``"shop:send_receipt"``.
            queue: Queue of its jobs; by default that of the registry, else ``"spinach"``.
            max_retries: How often a job may be repeated after an error or the death of its worker. 0, the
                default, is for functions that are not safe to repeat: they run at most once.
            periodicity: Run the task by itself at this interval: whole seconds, at least one.
            max_concurrency: How many jobs of the task may run at once over all workers of the namespace.
                Needs `max_retries` > 0.

        Returns:
            The function, or a decorator for one.

        Raises:
            TypeError: `func` is not callable.
            ValueError: The name is missing or taken, the queue is reserved, or another value is not valid.

        Example:
            >>> @engine.task(name="shop:send_receipt", max_retries=5)
            ... def send_receipt(order_id): ...
        """
        if func is None:
            return lambda function: self.task(
                function, name, queue, max_retries, periodicity, max_concurrency
            )
        self._add_task(func, name, queue, max_retries, periodicity, max_concurrency)
        # A bound method, a builtin or an object with slots takes no attribute: its task is scheduled by name.
        with suppress(AttributeError, TypeError):
            func.task_name = name  # type: ignore[attr-defined]
        return func

    @abstractmethod
    def _add_task(self, func: Callable[..., Any], name: str | None, *settings: Any) -> None:
        """Register the function of a task, with what else `task` was given, in order."""
