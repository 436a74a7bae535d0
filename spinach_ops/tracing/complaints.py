"""What went wrong with telemetry, told once per kind: it must neither touch a job nor flood a log."""

from __future__ import annotations

import logging
from typing import Final

logger: Final = logging.getLogger("spinach_ops.tracing")


class Complaints:
    """Logs the first failure of each kind, and later ones for those who debug."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def report(self, what: str, error: BaseException) -> None:
        """Take note of a failure.

        Args:
            what: What could not be done; one of few constants.
            error: What was raised.

        Raises:
            KeyboardInterrupt: that is what `error` is: the user's wish, no failure of telemetry.
        """
        if isinstance(error, KeyboardInterrupt):
            raise error
        level = logging.DEBUG if what in self._told else logging.WARNING
        self._told.add(what)
        logger.log(
            level,
            "Tracing could not %s (%s); jobs are not affected. This is told once.",
            what,
            type(error).__name__,
            exc_info=error,
            extra={"action": "tracing_failed"},
        )
