"""An error as text: type, message and traceback. Nothing here raises, whatever the error's methods do."""

from __future__ import annotations

import traceback


def qualified_name(kind: type[BaseException]) -> str:
    """Return the dotted name of an error's class; builtins without their module."""
    if kind.__module__ in ("builtins", None):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def describe(error: BaseException) -> str:
    """Return an error's message."""
    try:
        return str(error)
    except BaseException:
        return f"<{type(error).__name__} whose message cannot be read>"


def traceback_of(error: BaseException) -> str:
    """Return an error's traceback."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:
        return "".join(traceback.format_tb(error.__traceback__))


def shorten(text: str, limit: int) -> str:
    """Cut a text in the middle, where it says least, so that it has at most `limit` characters."""
    if len(text) <= limit:
        return text
    half = (limit - 40) // 2  # the line between takes up to 40
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"
