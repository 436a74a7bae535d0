"""`spinach-ops status`: one look at a namespace."""

from __future__ import annotations

import argparse
import sys

from spinach.brokers.base import Broker
from spinach.stats import NamespaceSnapshot

from . import render
from .findings import findings
from .options import OK, Options, add_common, read_common
from .text import printable
from .top.source import Source, Tick

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


def is_empty(snapshot: NamespaceSnapshot) -> bool:
    """Whether nothing at all was found."""
    return not (
        snapshot.queues or snapshot.workers or snapshot.orphans or snapshot.connected or snapshot.scheduled
        or snapshot.periodic or snapshot.failed or snapshot.errors
    )  # fmt: skip


def nothing_there(broker: Broker) -> str:
    """Return what to say of an empty namespace: which others there are."""
    from spinach.exc import BrokerError

    others: list[str] = []
    lookup = getattr(broker, "namespaces", None)
    if lookup is not None:
        try:
            others = sorted(lookup())[:10]
        except BrokerError:  # SCAN is not permitted: then nobody can tell
            others = []
    hint = f"; workers are registered in: {', '.join(others)}" if others else ""
    return printable(f"nothing under {broker.namespace!r} at {broker.address}{hint}")
