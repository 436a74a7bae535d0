"""The heartbeat: says that this worker is alive, whatever its other threads do."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time

from ..brokers.base import Broker, WorkerState
from .service import Service


class Heartbeat(Service):
    """Beats at the broker's interval.

    Args:
        broker: Whom to tell.
        state: Returns what to tell.
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
        super().__init__(f"{broker.namespace}-heartbeat", on_revoked)
        self._broker = broker
        self._state = state
        self.heard = (time(), monotonic())  # when the broker last took one; a worker joins before it beats

    def tick(self) -> float | None:
        """Beat once."""
        self._broker.beat(self._state())
        self.heard = (time(), monotonic())
        return self._broker.heartbeat_seconds
