"""Workers that are asyncio tasks on one event loop, in a thread of its own.

The loop never runs a plain function: it would block the coroutines of the other jobs.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from time import monotonic, sleep
from typing import Final

from .. import signals
from ..execution import Attempt, Environment, Fork, end_stray_child, this_thread
from ..job import Job
from ..logger import SafeLogger
from .base import BaseWorkers, refuse_generator
from .event_loop import LoopDied, ScopedTask, close_loop, new_loop, run_in_scope, run_until_done

logger = SafeLogger(__name__)

# How often a loop notes that it moves.
_MOVE_SECONDS: Final = 1.0
# A loop that cannot be made, for want of open files for example, is tried again after this time.
_PAUSE_SECONDS: Final = 0.2
# A coroutine may await something while it ends.
_MAX_THROWS: Final = 10


class AsyncioWorkers(BaseWorkers):
    """Runs coroutine functions as tasks on one event loop, and plain functions in threads.

    Args:
        num_workers: How many jobs run at once, 1 or more.
        namespace: Prefix of thread names and sender of signals.

    Raises:
        ValueError: `num_workers` is not an integer of 1 or more.
    """

    def __init__(self, num_workers: int, namespace: str) -> None:
        super().__init__(num_workers, namespace)
        self._jobs: deque[Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Event | None = None
        self._must_stop = False
        self._moved_at = monotonic()
        self._executor: ThreadPoolExecutor | None = None

    def start(self, environment: Environment) -> None:
        """Start the event loop in a thread; see `BaseWorkers.start`."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=contextvars.Context().run,  # not in the context of the caller
            args=(self._run_loop, environment, ready),
            name=f"{self.namespace}-asyncio",
            daemon=True,
        )
        self._thread.start()
        ready.result()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Hand jobs to the loop; see `BaseWorkers.submit`."""
        self._jobs.extend(jobs)
        self._call_soon(self._begin_jobs)

    def backlog(self) -> int:
        """Return how many submitted jobs wait for a slot; see `BaseWorkers.backlog`."""
        return len(self._jobs)

    def reclaim(self) -> list[Job]:
        """Take back the jobs that no slot has begun, in order; see `BaseWorkers.reclaim`."""
        jobs: list[Job] = []
        with suppress(IndexError):  # no `while self._jobs`: the loop takes jobs, too
            while True:
                jobs.append(self._jobs.popleft())
        return jobs

    def stop(self) -> None:
        """Run the jobs that are submitted, then end the loop; see `BaseWorkers.stop`."""
        if self._thread is None:
            return
        self._must_stop = True
        self._call_soon(self._set_stopping)
        self._thread.join()
        self._thread = None

    def silent_seconds(self) -> float:
        """Return for how long a job has blocked the loop; see `BaseWorkers.silent_seconds`."""
        return max(0.0, monotonic() - self._moved_at - _MOVE_SECONDS)

    def _call_soon(self, callback: object) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed: the loop that replaces it does the same at its start
                loop.call_soon_threadsafe(callback)  # type: ignore[arg-type]

    def _set_stopping(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _move(self) -> None:
        self._moved_at = monotonic()
        if self._loop is not None:
            self._loop.call_later(_MOVE_SECONDS, self._move)

    def _run_loop(self, environment: Environment, ready: Future[None]) -> None:
        name = threading.current_thread().name
        this_thread.namespace = self.namespace
        self._environment = environment
        signals.worker_started.send(self.namespace, worker_name=name)
        try:
            self._run_loops(ready)
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise
        finally:
            if self._executor is not None:
                self._executor.shutdown(wait=True)
                self._executor = None
            signals.worker_terminated.send(self.namespace, worker_name=name)

    def _run_loops(self, ready: Future[None]) -> None:
        """Run a loop until the workers stop; replace one that dies."""
        while True:
            loop, is_dead = None, False
            try:
                loop = new_loop()
                run_until_done(loop, self._run_until_stopped(ready))
                return
            except BaseException as error:
                if not ready.done() or (loop is None and self._must_stop):
                    raise
                logger.critical(
                    "The event loop of %s died (%s): the %d jobs on it end with an error; a new loop goes on",
                    self.namespace, error, len(self._running), extra={"action": "loop_died"},
                )  # fmt: skip
                self._abandon_running(error)
                is_dead = True
            finally:
                if loop is not None:
                    close_loop(loop, is_dead=is_dead)
            sleep(_PAUSE_SECONDS)

    def _abandon_running(self, error: BaseException) -> None:
        """End the attempts of a loop that is dead: each is reported as failed, or retried."""
        running, self._running = self._running, set()
        for task in running:
            coroutine = task.get_coro()
            for _ in range(_MAX_THROWS):
                try:
                    coroutine.throw(LoopDied(str(error)))
                except BaseException:  # it ended
                    break

    async def _run_until_stopped(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if not ready.done():
            ready.set_result(None)
        self._move()
        self._begin_jobs()
        if self._must_stop:
            self._stopping.set()
        await self._stopping.wait()
        while self._jobs or self._running:
            self._begin_jobs()
            if self._running:
                await asyncio.wait(list(self._running), return_when=asyncio.FIRST_COMPLETED)

    def _begin_jobs(self) -> None:
        """Begin jobs while slots are free; called on the loop."""
        while self._jobs and len(self._running) < self.num_workers:
            try:
                job = self._jobs.popleft()
            except IndexError:  # the arbiter reclaimed the last one
                return
            # In an empty context: the present one is the arbiter's or that of the job before.
            task = ScopedTask(self._run(job), loop=self._loop, context=contextvars.Context())
            self._running.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("An asyncio worker failed", exc_info=task.exception())
        self._begin_jobs()

    async def _run(self, job: Job) -> None:
        with Attempt(job, self._environment):
            function = job.task_func
            if _is_coroutine_function(function):
                await run_in_scope(job, function(*job.task_args, **job.task_kwargs))  # type: ignore[misc]
                return
            result = await self._run_in_thread(job)
            if isinstance(result, _Raised):
                raise result.error
            if result is not None:
                refuse_generator(result)
                if inspect.isawaitable(result):
                    await run_in_scope(job, result)

    async def _run_in_thread(self, job: Job) -> object:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(
                self.num_workers, f"{self.namespace}-plain",
                setattr, (this_thread, "namespace", self.namespace),
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, contextvars.copy_context().run, _call_function, job)


@lru_cache(maxsize=4096)
def _is_hashable_coroutine_function(function: object) -> bool:
    return inspect.iscoroutinefunction(function)


def _is_coroutine_function(function: object) -> bool:
    """Answer from a cache: the check takes as long as the rest of the start of a job."""
    try:
        return _is_hashable_coroutine_function(function)
    except TypeError:  # an unhashable callable
        return inspect.iscoroutinefunction(function)


class _Raised:
    """An exception that a plain function raised, returned as a value from its thread.

    A future cannot carry StopIteration, and SystemExit would end the executor's thread.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _call_function(job: Job) -> object:
    generation = Fork.generation
    try:
        result = job.task_func(*job.task_args, **job.task_kwargs)  # type: ignore[misc]
    except BaseException as error:
        result = _Raised(error)
    end_stray_child(generation, result.error if isinstance(result, _Raised) else None)
    return result
