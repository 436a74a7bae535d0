"""Keeps failures of telemetry away from jobs, and logs each kind once, so that they do not flood a log."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import ClassVar, Final

from spinach.logger import SafeLogger

logger: Final = SafeLogger("spinach_ops.tracing")


class FailureLog:
    """Logs the first failure of each kind as a warning, and later ones at level DEBUG."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def report(self, action: str, error: BaseException) -> None:
        """Log a failure.

        Args:
            action: What telemetry could not do; one of few constants.
            error: The exception that was raised.

        Raises:
            KeyboardInterrupt: `error` is one: the user interrupts the program, telemetry did not fail.
        """
        if isinstance(error, KeyboardInterrupt):
            raise error
        level = logging.DEBUG if action in self._logged else logging.WARNING
        self._logged.add(action)
        logger.log(
            level,
            "Telemetry could not %s (%s); jobs are not affected. Further failures are logged at level DEBUG.",
            action,
            type(error).__name__,
            exc_info=error,
            extra={"action": "tracing_failed"},
        )


class Observer:
    """Makes the guarded context managers of one hook.

    Attributes:
        observation: What each of them observes with, for the log: "the span of an attempt".
        failures: Where their failures are reported.
    """

    observation: ClassVar[str]
    failures: FailureLog


class Guarded:
    """A context manager that observes an attempt, or a call that schedules, and never raises into it.

    Slim, because every job passes through one on each side: subclasses set `_observer` themselves.
    """

    __slots__ = ("_observer",)

    _observer: Observer

    def begin(self) -> None:
        """Begin to observe; may raise."""

    def end(self, error: BaseException | None) -> None:
        """End what was begun, in part or in full; may raise.

        Args:
            error: The exception of the block, if any.
        """

    def __enter__(self) -> None:
        try:
            self.begin()
        except BaseException as failure:
            self._observer.failures.report(f"begin {self._observer.observation}", failure)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.end(error)
        except BaseException as failure:
            self._observer.failures.report(f"end {self._observer.observation}", failure)
