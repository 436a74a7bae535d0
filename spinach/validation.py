"""Checks the names and numbers that an application gives: namespaces, queues, and the values of a task.

Every error says what was given and what is expected. Pure: changes and sends nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from .exc import InvalidNamespace

# Names are labels of metrics and fields of hashes; a longer one would outweigh most payloads.
_MAX_NAME_LENGTH: Final = 512


def check_namespace(namespace: object) -> str:
    """Return a namespace, if it is valid.

    Raises:
        InvalidNamespace: It is not a string, is empty, or contains control characters or lone surrogates.
    """
    if not isinstance(namespace, str) or not namespace:
        raise InvalidNamespace(f"a namespace is a non-empty string, not {namespace!r}")
    if any(character < " " or "\x7f" <= character < "\xa0" for character in namespace):
        raise InvalidNamespace(f"namespace {namespace!r} contains control characters")
    try:
        namespace.encode()
    except UnicodeEncodeError:
        raise InvalidNamespace(f"namespace {namespace!r} cannot be written as UTF-8") from None
    return namespace


def check_queue_name(queue: object) -> None:
    """Check that an application may use a queue of this name.

    Raises:
        ValueError: It is not a string, is empty or reserved, or cannot be stored.
    """
    _check_text("queue", queue)
    if str(queue).startswith("_"):
        raise ValueError(f"queue {queue!r} is reserved: names that start with '_' belong to Spinach")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a task needs a {what}: a non-empty string, not {value!r}")
    if len(value) > _MAX_NAME_LENGTH:
        raise ValueError(f"{what} {value[:40]!r}... is longer than {_MAX_NAME_LENGTH} characters")
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError(f"{what} {value!r} contains control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} {value!r} cannot be written as UTF-8") from None


def check_task(
    name: object,
    func: object,
    queue: object,
    max_retries: object,
    periodicity: object,
    max_concurrency: object,
) -> None:
    """Check the values of a task; parameters are those of `spinach.task.Task`.

    Raises:
        TypeError: The function is not callable.
        ValueError: Another value is not valid; the message names the task, the value and what is expected.
    """
    if not callable(func):
        raise TypeError(f"task {name!r}: {func!r} is not callable")
    if _is_generator_function(func):
        raise TypeError(
            f"task {name!r}: {func!r} is a generator function, whose body would not run: "
            "call it in a plain function that consumes it"
        )
    _check_text("name", name)
    check_queue_name(queue)
    if type(max_retries) is not int or max_retries < 0:
        raise ValueError(f"task {name!r}: max_retries is {max_retries!r}, expected an integer of 0 or more")
    if periodicity is not None:
        _check_periodicity(name, periodicity)
        _check_runs_without_arguments(name, func)
    if max_concurrency is not None:
        _check_max_concurrency(name, max_concurrency, max_retries)


def _check_periodicity(name: object, period: object) -> None:
    if not isinstance(period, timedelta) or period < timedelta(seconds=1) or period.microseconds:
        raise ValueError(
            f"task {name!r}: periodicity is {period!r}, expected a timedelta of whole seconds, at least one"
        )


def _is_generator_function(func: object) -> bool:
    called = vars(type(func)).get("__call__", func)
    return any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in (func, called))


def _check_runs_without_arguments(name: object, func: Callable[..., Any]) -> None:
    try:
        inspect.signature(func, follow_wrapped=False).bind()
    except ValueError:  # a builtin without a signature
        return
    except TypeError as error:
        raise ValueError(
            f"task {name!r} is periodic, and its jobs carry no arguments, but {func!r} needs some: {error}; "
            "give them defaults"
        ) from None


def _check_max_concurrency(name: object, limit: object, max_retries: int) -> None:
    if type(limit) is not int or limit < 1:
        raise ValueError(f"task {name!r}: max_concurrency is {limit!r}, expected an integer of 1 or more")
    if max_retries <= 0:
        raise ValueError(
            f"task {name!r}: max_concurrency needs max_retries > 0, because a dead worker's job "
            "frees its place under the limit by being repeated"
        )
