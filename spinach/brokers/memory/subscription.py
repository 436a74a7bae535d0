"""News of a namespace inside one process: who changed something wakes who listens."""

from __future__ import annotations

from threading import Condition


class News:
    """Counts what happened and wakes the subscriptions that wait for it.

    Args:
        condition: Guards the count; shared with the store, so that news and what they tell of are one step.
    """

    __slots__ = ("condition", "count", "listeners")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.count = 0
        self.listeners = 0

    def publish(self) -> None:
        """Tell everybody to look again."""
        with self.condition:
            self.count += 1
            self.condition.notify_all()


class MemorySubscription:
    """Hears the news published after it was made."""

    __slots__ = ("_closed", "_heard", "_news")

    def __init__(self, news: News) -> None:
        self._news = news
        self._closed = False
        with news.condition:
            self._heard = news.count
            news.listeners += 1

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for news; return whether there was any. Several pieces at once count as one."""
        with self._news.condition:
            self._news.condition.wait_for(self._awake, timeout_seconds)
            fresh = self._news.count != self._heard and not self._closed
            self._heard = self._news.count
            return fresh

    def _awake(self) -> bool:
        return self._closed or self._news.count != self._heard

    def close(self) -> None:
        """Stop listening; a waiter returns at once."""
        with self._news.condition:
            self._news.listeners -= not self._closed
            self._closed = True
            self._news.condition.notify_all()
