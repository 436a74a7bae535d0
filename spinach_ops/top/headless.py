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

from ..cli.errors import complain
from ..cli.namespaces import is_empty, nothing_there
from ..cli.options import FINDINGS, NOT_PERMITTED, OK, UNREACHABLE, Options
from ..cli.tables import show
from ..polling.poller import Poller
from ..text import printable
from .conditions import Condition

_NAME: Final = "spinach-top"
# Rates need two looks, and some time between them; who wants one frame does not want to wait for long.
_FRAME_SECONDS: Final = 2.0
# Of what could not be read.
_SAID: Final = 5


def look(
    source: Poller, broker: Broker, options: Options, *, looks: int | None, conditions: Sequence[Condition]
) -> int:
    """Look and print; return the exit code.

    Args:
        source: Where to look.
        broker: Its broker.
        options: The form of the output.
        looks: How often, None for as long as nobody interrupts.
        conditions: What must not be at the last look.
    """
    number = 0
    snapshot: NamespaceSnapshot | None = None
    while looks is None or number < looks:
        if number:
            threading.Event().wait(source.interval_seconds)
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
        number, snapshot = number + 1, tick.snapshot
        if number == 1 and is_empty(tick.snapshot):
            print(nothing_there(broker), file=sys.stderr)
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
    for error in snapshot.errors[:_SAID]:
        print(printable(f"{_NAME}: not read: {error.what}: {error.message}"), file=sys.stderr)
    refused = any(error.reason == "permission" for error in snapshot.errors)
    return NOT_PERMITTED if refused else UNREACHABLE


def frame(source: Poller, broker: Broker, *, width: int, height: int, ascii_only: bool = False) -> int:
    """Print the home screen once, as text; return the exit code."""
    # What it is drawn with takes longer to load than a plain look.
    from ..polling.connection import Connection
    from ..polling.trends import History
    from .screen.draw import draw
    from .screen.header import Status
    from .screen.navigation import Navigation
    from .view.view_model import ViewModel

    history = History()
    first = source.look()
    history.add(first.snapshot, first.rates)
    threading.Event().wait(min(_FRAME_SECONDS, source.interval_seconds))
    tick = source.look()
    history.add(tick.snapshot, tick.rates)
    now = time.monotonic()
    status = Status(
        broker.namespace, broker.address, VERSION, Connection().succeeded(), now, source.interval_seconds
    )
    view = ViewModel(tick.snapshot, history)
    drawn = draw(view, Navigation(), status, width=width, height=height, now=now, ascii_only=ascii_only)
    print(drawn.text(width, height))
    return OK
