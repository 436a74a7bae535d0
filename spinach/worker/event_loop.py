"""An event loop that no job can end: what one job does to the loop or leaves on it never reaches another job.

Knows neither jobs nor brokers: a worker opens a `Scope` around each attempt, and every asyncio task that is
created in it belongs to it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Coroutine
from logging import getLogger
from types import TracebackType
from typing import Any, Final, TypeVar

logger = getLogger(__name__)

T = TypeVar("T")

# A task that ignores its cancellation is left behind after this time: it must not hold the slot for ever.
_CANCELLATION_SECONDS: Final = 5.0

_scope: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("spinach_scope", default=None)


class TaskExited(Exception):
    """A task that the job left running called `sys.exit` or was interrupted; the job fails for it."""


class ScopedTask(asyncio.Task[Any]):
    """A task that only code of its own scope, or of the worker, may cancel."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._spinach_scope = scope = _scope.get()
        super().__init__(coroutine, **options)
        if scope is not None:
            scope.tasks.append(self)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task, unless a job asks for the cancellation of another job's task, or of the worker's."""
        caller = _scope.get()
        if caller is not None and caller is not self._spinach_scope:
            logger.warning(
                "A job tried to cancel a task that is not its own: %r goes on", self.get_name(),
                extra={"action": "foreign_cancellation"},
            )  # fmt: skip
            return False
        return super().cancel(msg)


class Scope:
    """The tasks that one attempt creates; an asynchronous context manager around the job's coroutine.

    At its end, tasks that still run are cancelled with a warning. When one of them called `sys.exit` and
    nobody awaited it, `TaskExited` is raised.

    Args:
        name: What the warning calls the job.
    """

    __slots__ = ("_name", "_token", "tasks")

    def __init__(self, name: object) -> None:
        self.tasks: list[ScopedTask] = []
        self._name = name

    async def __aenter__(self) -> None:
        self._token = _scope.set(self)
        task = asyncio.current_task()
        if isinstance(task, ScopedTask):  # created by the worker: from now on it is the job's own
            task._spinach_scope = self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self.tasks:
                await self._end_tasks(error)
        finally:
            _scope.reset(self._token)

    async def _end_tasks(self, error: BaseException | None) -> None:
        own = asyncio.current_task()
        left = [task for task in self.tasks if not task.done() and task is not own]
        if left:
            logger.warning(
                "%s ended while %d of its asyncio tasks ran; they are cancelled: await them in the job",
                self._name, len(left), extra={"action": "tasks_left"},
            )  # fmt: skip
            for task in left:
                task.cancel()
            _, stubborn = await asyncio.wait(left, timeout=_CANCELLATION_SECONDS)
            if stubborn:
                logger.error(
                    "%d asyncio tasks of %s ignore their cancellation and go on", len(stubborn), self._name,
                    extra={"action": "tasks_left"},
                )  # fmt: skip
        exits = [found for task in self.tasks if (found := _unnoticed_exit(task)) is not None]
        if exits and error is None:
            raise TaskExited(f"a task that the job created raised {exits[0]!r}") from exits[0]


def _unnoticed_exit(task: ScopedTask) -> BaseException | None:
    # The flag says that nobody has fetched the exception so far.
    if not task.done() or task.cancelled() or not getattr(task, "_log_traceback", False):
        return None
    error = task.exception()
    return error if isinstance(error, (SystemExit, KeyboardInterrupt)) else None


async def run_in_scope(name: object, awaitable: Awaitable[T]) -> T:
    """Await something in a scope of its own; see `Scope`."""
    async with Scope(name):
        return await awaitable


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose tasks belong to the scope that creates them."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(_make_task)  # type: ignore[arg-type]
    return loop


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> ScopedTask:
    return ScopedTask(coroutine, loop=loop, **options)


def run_until_done(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    context: contextvars.Context | None = None,
) -> T:
    """Run a coroutine to its end, whatever other code of the loop does: exits in callbacks, `loop.stop()`.

    Args:
        loop: A loop of `new_loop` that does not run.
        coroutine: What to run.
        context: The context to run it in, a copy of the present one when None.

    Returns:
        What the coroutine returns; what it raises is raised.
    """
    task = loop.create_task(coroutine, context=context)
    task.add_done_callback(lambda _: loop.stop())
    asyncio.set_event_loop(loop)
    while not task.done():
        try:
            loop.run_forever()
        except BaseException as error:
            if not task.done():
                logger.error(
                    "A task or callback raised %r through the event loop; the loop goes on", error,
                    extra={"action": "loop_exit"},
                )  # fmt: skip
        else:
            if not task.done():
                logger.warning(
                    "A job stopped the event loop; the loop goes on", extra={"action": "loop_stopped"}
                )
    return task.result()


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on a loop and close it; never raises."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            run_until_done(loop, _wait_for(left))
        run_until_done(loop, loop.shutdown_asyncgens())
        run_until_done(loop, loop.shutdown_default_executor())
    except BaseException:
        logger.exception("An event loop could not be ended in order", extra={"action": "loop_close_failed"})
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _wait_for(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=_CANCELLATION_SECONDS)
