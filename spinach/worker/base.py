"""The contract of workers: slots that run the jobs handed to them, one job per slot at a time.

Workers fetch nothing and acknowledge nothing; the arbiter does both.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import TypeVar

from ..execution import Environment
from ..job import Job

T = TypeVar("T")


class BaseWorkers(ABC):
    """A fixed number of slots that run jobs.

    Pass a subclass as `workers_class` to `Engine.start_workers`. The arbiter calls `submit` and `reclaim` in
    its thread; it may call `reclaim` while `stop` runs in another.

    Args:
        num_workers: Number of slots: how many jobs run at once, 1 or more.
        namespace: Prefix of thread names and sender of signals.

    Raises:
        ValueError: `num_workers` is not an integer of 1 or more.
    """

    def __init__(self, num_workers: int, namespace: str) -> None:
        if type(num_workers) is not int or num_workers < 1:
            raise ValueError(f"number of workers is {num_workers!r}, expected an integer of 1 or more")
        self.num_workers = num_workers
        self.namespace = namespace

    @abstractmethod
    def start(self, environment: Environment) -> None:
        """Start the slots; called once, before any other method.

        Args:
            environment: What to run each attempt in: ``with Attempt(job, environment): ...``.
        """

    @abstractmethod
    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand jobs to the slots and return at once.

        Every job that is not reclaimed ends in one call of `environment.report`.

        Args:
            jobs: Claimed jobs, in the order in which they start.
        """

    @abstractmethod
    def backlog(self) -> int:
        """Return how many submitted jobs wait for a slot; called by any thread, so it must not block."""

    @abstractmethod
    def reclaim(self) -> list[Job]:
        """Take back the submitted jobs that no slot has begun.

        Returns:
            The jobs, in the order in which they were submitted.
        """

    @abstractmethod
    def stop(self) -> None:
        """Run the jobs that are submitted, end the slots, and return when all have ended."""

    def silent_seconds(self) -> float:
        """Return for how long the slots have not been able to begin a job: 0.0 unless something blocks them.

        Called by any thread. Slots that cannot block one another need not override it.
        """
        return 0.0


def refuse_generator(result: T) -> T:
    """Return what a task's function returned, unless that is a generator, whose body never ran.

    Raises:
        TypeError: it is one; the attempt fails for it.
    """
    if isinstance(result, (Generator, AsyncGenerator)) and not inspect.isawaitable(result):
        raise TypeError(
            f"the task returned {result!r}, whose body has not run: a task must do its work before it returns"
        )
    return result
