"""`spinach-ops status`: one look at a namespace."""

from __future__ import annotations

import argparse
import sys

from ..cli import tables
from ..cli.namespaces import is_empty, nothing_there
from ..cli.options import OK, add_common, read_common
from ..polling.poller import Poller

HELP = "queues, workers and what is wrong, once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--queue", metavar="Q", action="append", default=[], help="also look at this queue; may be repeated"
    )
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Show a namespace; return the exit code."""
    options = read_common(given)
    broker = options.connect()
    tick = Poller(broker, queues=given.queue, discover=True).look()
    tables.show(tick, options, broker)
    if is_empty(tick.snapshot):
        print(nothing_there(broker), file=sys.stderr)
    return OK
