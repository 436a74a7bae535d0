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
from .exit_codes import INTERRUPTED, NOT_PERMITTED, OK, UNREACHABLE, USAGE


class UsageError(Exception):
    """The command line, or what it names, is wrong; the message says what to do."""


# The first class that fits decides: the last one is the base of those before.
_EXIT_CODES: Final = (
    (UsageError, USAGE),
    (NotPermitted, NOT_PERMITTED),
    (BrokerUnavailable, UNREACHABLE),
    (BrokerError, USAGE),
)
_ASCII_HANDLER: Final = "spinach-ascii"
_ASCII_FORMS: Final = {"≥": ">=", "≈": "~", "…": "..."}


def run_command(name: str, run: Callable[[argparse.Namespace], int], given: argparse.Namespace) -> int:
    """Run a command; return its exit code, or the one for the error that it raised.

    Args:
        name: The command as the user types it; begins the error line.
        run: The command.
        given: Its arguments.
    """
    _replace_missing_characters()
    try:
        code = run(given)
        sys.stdout.flush()  # at exit Python could not report an error of this any more
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        _discard_output()
        return OK
    except (UsageError, BrokerError) as error:
        code = next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
        return report_error(name, error, code)
    except OSError as error:  # a full disk; exit code 1 would say that the namespace is in error
        _discard_output()
        with contextlib.suppress(OSError):
            report_error(name, error, UNREACHABLE)
        return UNREACHABLE
    return code


def report_error(name: str, error: Exception, code: int) -> int:
    """Print an error of a command on stderr as one line; return the exit code that was passed."""
    print(printable(f"{name}: error: {error}"), file=sys.stderr, flush=True)
    return code


def carries_unicode(stream: TextIO) -> bool:
    """Return whether the encoding of a stream has more than ASCII."""
    return codecs.lookup(stream.encoding or "utf-8").name.startswith("utf")


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _replace_missing_characters() -> None:
    codecs.register_error(_ASCII_HANDLER, _ascii_form)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ASCII_HANDLER)


def _ascii_form(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError) or error.object[error.start] not in _ASCII_FORMS:
        return codecs.backslashreplace_errors(error)
    return _ASCII_FORMS[error.object[error.start]], error.start + 1
