"""News of the namespace, by publish and subscribe."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from .connection import Connection, RedisUnavailable

_CONFIRMATION_SECONDS: Final = 5.0


class RedisSubscription:
    """A subscription to one channel; it is confirmed by the server before the constructor returns.

    Raises:
        RedisUnavailable: the server cannot be reached or does not confirm.
    """

    def __init__(self, connection: Connection, channel: str) -> None:
        self._connection = connection
        self._pubsub: Any = connection.client.pubsub()
        try:
            with connection.request_log.asking():
                self._pubsub.subscribe(channel)
                confirmed = self._pubsub.get_message(timeout=_CONFIRMATION_SECONDS)
        except (RedisError, OSError) as error:
            self.close()
            raise connection.unavailable(f"no subscription at {connection.address}", error) from error
        if confirmed is None:
            self.close()
            raise RedisUnavailable(f"the server at {connection.address} does not confirm a subscription")

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for news; return whether there was any."""
        try:
            heard = self._pubsub.get_message(timeout=timeout_seconds)
            # One look answers many messages.
            while heard is not None and self._pubsub.get_message(timeout=0) is not None:
                pass
        except (RedisError, OSError, ValueError) as error:
            raise self._connection.unavailable(
                f"the subscription at {self._connection.address} broke", error
            ) from error
        return heard is not None

    def close(self) -> None:
        """Stop listening and give the connection back."""
        with suppress(Exception):
            self._pubsub.close()
