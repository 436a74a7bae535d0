"""How a command ends: from what went wrong to an exit code and a line on stderr."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import Final

from spinach.exc import BrokerError, BrokerUnavailable, NotPermitted

from .options import INTERRUPTED, NOT_PERMITTED, OK, UNREACHABLE, USAGE, UsageError
from .text import printable

# The first that fits.
_CODES: Final = (
    (NotPermitted, NOT_PERMITTED),
    (BrokerUnavailable, UNREACHABLE),
    (UsageError, USAGE),
    (BrokerError, USAGE),
)


def guarded(name: str, run: Callable[[argparse.Namespace], int], given: argparse.Namespace) -> int:
    """Run a command; return its exit code, or that of what it raised.

    Args:
        name: Of the command, for messages.
        run: The command.
        given: Its arguments.
    """
    _never_fail_to_print()
    try:
        return run(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (UsageError, BrokerError) as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        return complain(name, error, code)


def _never_fail_to_print() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character must not cost the output
            stream.reconfigure(errors="backslashreplace")


def complain(name: str, error: Exception, code: int) -> int:
    """Say on stderr what went wrong; return the exit code."""
    print(printable(f"{name}: error: {error}"), file=sys.stderr, flush=True)
    return code
