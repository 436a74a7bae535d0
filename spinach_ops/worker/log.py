"""The log of `spinach worker`: one line per attempt, for a person.

Fed by signals; never shows the arguments of jobs, and prints nothing a terminal would obey.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from spinach import signals
from spinach.clock import SystemClock
from spinach.job import Job
from spinach.logger import SafeLogger
from spinach.stats import WorkerInfo

from ..text import duration, printable

logger = SafeLogger("spinach.worker")

# A message can be as long as a page; the rest is in the failed jobs of the broker.
_MAX_MESSAGE: Final = 300
_PACKAGES: Final = ("spinach", "spinach_ops")
_WORD_WIDTH: Final = 7
_RESET: Final = "\x1b[0m"
_COLORS: Final = {
    "done": "\x1b[32m",
    "retry": "\x1b[33m",
    "FAILED": "\x1b[31m",
    "LOST": "\x1b[35m",
    "queued": "\x1b[35m",
}
_LEVEL_COLORS: Final = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
# What the engine logs about these is in the attempt's line, the banner or the summary.
_REPORTED_ELSEWHERE: Final = frozenset(
    {"job_retried", "job_failed", "workers_started", "workers_stopped", "worker_lost", "serving_metrics"}
)


class PersonFormatter(logging.Formatter):
    """Time, outcome or level, message; one line unless there is a traceback.

    Args:
        color: Whether to colour the second column.
        with_date: Whether to put the date before the time.
    """

    def __init__(self, *, color: bool, with_date: bool) -> None:
        super().__init__()
        self._color = color
        self._time_format = "%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        when = time.strftime(self._time_format, time.localtime(record.created))
        line = f"{when}.{record.msecs:03.0f}  {self._word(record)} {printable(record.getMessage())}"
        if record.exc_info and record.exc_info[0] is not None:
            trace = self.formatException(record.exc_info)
            line = "\n    ".join([line, *map(printable, trace.splitlines())])
        return line

    def _word(self, record: logging.LogRecord) -> str:
        outcome = getattr(record, "outcome", None)
        word = outcome or record.levelname.lower()
        color = _COLORS.get(outcome or "") or _LEVEL_COLORS.get(record.levelno)
        padded = f"{word:{_WORD_WIDTH}}"
        return f"{color}{padded}{_RESET}" if self._color and color else padded


def _is_shown(record: logging.LogRecord) -> bool:
    return getattr(record, "action", None) not in _REPORTED_ELSEWHERE


class WorkerLog:
    """Sends the records of this package to standard error, whatever the application makes of logging.

    The application's own handlers receive these records too, from the level that the application chose.

    Args:
        level: Lowest level that is shown.
        color: Whether to use colours.
        tracebacks: Whether the engine's records of failed attempts, with tracebacks, are shown as well.
    """

    def __init__(self, level: int, *, color: bool, tracebacks: bool = False) -> None:
        self._level = level
        self._color = color
        self._tracebacks = tracebacks
        self._own = self._handler()

    def attach(self) -> None:
        """Attach to the loggers of this package, and undo what would silence them.

        `logging.config.dictConfig` disables by default every logger that it does not name.
        """
        for name in list(logging.root.manager.loggerDict):
            if _is_ours(name):
                logging.getLogger(name).disabled = False
        for package in _PACKAGES:
            own = logging.getLogger(package)
            theirs = [handler for handler in own.handlers if handler is not self._own]
            if own.propagate:
                theirs += logging.root.handlers
            chosen = own.getEffectiveLevel()
            if theirs and chosen > self._level:
                for handler in theirs:
                    handler.addFilter(_from_level(chosen, package))
            own.setLevel(self._level if not theirs else min(self._level, chosen))
            own.addHandler(self._own)

    def attach_to_root(self) -> None:
        """Show the application's own records too, where it has not configured a handler for them."""
        if not logging.root.handlers:
            logging.root.setLevel(self._level)
            handler = self._handler()
            handler.addFilter(lambda record: not _is_ours(record.name))
            logging.root.addHandler(handler)

    def _handler(self) -> logging.Handler:
        handler = logging.StreamHandler()
        handler.setLevel(self._level)
        handler.setFormatter(PersonFormatter(color=self._color, with_date=not handler.stream.isatty()))
        if not self._tracebacks:
            handler.addFilter(_is_shown)
        return handler


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in _PACKAGES


def _from_level(level: int, package: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: record.levelno >= level or record.name.partition(".")[0] != package


class AttemptLog:
    """Logs every attempt of one namespace, and counts them.

    Args:
        namespace: Whose signals to hear.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._elapsed = SystemClock().elapsed
        self._started = self._elapsed()
        self._connected: list[tuple[signals.SafeNamedSignal, Callable[..., None]]] = []
        self.counts = dict.fromkeys(("done", "retried", "failed", "recovered"), 0)

    def connect(self) -> None:
        """Begin to listen."""
        self._connected = [
            (signals.job_succeeded, self._on_succeeded),
            (signals.job_schedule_retry, self._on_retry),
            (signals.job_failed, self._on_failed),
            (signals.job_recovered, self._on_recovered),
            (signals.worker_lost, self._on_worker_lost),
        ]
        for signal, receiver in self._connected:
            signal.connect(receiver, sender=self._namespace, weak=False)

    def disconnect(self) -> None:
        """Listen no more."""
        for signal, receiver in self._connected:
            signal.disconnect(receiver, sender=self._namespace)
        self._connected = []

    def summary(self) -> str:
        """Return what was done since the start."""
        seconds = max(self._elapsed() - self._started, 1e-3)
        with self._lock:
            counts = dict(self.counts)
        attempts = counts["done"] + counts["retried"] + counts["failed"]
        counted = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{attempts} attempts in {duration(seconds)} ({attempts / seconds:.1f} per second): {counted}"

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def _on_succeeded(self, _: str, job: Job, **facts: Any) -> None:
        self._count("done")
        if logger.is_enabled_for(logging.INFO):
            _log(logging.INFO, "done", job, _figures(job, facts))

    def _on_retry(self, _: str, job: Job, err: BaseException, **facts: Any) -> None:
        self._count("retried")
        again = _moment(job.at.astimezone(), datetime.now().astimezone())
        _log(logging.WARNING, "retry", job, f"{_figures(job, facts)}, again at {again}: {_described(err)}")

    def _on_failed(self, _: str, job: Job, err: BaseException, **facts: Any) -> None:
        self._count("failed")
        figures = f"{_figures(job, facts)}: " if facts else ""
        _log(logging.ERROR, "FAILED", job, figures + _described(err))

    def _on_recovered(self, _: str, job: Job, worker_info: WorkerInfo) -> None:
        self._count("recovered")
        _log(logging.WARNING, "queued", job, f"again, taken from dead worker {worker_info.id[:8]}")

    def _on_worker_lost(self, _: str, worker_info: WorkerInfo, recovered: int, failed: int) -> None:
        logger.warning(
            "worker %s on %s (pid %s) is dead: %d of its jobs queued again, %d failed because they must not "
            "run twice",
            worker_info.id[:8], worker_info.name or "an unknown host",
            worker_info.details.get("pid", "unknown"),
            recovered, failed,
            extra={"outcome": "LOST"},
        )  # fmt: skip


def _log(level: int, outcome: str, job: Job, rest: str) -> None:
    logger.log(
        level, "%s  %s  %s", str(job.id)[:8], job.task_name, rest,
        extra={"outcome": outcome, "job_id": str(job.id)},
    )  # fmt: skip


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def _figures(job: Job, facts: dict[str, Any]) -> str:
    return (
        f"in {duration(facts.get('duration', 0.0))}, waited {duration(facts.get('queue_wait', 0.0))}, "
        f"attempt {facts.get('attempt', 1)}/{job.max_retries + 1}"
    )


def _described(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:
        message = "its message cannot be read"
    name = type(error).__name__
    return f"{name}: {printable(message, _MAX_MESSAGE)}" if message else name
