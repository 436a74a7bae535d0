"""The command `spinach-top`: looks at a namespace once, or again and again.

Exit codes: 0 fine, 2 the command line is wrong, 3 the server cannot be reached, 4 not permitted, 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
import threading
from typing import Final

from spinach.const import VERSION
from spinach.exc import BrokerUnavailable

from ..ending import complain, guarded
from ..options import OK, add_common, read_common
from ..status import is_empty, nothing_there, show
from .source import Source

_NAME: Final = "spinach-top"
_DEFAULT_INTERVAL_SECONDS: Final = 2.0
_INTERVALS: Final = (0.2, 3600.0)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `spinach-top`; return its exit code."""
    return guarded(_NAME, run, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME, description="Queues and workers of a namespace, straight from Redis; changes nothing.",
        epilog="Without a terminal it behaves as with --once --plain. Rates: = is exact, ≥ a lower bound.",
    )  # fmt: skip
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {VERSION}")
    add("-i", "--interval", metavar="SECS", type=_interval, default=_DEFAULT_INTERVAL_SECONDS,
        help="seconds between two looks (default: %(default)s)")  # fmt: skip
    add("--queue", metavar="Q", action="append", default=[], help="also look at this queue; may be repeated")
    times = parser.add_mutually_exclusive_group()
    times.add_argument("--once", action="store_true", help="look once")
    times.add_argument("--count", metavar="N", type=_count, help="look N times; rates from the second on")
    add("--plain", action="store_true", help="plain text, a block per look")
    add_common(parser)
    return parser


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not _INTERVALS[0] <= seconds <= _INTERVALS[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {_INTERVALS[0]} to 3600")
    return seconds


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def run(given: argparse.Namespace) -> int:
    """Look as often as asked for; return the exit code."""
    options = read_common(given)
    broker = options.connect()
    source = Source(broker, interval_seconds=given.interval, queues=given.queue, discover=True)
    looks = 1 if given.once or not (given.count or sys.stdout.isatty()) else given.count
    number = 0
    while looks is None or number < looks:
        if number:
            threading.Event().wait(given.interval)
            if not options.json:
                print()
        try:
            tick = source.look()
        except BrokerUnavailable as error:
            if looks is not None or not number:
                raise
            complain(_NAME, error, OK)  # who watches wants to see it come back
            continue
        show(tick, options, broker)
        number += 1
        if number == 1 and is_empty(tick.snapshot):
            print(nothing_there(broker), file=sys.stderr)
    return OK


if __name__ == "__main__":
    sys.exit(main())
