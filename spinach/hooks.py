"""The hooks of an engine: where instrumentation and integrations plug in.

A hook sees jobs and attempts and may put context around them. It can change neither the fate of a job nor
what the caller gets: what a hook raises is logged, what it swallows is raised all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar
from weakref import WeakSet

from .execution import AttemptWrapper
from .guard import Guarded
from .job import Job
from .logger import SafeLogger

__all__ = [
    "EnqueueWrapper",
    "Hooks",
    "OncePerEngine",
    "Remover",
    "ServiceWrapper",
    "StopListener",
    "Submission",
    "added",
]

logger = SafeLogger(__name__)

EnqueueWrapper = Callable[["Submission"], AbstractContextManager[Any] | None]
StopListener = Callable[[], None]
Remover = Callable[[], None]
ServiceWrapper = Callable[[], AbstractContextManager[Any] | None]
H = TypeVar("H")

_NOTHING_AROUND: Final = nullcontext()


class Submission(list[Job]):
    """The jobs of one call that schedules.

    Attributes:
        is_batch: Whether the caller scheduled a batch, which may hold a single job.
    """

    __slots__ = ("is_batch",)

    is_batch: bool


class Hooks:
    """The hooks of one engine.

    Attributes:
        attempts: Put around every attempt, outermost first.
        enqueues: Put around every call that enqueues jobs, outermost first.
        stops: Called after the workers stopped.
        services: Put around each background thread of the worker, from its start to its end.
        announced: Facts that this process adds to its worker's record, by name.
    """

    def __init__(self) -> None:
        self.attempts: list[AttemptWrapper] = []
        self.enqueues: list[EnqueueWrapper] = []
        self.stops: list[StopListener] = []
        self.services: list[ServiceWrapper] = []
        self.announced: dict[str, str] = {}

    def around_enqueue(self, jobs: Sequence[Job], *, is_batch: bool) -> AbstractContextManager[None]:
        """Return the context manager to put around a call that enqueues jobs: that of every wrapper.

        Args:
            jobs: The jobs, before they are written.
            is_batch: Whether the caller scheduled a batch, which may hold a single job.

        Returns:
            A context manager. Only an interrupt of a wrapper on entry reaches the caller.
        """
        if not self.enqueues:
            return _NOTHING_AROUND
        submission = Submission(jobs)
        submission.is_batch = is_batch
        return Guarded(self.enqueues, (submission,), "a call that schedules", Exception)

    def announce(self, name: str, value: str) -> Callable[[], None]:
        """Add a fact to the worker's record.

        Args:
            name: Name of the fact.
            value: The fact; it replaces an earlier one of that name.

        Returns:
            A function that removes the fact, unless a later one has replaced it.
        """
        self.announced[name] = value

        def remove() -> None:
            if self.announced.get(name) is value:
                del self.announced[name]

        return remove

    def call_stop_listeners(self) -> None:
        """Call every stop listener; log those that raise."""
        for listener in list(self.stops):
            try:
                listener()
            except Exception:
                logger.exception("Stop listener %r failed; it is ignored", listener)


def added(hooks: list[H], hook: H) -> Callable[[], None]:
    """Add a hook to a list of hooks.

    Args:
        hooks: The list.
        hook: The hook.

    Returns:
        A function that removes the hook, if it is still there.
    """
    hooks.append(hook)

    def remove() -> None:
        if hook in hooks:
            hooks.remove(hook)

    return remove


class OncePerEngine:
    """Installs one kind of hook at most once on each engine."""

    def __init__(self) -> None:
        self._engines: WeakSet[Any] = WeakSet()
        self._lock = threading.RLock()

    def put_on(self, engine: Any, install: Callable[[], list[Remover]]) -> Remover:
        """Install the hook on an engine that does not have it yet.

        Args:
            engine: The engine.
            install: Installs the hook and returns the functions that remove it; when it raises, the engine
                stays as it was.

        Returns:
            A function that removes the hook. It does nothing on a second call, or if the engine had the hook
            already.
        """
        with self._lock:
            if engine in self._engines:
                return _remove_nothing
            removers = install()
            self._engines.add(engine)

        def remove() -> None:
            with self._lock:
                if removers:
                    self._engines.discard(engine)
                while removers:
                    removers.pop()()

        return remove


def _remove_nothing() -> None:
    """Remove nothing: the caller that installed the hook removes it."""
