"""Workers that are threads, each with one job at a time."""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from .. import signals
from ..execution import Attempt, Environment, this_thread
from ..job import Job
from ..logger import SafeLogger
from .base import BaseWorkers, refuse_generator

if TYPE_CHECKING:
    import asyncio

logger = SafeLogger(__name__)


class ThreadWorkers(BaseWorkers):
    """Runs jobs in a fixed number of threads; the default of `Engine.start_workers`.

    Each thread runs coroutine functions to their end on an event loop of its own.

    Args:
        num_workers: Number of threads, 1 or more.
        namespace: Prefix of thread names and sender of signals.

    Raises:
        ValueError: `num_workers` is not an integer of 1 or more.
    """

    def __init__(self, num_workers: int, namespace: str) -> None:
        super().__init__(num_workers, namespace)
        # None ends one thread. SimpleQueue is written in C: handing over a job takes no lock in Python.
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, environment: Environment) -> None:
        """Start the threads; see `BaseWorkers.start`."""
        self._threads = [
            threading.Thread(
                target=contextvars.Context().run,  # not in the context of the caller
                args=(self._run_jobs, environment),
                name=f"{self.namespace}-worker-{number}",
                daemon=True,  # else the process could not end while a job never does
            )
            for number in range(1, self.num_workers + 1)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand jobs to the next free threads; see `BaseWorkers.submit`."""
        put = self._jobs.put
        for job in jobs:
            put(job)

    def backlog(self) -> int:
        """Return how many submitted jobs no thread has begun; see `BaseWorkers.backlog`."""
        return self._jobs.qsize()

    def reclaim(self) -> list[Job]:
        """Take back the jobs that no thread has begun, in order; see `BaseWorkers.reclaim`."""
        taken: list[Job | None] = []
        with suppress(Empty):
            while True:
                taken.append(self._jobs.get_nowait())
        for _ in range(taken.count(None)):
            self._jobs.put(None)
        return [job for job in taken if job is not None]

    def stop(self) -> None:
        """Run the jobs that are submitted, then end the threads; see `BaseWorkers.stop`."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _run_jobs(self, environment: Environment) -> None:
        name = threading.current_thread().name
        this_thread.namespace = self.namespace
        signals.worker_started.send(self.namespace, worker_name=name)
        event_loop = _ThreadEventLoop()
        try:
            get = self._jobs.get
            while (job := get()) is not None:
                try:
                    # In a context of its own: what a job sets there must not reach the next one.
                    contextvars.Context().run(_run_job, job, environment, event_loop)
                except BaseException:
                    # `Attempt` catches all that a job raises; an error of its own must not end the thread.
                    logger.exception("%s could not finish %s", name, job)
                job = None  # free its arguments while the thread waits for the next job
        finally:
            event_loop.close()
            signals.worker_terminated.send(self.namespace, worker_name=name)


def _run_job(job: Job, environment: Environment, event_loop: _ThreadEventLoop) -> None:
    with Attempt(job, environment):
        result = job.task_func(*job.task_args, **job.task_kwargs)  # type: ignore[misc]
        if result is not None and inspect.isawaitable(refuse_generator(result)):
            event_loop.run(job, result)


class _ThreadEventLoop:
    """The event loop of one thread for coroutine functions, made when the first one runs."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, job: Job, awaitable: Awaitable[object]) -> None:
        # asyncio takes as long to import as the rest of the engine: it is loaded when it is needed.
        from .event_loop import new_loop, run_in_scope, run_until_done

        if self._loop is None or self._loop.is_closed():
            self._loop = new_loop()
        # The wrappers of the attempt set context variables, such as the current span.
        run_until_done(self._loop, run_in_scope(job, awaitable), contextvars.copy_context())

    def close(self) -> None:
        if self._loop is not None:
            from .event_loop import close_loop

            close_loop(self._loop)
