"""Turns an error of a command into an exit code and one line on stderr.

A terminal that lacks a character, a full disk or a closed pipe never ends a command with a traceback.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Final, TextIO

from spinach.exc import BrokerError, BrokerUnavailable, NotPermitted

from ..text import printable
from .options import INTERRUPTED, NOT_PERMITTED, OK, UNREACHABLE, USAGE, UsageError

# The first that fits.
_CODES: Final = (
    (NotPermitted, NOT_PERMITTED),
    (BrokerUnavailable, UNREACHABLE),
    (UsageError, USAGE),
    (BrokerError, USAGE),
)
_ERRORS: Final = "spinach-signs"
_SIGNS: Final = {"≥": ">=", "≈": "~", "…": "..."}


def guarded(name: str, run: Callable[[argparse.Namespace], int], given: argparse.Namespace) -> int:
    """Run a command; return its exit code, or that of what it raised.

    Args:
        name: Of the command, for messages.
        run: The command.
        given: Its arguments.
    """
    _never_fail_to_print()
    try:
        code = run(given)
        sys.stdout.flush()  # what is buffered must not fail when nobody can say so any more
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _drop_output()
        return OK
    except (UsageError, BrokerError) as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        return complain(name, error, code)
    except OSError as error:  # a full disk is no finding
        _drop_output()
        with contextlib.suppress(OSError):
            complain(name, error, UNREACHABLE)
        return UNREACHABLE
    return code


def _drop_output() -> None:
    """Let what is left in the buffer go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def takes_all_signs(stream: TextIO) -> bool:
    """Whether a stream says that it can carry more than ASCII."""
    return codecs.lookup(stream.encoding or "utf-8").name.startswith("utf")


def _never_fail_to_print() -> None:
    codecs.register_error(_ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character must not cost the output
            stream.reconfigure(errors=_ERRORS)


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what is written for signs that an output lacks: ours by likeness, others as escapes."""
    if not isinstance(error, UnicodeEncodeError) or error.object[error.start] not in _SIGNS:
        return codecs.backslashreplace_errors(error)
    return _SIGNS[error.object[error.start]], error.start + 1


def complain(name: str, error: Exception, code: int) -> int:
    """Say on stderr what went wrong; return the exit code."""
    print(printable(f"{name}: error: {error}"), file=sys.stderr, flush=True)
    return code
