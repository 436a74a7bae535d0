"""The broker subscriber: waits for notifications of the namespace and passes them on.

It reads no job and no date: a notification only says that something changed.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from ..brokers.base import Broker, Subscription
from ..exc import NoNotifications
from ..logger import SafeLogger
from .service import Service

logger = SafeLogger(__name__)

# A notification ends the wait at once; this only bounds how long a stop may take when none comes.
_WAIT_SECONDS: Final = 1.0
# Without notifications an idle worker starts a job after so long.
_POLL_SECONDS: Final = 1.5
# How often it asks for notifications again.
_RETRY_SECONDS: Final = 60.0


class BrokerSubscriber(Service):
    """Listens to the namespace.

    Args:
        broker: The broker to subscribe to.
        on_notification: Called for each notification, and once after each (re)connection, because
            notifications that were sent without a connection are lost.
    """

    duty = "subscriber"
    max_backoff_seconds = _POLL_SECONDS  # each attempt to subscribe asks for jobs, too

    def __init__(self, *, broker: Broker, on_notification: Callable[[], None]) -> None:
        super().__init__(broker.namespace, "broker-subscriber")
        self._broker = broker
        self._on_notification = on_notification
        self._subscription: Subscription | None = None
        self._reason_to_poll = ""
        self._retry_at = 0.0

    def tick(self) -> float | None:
        """Wait for one notification; where the broker cannot send any, let time pass instead."""
        if self._subscription is None:
            self._on_notification()
            if monotonic() < self._retry_at:
                return _POLL_SECONDS
            try:
                self._subscription = self._broker.subscribe()
            except NoNotifications as error:
                self._poll(str(error))
                return _POLL_SECONDS
            self._on_notification()
        try:
            if self._subscription.wait(_WAIT_SECONDS):
                self._on_notification()
        except BaseException:
            self.disconnect()
            raise
        return 0.0

    def _poll(self, reason: str) -> None:
        self._retry_at = monotonic() + _RETRY_SECONDS
        if reason != self._reason_to_poll:
            self._reason_to_poll = reason
            logger.warning(
                "No notifications: %s. Until then this worker asks for jobs every %g s, so an idle worker "
                "starts a job later, and the server has more requests",
                reason, _POLL_SECONDS, extra={"action": "polling"},
            )  # fmt: skip

    def disconnect(self) -> None:
        """Close the connection; called in the thread, or after it was joined."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
