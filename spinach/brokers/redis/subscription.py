"""Notifications of the namespace, by publish and subscribe."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any, Final

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from ...exc import BrokerUnavailable, NoNotifications
from .connection import Connection, RedisUnavailable

_CONFIRMATION_SECONDS: Final = 5.0
# A network that drops packets without a word looks like a quiet namespace: the server is asked after so long.
_SILENCE_SECONDS: Final = 10.0


class RedisSubscription:
    """A subscription to one channel; it is confirmed by the server before the constructor returns.

    Raises:
        NoNotifications: the user may not subscribe, the server has no such command, or the pool has no
            connection to spare.
        RedisUnavailable: the server cannot be reached or does not confirm.
    """

    def __init__(self, connection: Connection, channel: str) -> None:
        self._connection = connection
        self._channel = channel
        self._subscribe()

    def _subscribe(self) -> None:
        connection = self._connection
        if getattr(getattr(connection.client, "connection_pool", None), "max_connections", None) == 1:
            raise NoNotifications("the client's pool has one connection; it needs max_connections=2 or more")
        self._drops = connection.drops
        self._pubsub: Any = connection.client.pubsub()
        try:
            with connection.request_log.asking():
                self._pubsub.subscribe(self._channel)
                confirmed = self._pubsub.get_message(timeout=_CONFIRMATION_SECONDS)
        except (RedisError, OSError) as error:
            self.close()
            raise self._refusal(error) from error
        if confirmed is None:
            self.close()
            raise RedisUnavailable(f"the server at {connection.address} does not confirm a subscription")
        self._heard_at, self._pinged_at = monotonic(), 0.0

    def _refusal(self, error: Exception) -> Exception:
        connection = self._connection
        if isinstance(error, NoPermissionError):
            return NoNotifications(
                f"the user may not subscribe to the channel {self._channel!r} ({error}); grant it with "
                f"ACL SETUSER <user> +subscribe +unsubscribe '&{self._channel}'"
            )
        if isinstance(error, ResponseError) and not isinstance(
            connection.translated(error), BrokerUnavailable
        ):
            return NoNotifications(
                f"the server at {connection.address} refuses SUBSCRIBE ({error}); allow that command, "
                "on the server or on the proxy before it"
            )
        return connection.unavailable(f"no subscription at {connection.address}", error)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for a notification; return whether there was any, or may have been one."""
        if self._drops != self._connection.drops:
            # Another server may be the primary now, and this connection may still lead to the old one.
            self.close()
            self._subscribe()
            return True
        try:
            heard = self._read(timeout_seconds)
        except (RedisError, OSError, ValueError) as error:
            raise self._connection.unavailable(
                f"the subscription at {self._connection.address} broke", error
            ) from error
        return heard

    def _read(self, timeout_seconds: float) -> bool:
        notified = False
        message = self._pubsub.get_message(timeout=timeout_seconds)
        if message is None:
            self._check_silence()
        while message is not None:  # one exchange answers many notifications
            self._heard_at = monotonic()
            notified = notified or message["type"] != "pong"
            message = self._pubsub.get_message(timeout=0)
        return notified

    def _check_silence(self) -> None:
        now = monotonic()
        if now - self._heard_at < _SILENCE_SECONDS:
            return
        if self._pinged_at <= self._heard_at:
            self._pinged_at = now
            with suppress(NoPermissionError):
                self._pubsub.ping()
        elif now - self._pinged_at > _CONFIRMATION_SECONDS:
            raise TimeoutError(f"no answer for {now - self._heard_at:.0f} s")

    def close(self) -> None:
        """Stop listening and give the connection back."""
        with suppress(Exception):
            self._pubsub.close()
