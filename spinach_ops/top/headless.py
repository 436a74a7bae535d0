"""`spinach-top` without a terminal: prints one block, one JSON object or one screen as text per poll."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from spinach.brokers.base import Broker
from spinach.const import VERSION
from spinach.exc import BrokerUnavailable
from spinach.stats import NamespaceSnapshot

from ..cli.errors import report_error
from ..cli.exit_codes import FINDINGS, NOT_PERMITTED, OK, UNREACHABLE
from ..cli.namespaces import explain_empty, is_empty
from ..cli.options import Options
from ..cli.tables import show
from ..polling.poller import Poller
from ..text import printable
from .conditions import Condition

_NAME: Final = "spinach-top"
# Rates need two polls. The pause between them is a compromise with the time that one waits for a snapshot.
_PAUSE_SECONDS: Final = 2.0
# Lines about what could not be read.
_MAX_ERRORS_SHOWN: Final = 5


def print_polls(
    poller: Poller, broker: Broker, options: Options, *, count: int | None, conditions: Sequence[Condition]
) -> int:
    """Poll and print, again and again; return the exit code.

    Args:
        poller: Polls the namespace.
        broker: The broker that it polls.
        options: The form of the output.
        count: How often; None until interrupted.
        conditions: What must not hold at the last poll.
    """
    number = 0
    snapshot: NamespaceSnapshot | None = None
    while count is None or number < count:
        if number:
            threading.Event().wait(poller.interval_seconds)
            if not options.json:
                print()
        try:
            poll = poller.poll()
        except BrokerUnavailable as error:
            if count is not None or not number:
                raise
            report_error(_NAME, error, OK)  # go on: show when the server is back
            continue
        show(poll, options, broker)
        number, snapshot = number + 1, poll.snapshot
        if number == 1 and is_empty(poll.snapshot):
            print(explain_empty(broker), file=sys.stderr)
    return judge(snapshot, conditions)


def judge(snapshot: NamespaceSnapshot | None, conditions: Sequence[Condition]) -> int:
    """Say which conditions hold; return the exit code."""
    if snapshot is None:
        return OK
    held = {condition: condition.holds(snapshot) for condition in conditions}
    for condition, holds in held.items():
        if holds is not False:
            doubt = "" if holds else "cannot tell: "
            print(f"{_NAME}: {doubt}{condition.evidence(snapshot)}", file=sys.stderr)
    if True in held.values():
        return FINDINGS
    return _unread(snapshot) if None in held.values() else OK


def _unread(snapshot: NamespaceSnapshot) -> int:
    """Say what could not be read; return the exit code."""
    for error in snapshot.errors[:_MAX_ERRORS_SHOWN]:
        print(printable(f"{_NAME}: not read: {error.what}: {error.message}"), file=sys.stderr)
    refused = any(error.reason == "permission" for error in snapshot.errors)
    return NOT_PERMITTED if refused else UNREACHABLE


def print_screen(poller: Poller, broker: Broker, *, width: int, height: int, ascii_only: bool = False) -> int:
    """Print the home screen once, as text; return the exit code."""
    # Loaded here: the modules that draw take longer to load than those of a plain poll.
    from ..polling.connection import Connection
    from ..polling.trends import History
    from .screen.draw import draw
    from .screen.header import Status
    from .screen.navigation import Navigation
    from .view.view_model import ViewModel

    history = History()
    first = poller.poll()
    history.add(first.snapshot, first.rates)
    threading.Event().wait(min(_PAUSE_SECONDS, poller.interval_seconds))
    poll = poller.poll()
    history.add(poll.snapshot, poll.rates)
    now = time.monotonic()
    status = Status(
        broker.namespace, broker.address, VERSION, Connection().succeeded(), now, poller.interval_seconds
    )
    view = ViewModel(poll.snapshot, history)
    drawn = draw(view, Navigation(), status, width=width, height=height, now=now, ascii_only=ascii_only)
    print(drawn.text(width, height))
    return OK
