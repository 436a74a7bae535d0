"""What every kind of workers has in common: slots that run jobs handed to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from ..execution import Environment
from ..job import Job


class BaseWorkers(ABC):
    """A fixed number of slots that run jobs.

    Args:
        num_workers: How many jobs run at once.
        namespace: Prefix of thread names and sender of signals.

    Raises:
        ValueError: `num_workers` is not a positive integer.
    """

    def __init__(self, num_workers: int, namespace: str) -> None:
        if type(num_workers) is not int or num_workers < 1:
            raise ValueError(f"number of workers is {num_workers!r}, expected an integer of 1 or more")
        self.num_workers = num_workers
        self.namespace = namespace

    @abstractmethod
    def start(self, environment: Environment) -> None:
        """Start the slots."""

    @abstractmethod
    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand jobs over; each ends in a call of `environment.report`."""

    @abstractmethod
    def backlog(self) -> int:
        """Return how many submitted jobs wait for a slot."""

    @abstractmethod
    def reclaim(self) -> list[Job]:
        """Take back the submitted jobs that no slot has begun, in order."""

    @abstractmethod
    def stop(self) -> None:
        """Let running jobs finish and end the slots."""
