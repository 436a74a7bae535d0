"""One queue of a memory broker. It knows no limits: its caller says which tasks are blocked.

When many jobs are blocked, it parks them, so that no later call looks past them again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from ..limits import MIN_PARKED

if TYPE_CHECKING:
    from .store import StoredJob


class JobQueue:
    """Jobs in the order in which they run. `len` and iteration include parked ones, which come first.

    Attributes:
        ready: The jobs that are not parked.
    """

    __slots__ = ("_parked", "ready")

    def __init__(self) -> None:
        self.ready: deque[StoredJob] = deque()
        self._parked: dict[str, deque[StoredJob]] = {}

    def __len__(self) -> int:
        return len(self.ready) + self.parked

    def __iter__(self) -> Iterator[StoredJob]:
        return chain(*self._parked.values(), self.ready)

    @property
    def parked(self) -> int:
        """How many jobs are parked."""
        return sum(map(len, self._parked.values()))

    def append(self, job: StoredJob) -> None:
        """Add a job at the tail."""
        self.ready.append(job)

    def appendleft(self, job: StoredJob) -> None:
        """Add a job at the head."""
        self.ready.appendleft(job)

    def has_parked(self, task_name: str) -> bool:
        """Return whether older jobs of a task are parked."""
        return task_name in self._parked

    def first_parked(self, is_blocked: Callable[[str], bool]) -> StoredJob | None:
        """Return the first parked job that may run, without taking it.

        Args:
            is_blocked: Says whether no further job of a task may run now.
        """
        return next((jobs[0] for task_name, jobs in self._parked.items() if not is_blocked(task_name)), None)

    def take_parked(self, task_name: str) -> None:
        """Take the first parked job of a task."""
        self._parked[task_name].popleft()
        if not self._parked[task_name]:
            del self._parked[task_name]

    def unpark(self) -> None:
        """Put parked jobs back at the head."""
        for jobs in reversed(self._parked.values()):
            self.ready.extendleft(reversed(jobs))
        self._parked.clear()

    def return_blocked(self, jobs: list[StoredJob]) -> None:
        """Put jobs back that a call took from the head and looked past; park them when they are many."""
        if len(jobs) < MIN_PARKED:
            self.ready.extendleft(reversed(jobs))
            return
        for job in jobs:
            self._parked.setdefault(job.task_name, deque()).append(job)
