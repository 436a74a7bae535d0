"""Closes database connections around jobs, as a request does around a view. Never fails a job."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django import db

from ...execution import Attempt
from ...logger import SafeLogger

logger = SafeLogger(__name__)


@contextmanager
def closed_around(attempt: Attempt) -> Iterator[None]:
    """Close connections that are broken or older than `CONN_MAX_AGE`, before and after an attempt.

    Connections belong to threads. An asyncio worker runs a plain function in a thread of a pool, and a
    coroutine function runs its queries in the thread of `sync_to_async`: there the connections are closed in
    that thread.

    Args:
        attempt: The attempt.
    """
    job = attempt.job
    function = job.task_func
    on_loop = _on_event_loop()
    if not on_loop:
        _reset_connections()
    if function is not None and (on_loop or inspect.iscoroutinefunction(function)):
        job.task_func = _closing(function)
    try:
        yield
    finally:
        job.task_func = function
        if not on_loop:
            db.close_old_connections()


def close_all(_namespace: str) -> None:
    """Close the connections of the present thread; a receiver of `worker_terminated`."""
    if not _on_event_loop():
        db.connections.close_all()


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _reset_connections() -> None:
    db.reset_queries()  # with DEBUG, Django keeps every query since the last reset
    db.close_old_connections()


def _closing(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            await sync_to_async(_call_and_log_failure)(_reset_connections)
            try:
                return await function(*args, **kwargs)
            finally:
                await sync_to_async(_call_and_log_failure)(db.close_old_connections)

        return run_coroutine

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        _call_and_log_failure(_reset_connections)
        try:
            return function(*args, **kwargs)
        finally:
            _call_and_log_failure(db.close_old_connections)

    return run


def _call_and_log_failure(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:
        logger.exception("Database connections could not be closed")
