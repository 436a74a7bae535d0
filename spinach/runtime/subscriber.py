"""The broker subscriber: waits for notifications of the namespace and passes them on.

It reads no job and no date: a notification only says that something changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..brokers.base import Broker, Subscription
from .service import Service

# A notification ends the wait at once; this only bounds how long a stop may take when none comes.
_WAIT_SECONDS: Final = 1.0


class BrokerSubscriber(Service):
    """Listens to the namespace.

    Args:
        broker: The broker to subscribe to.
        on_notification: Called for each notification, and once after each (re)connection, because
            notifications that were sent without a connection are lost.
    """

    duty = "subscriber"

    def __init__(self, *, broker: Broker, on_notification: Callable[[], None]) -> None:
        super().__init__(broker.namespace, "broker-subscriber")
        self._broker = broker
        self._on_notification = on_notification
        self._subscription: Subscription | None = None

    def tick(self) -> float | None:
        """Wait for one notification."""
        if self._subscription is None:
            self._subscription = self._broker.subscribe()
            self._on_notification()
        try:
            if self._subscription.wait(_WAIT_SECONDS):
                self._on_notification()
        except BaseException:
            self.disconnect()
            raise
        return 0.0

    def disconnect(self) -> None:
        """Close the connection; called in the thread, or after it was joined."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
