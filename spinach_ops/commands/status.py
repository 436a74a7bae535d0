"""`spinach-ops status`: polls a namespace once and prints its queues, workers and findings."""

from __future__ import annotations

import argparse
import sys

from ..cli import tables
from ..cli.exit_codes import OK
from ..cli.namespaces import explain_empty, is_empty
from ..cli.options import add_common, add_queues, read_common
from ..polling.poller import Poller

HELP = "show queues, workers and what is wrong, once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_queues(parser)
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Show a namespace; return the exit code."""
    options = read_common(given)
    broker = options.connect()
    poll = Poller(broker, queues=given.queue, discover=True).poll()
    tables.show(poll, options, broker)
    if is_empty(poll.snapshot):
        print(explain_empty(broker), file=sys.stderr)
    return OK
