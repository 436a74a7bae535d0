"""The heartbeat: tells the broker that this worker is alive.

It has a thread of its own and waits for no other duty: a busy worker must not look dead.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time

from ..brokers.base import Broker, WorkerState
from .service import Service


class Heartbeat(Service):
    """Sends a heartbeat at the broker's interval.

    Args:
        broker: Receives the heartbeats.
        state: Returns the state to send.
        on_revoked: Called with the worker id that was declared dead.
    """

    duty = "heartbeat"

    def __init__(
        self,
        *,
        broker: Broker,
        state: Callable[[], WorkerState],
        on_revoked: Callable[[str], None],
    ) -> None:
        super().__init__(broker.namespace, "heartbeat", on_revoked)
        self._broker = broker
        self._state = state
        # Others judge soon after an outage: the first heartbeat must come before that.
        self.max_backoff_seconds = min(self.max_backoff_seconds, broker.heartbeat_seconds)
        # When the broker last accepted one; joining, which came before, counts as the first.
        self.accepted = (time(), monotonic())

    def tick(self) -> float | None:
        """Send one heartbeat."""
        self._broker.beat(self._state())
        self.accepted = (time(), monotonic())
        return self._broker.heartbeat_seconds
