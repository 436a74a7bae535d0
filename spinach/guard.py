"""The guard around context managers that hooks provide: what they raise or swallow changes nothing.

It knows neither jobs nor engines: callers say what the context managers are put around.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from .logger import SafeLogger

__all__ = ["Guarded"]

logger = SafeLogger(__name__)


class Guarded:
    """Enters context managers, outermost first, and leaves them in reverse order; logs those that fail.

    A context manager that fails on entry is skipped. On exit each is given the exception of the block, and
    can neither replace nor swallow it. Slim, because every job and every call that schedules may pass through
    one.

    Args:
        wrappers: Each returns a context manager, or None to put nothing around the block.
        arguments: What each wrapper is called with.
        around: What the block does, for the log.
        skipped: What a wrapper may raise on entry without effect. Anything else leaves the context managers
            entered so far and goes on to the caller.

    Example:
        >>> with Guarded(wrappers, (attempt,), attempt.job):
        ...     run()
    """

    __slots__ = ("_arguments", "_around", "_entered", "_skipped", "_wrappers")

    def __init__(
        self,
        wrappers: Sequence[Callable[..., AbstractContextManager[Any] | None]],
        arguments: tuple[Any, ...],
        around: object,
        skipped: type[BaseException] = BaseException,
    ) -> None:
        self._wrappers = wrappers
        self._arguments = arguments
        self._around = around
        self._skipped = skipped

    def __enter__(self) -> None:
        self._entered: list[AbstractContextManager[Any]] = []
        enter = self._entered.append
        arguments = self._arguments
        try:
            for wrapper in tuple(self._wrappers):  # a wrapper may remove itself meanwhile
                try:
                    context = wrapper(*arguments)
                    if context is not None:
                        context.__enter__()
                        enter(context)
                except self._skipped:
                    logger.exception("Wrapper %r failed before %s; it is skipped", wrapper, self._around)
        except BaseException:  # an interrupt: nothing entered may stay in the caller's thread
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for context in reversed(self._entered):
            try:
                context.__exit__(kind, error, traceback)
            except BaseException as failure:
                if failure is not error:  # a generator raises again what it was given: no failure
                    logger.exception("Wrapper %r failed after %s; it is ignored", context, self._around)
