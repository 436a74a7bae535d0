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
    """Return whether a snapshot holds no job, no worker, no task and no error."""
    return not (
        snapshot.queues or snapshot.workers or snapshot.orphans or snapshot.connected or snapshot.scheduled
        or snapshot.periodic or snapshot.failed or snapshot.errors
    )  # fmt: skip


def explain_empty(broker: Broker) -> str:
    """Return one line for an empty namespace: the name that was likely meant, or those that have workers."""
    others: list[str] = []
    lookup = getattr(broker, "namespaces", None)
    if lookup is not None:
        try:
            others = sorted(lookup())
        except BrokerError:  # the user may not SCAN
            others = []
    close = get_close_matches(broker.namespace, others, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    if others and not close:
        hint = f"; namespaces with workers: {', '.join(others[:_MAX_OTHERS])}"
    return printable(f"nothing in namespace {broker.namespace!r} at {broker.address}{hint}")
