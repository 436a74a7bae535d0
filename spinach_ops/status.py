"""`spinach-ops status`: one look at a namespace."""

from __future__ import annotations

import argparse
import sys

from spinach.brokers.base import Broker

from . import render
from .findings import findings
from .options import OK, Options, add_common, read_common
from .top.source import Source, Tick
from .whereabouts import is_empty, nothing_there

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
    tick = Source(broker, queues=given.queue, discover=True).look()
    show(tick, options, broker)
    if is_empty(tick.snapshot):
        print(nothing_there(broker), file=sys.stderr)
    return OK


def show(tick: Tick, options: Options, broker: Broker) -> None:
    """Print a look in the form that was asked for."""
    found = findings(tick.snapshot)
    if options.json:
        text = render.to_json(render.document(tick.snapshot, tick.rates, found, address=broker.address))
    else:
        text = render.plain(tick.snapshot, tick.rates, found, address=broker.address, color=options.color)
    print(text, flush=True)
