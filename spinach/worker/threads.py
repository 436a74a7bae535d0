"""Workers that are threads: one job per thread at a time."""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import Iterable
from contextlib import suppress
from logging import getLogger
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from .. import signals
from ..execution import Attempt, Environment
from ..job import Job
from .base import BaseWorkers

if TYPE_CHECKING:
    import asyncio

logger = getLogger(__name__)


class ThreadWorkers(BaseWorkers):
    """Runs jobs in a fixed number of threads."""

    def __init__(self, num_workers: int, namespace: str) -> None:
        super().__init__(num_workers, namespace)
        # None tells one thread to end. SimpleQueue is C: no Python-level lock on the path of a job.
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, environment: Environment) -> None:
        """Start the threads."""
        self._threads = [
            threading.Thread(
                target=contextvars.Context().run,  # not in the context that started the workers
                args=(self._work, environment),
                name=f"{self.namespace}-worker-{number}",
                daemon=True,  # a second signal may abandon a job that never ends
            )
            for number in range(1, self.num_workers + 1)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand jobs over to the next free threads."""
        put = self._jobs.put
        for job in jobs:
            put(job)

    def backlog(self) -> int:
        """Return how many submitted jobs no thread has begun."""
        return self._jobs.qsize()

    def reclaim(self) -> list[Job]:
        """Take back the jobs that no thread has begun, in order."""
        taken: list[Job | None] = []
        with suppress(Empty):
            while True:
                taken.append(self._jobs.get_nowait())
        for _ in range(taken.count(None)):
            self._jobs.put(None)
        return [job for job in taken if job is not None]

    def stop(self) -> None:
        """Let running jobs finish, then end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _work(self, environment: Environment) -> None:
        name = threading.current_thread().name
        signals.worker_started.send(self.namespace, worker_name=name)
        runner = _LoopOfThread()
        try:
            get = self._jobs.get
            while (job := get()) is not None:
                try:
                    _run(job, environment, runner)
                except BaseException:
                    # An attempt lets nothing out; should it ever, the thread must live on.
                    logger.exception("%s could not finish %s", name, job)
                job = None  # let go of its payload while waiting for the next
        finally:
            runner.close()
            signals.worker_terminated.send(self.namespace, worker_name=name)


def _run(job: Job, environment: Environment, runner: _LoopOfThread) -> None:
    with Attempt(job, environment):
        result = job.task_func(*job.task_args, **job.task_kwargs)  # type: ignore[misc]
        if inspect.iscoroutine(result):
            runner.run(result)


class _LoopOfThread:
    """An event loop for coroutine functions, made when the first one comes."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, coroutine: object) -> None:
        if self._runner is None:
            import asyncio  # costs as much as the rest of the engine; not before it is needed

            self._runner = asyncio.Runner()
        # The context carries what wrappers of the attempt set, such as the current span.
        self._runner.run(coroutine, context=contextvars.copy_context())  # type: ignore[arg-type]

    def close(self) -> None:
        if self._runner is not None:
            with suppress(Exception):
                self._runner.close()
