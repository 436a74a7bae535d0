"""The hint for a namespace in which nothing was found: its name is probably misspelt."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from spinach.brokers.base import Broker
from spinach.exc import BrokerError
from spinach.stats import NamespaceSnapshot

from ..text import printable

_MAX_OTHERS: Final = 10


def is_empty(snapshot: NamespaceSnapshot) -> bool:
    """Whether nothing at all was found."""
    return not (
        snapshot.queues or snapshot.workers or snapshot.orphans or snapshot.connected or snapshot.scheduled
        or snapshot.periodic or snapshot.failed or snapshot.errors
    )  # fmt: skip


def nothing_there(broker: Broker) -> str:
    """Return what to say of an empty namespace: which others there are, the likeliest first."""
    others: list[str] = []
    lookup = getattr(broker, "namespaces", None)
    if lookup is not None:
        try:
            others = sorted(lookup())
        except BrokerError:  # SCAN is not permitted: then nobody can tell
            others = []
    close = get_close_matches(broker.namespace, others, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    hint = f"; workers are registered in: {', '.join(others[:_MAX_OTHERS])}" if others and not close else ""
    return printable(f"nothing under {broker.namespace!r} at {broker.address}{meant or hint}")
