"""Workers that are asyncio tasks on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from logging import getLogger

from .. import signals
from ..execution import Attempt, Environment, Fork, end_stray_child
from ..job import Job
from .base import BaseWorkers

logger = getLogger(__name__)


class AsyncioWorkers(BaseWorkers):
    """Runs coroutine functions concurrently on one event loop, plain functions in threads."""

    def __init__(self, num_workers: int, namespace: str) -> None:
        super().__init__(num_workers, namespace)
        self._jobs: deque[Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Event | None = None
        self._executor: ThreadPoolExecutor | None = None

    def start(self, environment: Environment) -> None:
        """Start the event loop in a thread."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=contextvars.Context().run,  # not in the context that started the workers
            args=(self._serve, environment, ready),
            name=f"{self.namespace}-asyncio",
            daemon=True,
        )
        self._thread.start()
        ready.result()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand jobs over to the loop."""
        self._jobs.extend(jobs)
        self._call_soon(self._fill)

    def backlog(self) -> int:
        """Return how many submitted jobs are not begun."""
        return len(self._jobs)

    def reclaim(self) -> list[Job]:
        """Take back the jobs that are not begun, in order."""
        jobs: list[Job] = []
        while self._jobs:
            try:
                jobs.append(self._jobs.popleft())
            except IndexError:  # the loop was faster
                break
        return jobs

    def stop(self) -> None:
        """Let running jobs finish, then end the loop."""
        if self._ended is None or self._thread is None:
            return
        self._call_soon(self._ended.set)
        self._thread.join()
        self._thread = None

    def _call_soon(self, callback: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)  # type: ignore[arg-type]

    def _serve(self, environment: Environment, ready: Future[None]) -> None:
        name = threading.current_thread().name
        self._environment = environment
        signals.worker_started.send(self.namespace, worker_name=name)
        try:
            with asyncio.Runner() as runner:
                runner.run(self._until_ended(ready))
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise
        finally:
            if self._executor is not None:
                self._executor.shutdown(wait=True)
                self._executor = None
            signals.worker_terminated.send(self.namespace, worker_name=name)

    async def _until_ended(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        ready.set_result(None)
        await self._ended.wait()
        while self._jobs or self._running:
            self._fill()
            if self._running:
                await asyncio.wait(list(self._running), return_when=asyncio.FIRST_COMPLETED)

    def _fill(self) -> None:
        """Begin jobs while slots are free; runs on the loop."""
        while self._jobs and len(self._running) < self.num_workers:
            try:
                job = self._jobs.popleft()
            except IndexError:  # reclaimed meanwhile
                return
            # Not in the context of whoever handed the job over, which is the arbiter's, or of the job before.
            task = asyncio.create_task(self._run(job), context=contextvars.Context())
            self._running.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("An asyncio worker failed", exc_info=task.exception())
        self._fill()

    async def _run(self, job: Job) -> None:
        with Attempt(job, self._environment):
            function = job.task_func
            if inspect.iscoroutinefunction(function):
                await function(*job.task_args, **job.task_kwargs)
            else:
                result = await self._in_thread(job)
                if isinstance(result, _Raised):
                    raise result.error  # here, since a coroutine cannot pass StopIteration on
                if inspect.iscoroutine(result):
                    await result

    async def _in_thread(self, job: Job) -> object:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.num_workers, f"{self.namespace}-plain")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, contextvars.copy_context().run, _call, job)


class _Raised:
    """An exception on its way out of a thread.

    A future cannot carry StopIteration, and the executor's thread would die of SystemExit.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _call(job: Job) -> object:
    generation = Fork.generation
    try:
        result = job.task_func(*job.task_args, **job.task_kwargs)  # type: ignore[misc]
    except BaseException as error:
        result = _Raised(error)
    end_stray_child(generation, result.error if isinstance(result, _Raised) else None)
    return result
