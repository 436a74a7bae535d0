"""The texts of an error, for dead letters, spans and metrics.

Pure. Never raises, even where the ``__str__`` of the error does.
"""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Final

# Frames of files in this folder lead to the function of a task, and say nothing of its error.
_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep

__all__ = ["describe", "encodable", "qualified_name", "shorten", "traceback_of"]


def qualified_name(kind: type[BaseException]) -> str:
    """Return the dotted name of an error's class; that of a builtin has no module.

    Args:
        kind: The class.

    Example:
        >>> qualified_name(KeyError), qualified_name(json.JSONDecodeError)
        ('KeyError', 'json.decoder.JSONDecodeError')
    """
    try:
        module, name = kind.__module__, kind.__qualname__
    except Exception:  # a metaclass may do anything
        return "unknown"
    return encodable(name if module in ("builtins", None) else f"{module}.{name}")


def describe(error: BaseException) -> str:
    """Return an error's message, or a text that says so where its ``__str__`` raises.

    Args:
        error: The error.
    """
    try:
        return encodable(str(error))
    except BaseException:
        return f"<{qualified_name(type(error))} whose message cannot be read>"


def traceback_of(error: BaseException) -> str:
    """Return an error's traceback from the first frame of the application on, with causes and notes.

    Where the ``__str__`` of the error raises, it is the frames alone.

    Args:
        error: The error.
    """
    frames = _without_ours(error.__traceback__)
    try:
        return encodable("".join(traceback.format_exception(type(error), error, frames)))
    except BaseException:
        return encodable("".join(traceback.format_tb(frames)))


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    """Return the frames without those of this package that come first; all, where there are no others."""
    left = frames
    while left is not None and left.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        left = left.tb_next
    return frames if left is None else left


def encodable(text: str) -> str:
    """Return a text that UTF-8 can write: lone surrogates become escapes of plain characters.

    Args:
        text: The text.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def shorten(text: str, limit: int) -> str:
    """Return a text, cut in the middle where it is longer than a limit: the middle of a traceback says least.

    Args:
        text: The text.
        limit: Characters it may have, at least 40.
    """
    if len(text) <= limit:
        return text
    half = (limit - 40) // 2  # the line between takes up to 40
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"
