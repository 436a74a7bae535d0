"""The broker subscriber: hears that something happened and makes the arbiter look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..brokers.base import Broker, Subscription
from .service import Service

# Only bounds how long a stop may take when the server is silent: news arrive at once.
_WAIT_SECONDS: Final = 1.0


class BrokerSubscriber(Service):
    """Listens to the namespace.

    Args:
        broker: Whom to listen to.
        on_news: Called for each piece of news, and once after each (re)connection: what happened while
            nobody listened is found by looking.
    """

    duty = "subscriber"

    def __init__(self, *, broker: Broker, on_news: Callable[[], None]) -> None:
        super().__init__(f"{broker.namespace}-broker-subscriber")
        self._broker = broker
        self._on_news = on_news
        self._subscription: Subscription | None = None

    def tick(self) -> float | None:
        """Wait for one piece of news."""
        if self._subscription is None:
            self._subscription = self._broker.subscribe()
            self._on_news()
        try:
            if self._subscription.wait(_WAIT_SECONDS):
                self._on_news()
        except BaseException:
            self.disconnect()
            raise
        return 0.0

    def disconnect(self) -> None:
        """Let go of the connection; called by the thread, or after it was joined."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
