"""Notifications inside one process: a broker that changed a namespace wakes the subscriptions to it."""

from __future__ import annotations

from threading import Condition


class Notifications:
    """Counts the notifications of one namespace and wakes its subscriptions.

    Args:
        condition: Guards the count. It is the store's lock: a change and its notification are one step.
    """

    __slots__ = ("condition", "count", "listeners")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.count = 0
        self.listeners = 0

    def publish(self) -> None:
        """Wake every subscription."""
        with self.condition:
            self.count += 1
            self.condition.notify_all()


class MemorySubscription:
    """Hears the notifications published after it was made."""

    __slots__ = ("_closed", "_heard", "_notifications")

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications
        self._closed = False
        with notifications.condition:
            self._heard = notifications.count
            notifications.listeners += 1

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for a notification; return whether one came. Several at once count as one."""
        with self._notifications.condition:
            self._notifications.condition.wait_for(self._awake, timeout_seconds)
            fresh = self._notifications.count != self._heard and not self._closed
            self._heard = self._notifications.count
            return fresh

    def _awake(self) -> bool:
        return self._closed or self._notifications.count != self._heard

    def close(self) -> None:
        """Stop listening; a waiter returns at once."""
        with self._notifications.condition:
            self._notifications.listeners -= not self._closed
            self._closed = True
            self._notifications.condition.notify_all()
