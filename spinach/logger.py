"""The loggers of this package: what a log filter or handler of the application raises stops no job."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from typing import Any, Final

# From `SafeLogger._log` up to the caller of `warning` and the like, for the file and line of a record.
_STACK_LEVEL: Final = 3
_reported: set[type[BaseException]] = set()
_reporting = threading.Lock()


class SafeLogger:
    """Logs like `logging.Logger`, and never raises an `Exception`.

    The first error of each class is reported on stderr.

    Args:
        name: Name of the logger, usually `__name__`.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.debug`."""
        self._log(logging.DEBUG, message, arguments, options)

    def info(self, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.info`."""
        self._log(logging.INFO, message, arguments, options)

    def warning(self, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.warning`."""
        self._log(logging.WARNING, message, arguments, options)

    def error(self, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.error`."""
        self._log(logging.ERROR, message, arguments, options)

    def critical(self, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.critical`."""
        self._log(logging.CRITICAL, message, arguments, options)

    def exception(self, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.exception`."""
        self._log(logging.ERROR, message, arguments, {"exc_info": True, **options})

    def log(self, level: int, message: str, *arguments: object, **options: Any) -> None:
        """See `logging.Logger.log`."""
        self._log(level, message, arguments, options)

    def is_enabled_for(self, level: int) -> bool:
        """See `logging.Logger.isEnabledFor`."""
        return self._logger.isEnabledFor(level)

    def _log(self, level: int, message: str, arguments: tuple[object, ...], options: dict[str, Any]) -> None:
        try:
            self._logger.log(level, message, *arguments, stacklevel=_STACK_LEVEL, **options)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        with _reporting:
            if type(error) in _reported:
                return
            _reported.add(type(error))
        # Neither the text of the error nor stderr is to be trusted more than the handler.
        with suppress(Exception):
            sys.stderr.write(
                f"spinach: a log filter or handler of the application raised {error!r} on a record of "
                f"{self._logger.name}; it is ignored, and so are later ones of this class\n"
            )
