"""An event loop that no job can end: what one job does to the loop or leaves on it never reaches another job.

Knows neither jobs nor brokers: a worker opens a scope in the task of each job, and every task that is created
in it belongs to it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from ..logger import SafeLogger

logger = SafeLogger(__name__)

T = TypeVar("T")

# A task that ignores its cancellation is left behind after this time: it must not hold the slot for ever.
_CANCELLATION_SECONDS: Final = 5.0
# A job that creates very many tasks must not keep the ended ones in memory.
_PRUNE_AT: Final = 1_000


class TaskExited(Exception):
    """A task that the job left running called `sys.exit` or was interrupted; the job fails for it."""


class ScopedTask(asyncio.Task[Any]):
    """A task that only code of its own scope, or of the worker, may cancel.

    Attributes:
        root: The task that runs the job, None for that task itself and for tasks of the worker.
        children: In a root, the tasks that the job created, as far as they matter at its end.
        prune_at: In a root, the number of children at which ended ones are dropped.
    """

    root: ScopedTask | None = None
    children: list[ScopedTask] | None = None
    prune_at: int = _PRUNE_AT

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task, unless a job asks to cancel a task of another job or of the worker."""
        caller = _root.get()
        if caller is not None and caller is not self.root and caller is not self:
            logger.warning(
                "A job tried to cancel a task that is not its own: %r goes on", self.get_name(),
                extra={"action": "foreign_cancellation"},
            )  # fmt: skip
            return False
        return super().cancel(msg)


# The task that runs the present job: all tasks created under it belong to its scope.
_root: contextvars.ContextVar[ScopedTask | None] = contextvars.ContextVar("spinach_root_task", default=None)


def open_scope() -> ScopedTask:
    """Make the present task the root of a scope; its context must be the job's own."""
    root = asyncio.current_task()
    assert isinstance(root, ScopedTask), "only a loop of `new_loop` has scopes"  # noqa: S101
    _root.set(root)
    return root


async def close_scope(root: ScopedTask, name: object, error: BaseException | None) -> None:
    """Cancel the tasks that the job left running, with a warning.

    Args:
        root: What `open_scope` returned.
        name: What the warning calls the job.
        error: What the job raised, if it did.

    Raises:
        TaskExited: The job raised nothing, and one of its tasks called `sys.exit` and was not awaited.
    """
    children = root.children or []
    left = [task for task in children if not task.done()]
    if left:
        logger.warning(
            "%s ended while %d of its asyncio tasks ran; they are cancelled: await them in the job",
            name, len(left), extra={"action": "tasks_left"},
        )  # fmt: skip
        for task in left:
            task.cancel()
        _, stubborn = await asyncio.wait(left, timeout=_CANCELLATION_SECONDS)
        if stubborn:
            logger.error(
                "%d asyncio tasks of %s ignore their cancellation and go on", len(stubborn), name,
                extra={"action": "tasks_left"},
            )  # fmt: skip
    exits = [found for task in children if (found := _unnoticed_exit(task)) is not None]
    if exits and error is None:
        raise TaskExited(f"a task that the job created raised {exits[0]!r}") from exits[0]


def _unnoticed_exit(task: ScopedTask) -> BaseException | None:
    # The flag says that nobody has fetched the exception so far.
    if not task.done() or task.cancelled() or not getattr(task, "_log_traceback", False):
        return None
    error = task.exception()
    return error if isinstance(error, (SystemExit, KeyboardInterrupt)) else None


async def run_in_scope(name: object, awaitable: Awaitable[T]) -> T:
    """Await something in a scope of its own; see `close_scope`."""
    root = open_scope()
    error: BaseException | None = None
    try:
        return await awaitable
    except BaseException as raised:
        error = raised
        raise
    finally:
        if root.children:
            await close_scope(root, name, error)
        _root.set(None)  # else task and context would hold each other until the garbage collector comes


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose tasks belong to the scope that creates them."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(_make_task)  # type: ignore[arg-type]
    return loop


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> ScopedTask:
    task = ScopedTask(coroutine, loop=loop, **options)
    root = _root.get()
    if root is not None:
        task.root = root
        if root.children is None:
            root.children = []
        elif len(root.children) >= root.prune_at:
            root.children = [child for child in root.children if not child.done() or _unnoticed_exit(child)]
            root.prune_at = 2 * len(root.children) + _PRUNE_AT
        root.children.append(task)
    return task


class LoopDied(RuntimeError):
    """An event loop cannot go on: something closed it, or what it is made of."""


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

    Raises:
        LoopDied: The loop itself is broken, and the coroutine did not end.
    """
    task = loop.create_task(coroutine, context=context)
    task.add_done_callback(lambda _: loop.stop())
    asyncio.set_event_loop(loop)
    while not task.done():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:  # the only ones that a callback can raise through it
            if loop.is_closed():
                raise LoopDied("something closed it") from error
            if not task.done():
                logger.error(
                    "A task or callback raised %r through the event loop; the loop goes on", error,
                    extra={"action": "loop_exit"},
                )  # fmt: skip
        except BaseException as error:
            raise LoopDied(f"{type(error).__name__}: {error}") from error
        else:
            if not task.done():
                logger.warning(
                    "A job stopped the event loop; the loop goes on", extra={"action": "loop_stopped"}
                )
    return task.result()


def close_loop(loop: asyncio.AbstractEventLoop, *, is_dead: bool = False) -> None:
    """Cancel what is left on a loop, unless it is dead, and close it; never raises."""
    if not is_dead:
        _end_tasks(loop)
    asyncio.set_event_loop(None)
    try:
        loop.close()
    except BaseException as error:
        logger.error("An event loop could not be closed: %r", error, extra={"action": "loop_close_failed"})
        with suppress(BaseException):
            asyncio.BaseEventLoop.close(loop)  # type: ignore[arg-type]  # else it tries again when deleted


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
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


async def _wait_for(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=_CANCELLATION_SECONDS)
