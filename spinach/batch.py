"""Jobs that are scheduled together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from .definition import Task


class BatchEntry(NamedTuple):
    """One job to be: what to run, when, with what. `at` of None means now."""

    task: str | Callable[..., Any] | Task
    at: datetime | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Batch:
    """Jobs that are scheduled together, in one round trip."""

    def __init__(self) -> None:
        self.entries: list[BatchEntry] = []

    def schedule(self, task: str | Callable[..., Any] | Task, *args: Any, **kwargs: Any) -> None:
        """Add a job that runs as soon as possible."""
        self.entries.append(BatchEntry(task, None, args, kwargs))

    def schedule_at(
        self, task: str | Callable[..., Any] | Task, at: datetime, *args: Any, **kwargs: Any
    ) -> None:
        """Add a job that does not run before `at` (naive means UTC)."""
        self.entries.append(BatchEntry(task, at, args, kwargs))

    def __len__(self) -> int:
        return len(self.entries)
