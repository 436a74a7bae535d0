"""The connection: sends commands, returns raw replies, and turns errors into those of `spinach.exc`.

Replies are bytes, however the application configured its client. The connection never sends a request twice:
only the caller knows whether it may. It knows no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import redis
from redis import exceptions as redis_errors
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from ...exc import (
    BrokerError,
    BrokerUnavailable,
    EnqueueUncertain,
    NotPermitted,
    Unavailability,
    WrongKeyType,
)
from .request_log import RequestLog

Argument = str | bytes | int | float
T = TypeVar("T")


class RedisUnavailable(BrokerUnavailable, redis.ConnectionError):
    """`BrokerUnavailable`, for applications that catch redis-py's errors."""

    __repr__ = Exception.__repr__  # redis-py's reads what only its own constructor sets


class RedisUncertain(EnqueueUncertain, redis.ConnectionError):
    """`EnqueueUncertain`, for applications that catch redis-py's errors."""

    __repr__ = Exception.__repr__


class RedisNotPermitted(RedisUnavailable, NotPermitted):
    """`NotPermitted`, for applications that catch redis-py's errors."""


class ConnectionLost(RedisUnavailable):
    """The connection broke after the request was sent: it may have been applied."""


# How long a call waits for one of the pool's connections.
_POOL_SECONDS: Final = 5.0
_POOL_PAUSE_SECONDS: Final = 0.002
# How long a call waits for an answer where the client has no timeout of its own.
_ANSWER_SECONDS: Final = 15.0
# Replies of a server that runs and cannot take a request now. The request was not applied.
_REFUSALS: Final = (
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MaxConnectionsError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_REFUSING_WORDS: Final = ("OOM", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS", "MISCONF")
# Replies of a server that is not the primary, or not yet: another one may have its address now.
_ROLE_REFUSALS: Final = (BusyLoadingError, MasterDownError, ReadOnlyError)
_ROLE_WORDS: Final = ("READONLY", "MASTERDOWN", "LOADING", "UNBLOCKED")
# The client drops the word where it has a class for it; servers before 7.0 put it behind the script's line.
_WORD: Final = re.compile(r"(?:.*@user_script: ?\d+: ?)?-?([A-Z]+) ")


class Connection:
    """Commands to one server through a redis-py client's connection pool.

    Args:
        client: The application's client; its pool, timeouts and credentials are used.
        slot_key: Any key of the namespace: a cluster has all of them on the node that has this one.

    Attributes:
        request_log: Notes every round trip.
        drops: How often connections were closed because the server broke off or is no primary.
    """

    def __init__(self, client: Any, slot_key: str) -> None:
        self.client = client
        self.is_cluster = not hasattr(client, "connection_pool")
        self._slot_key = slot_key
        self.request_log = RequestLog()
        self.drops = 0

    def call(self, *command: Argument, operation: str = "") -> Any:
        """Send one command and return its raw reply.

        Args:
            *command: The command and its arguments.
            operation: The name that the observer gets; by default the command's.

        Raises:
            RedisUnavailable: it was not applied (`ConnectionLost`: it may have been).
            WrongKeyType: a key holds another type.
            NoScriptError: the script is not known to the server.
            BrokerError: the server answered with another error.
        """
        reply = self.read(command, operation=operation)[0]
        if isinstance(reply, Exception):
            raise self.translated(reply)
        return reply

    def read(self, *commands: Sequence[Argument], operation: str = "") -> list[Any]:
        """Send commands in one go and return their raw replies; error replies are returned, not raised."""
        began = self.request_log.begin()
        replies, failure = None, None
        try:
            replies = self._read(commands)
        except Exception as error:
            failure = error
            raise
        finally:
            self.request_log.end(began, operation or str(commands[0][0]).lower(), replies, failure)
        return replies

    def _read(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        replies = self._send(commands)
        if self.is_cluster and any(isinstance(reply, (MovedError, AskError)) for reply in replies):
            # The slot moved to another node and nothing was applied here.
            self._learn_nodes()
            replies = self._send(commands)
        return replies

    def _send(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        try:
            pool = self._pool()
            connection = _connection_of(pool)
        except (RedisError, OSError) as error:
            self._learn_nodes()
            raise self._unreachable(error) from error
        except (TypeError, ValueError) as error:  # options that the client only checks when it connects
            raise RedisUnavailable(
                f"the redis client cannot connect: {error}; check the options it was made with"
            ) from error
        try:
            replies = _send_and_read(connection, commands)
            if any(isinstance(reply, Exception) and _is_role_refusal(reply) for reply in replies):
                self._reconnect(connection, pool)
            return replies
        except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
            self._reconnect(connection, pool)
            if isinstance(error.__context__, ReadOnlyError):  # how the client of a Sentinel reports one
                raise self.translated(error.__context__) from error
            raise ConnectionLost(
                f"the connection to {self.address} broke: {error}", kind=_kind_of(error)
            ) from error
        except BaseException:
            # A reply may be left unread: the next command would read it.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)

    def _pool(self) -> Any:
        if not self.is_cluster:
            return self.client.connection_pool
        # All keys of the namespace are in one slot, so one node has them.
        node = self.client.get_node_from_key(self._slot_key)
        return self.client.get_redis_connection(node).connection_pool

    def _reconnect(self, connection: Any, pool: Any) -> None:
        """Close a connection and the idle ones: the next ones look the address up, which may have moved."""
        self.drops += 1
        connection.disconnect()
        with suppress(RedisError, OSError, TypeError):  # TypeError: a pool that cannot leave others alone
            pool.disconnect(inuse_connections=False)
        self._learn_nodes()

    def _learn_nodes(self) -> None:
        """Ask the cluster again which node has the slot."""
        if self.is_cluster:
            with suppress(RedisError, OSError):
                self.client.nodes_manager.initialize()

    @property
    def address(self) -> str:
        """Where the server is, without credentials."""
        if self.is_cluster:
            return "the cluster"
        if self.endpoint is None:
            return f"the primary of {self.client.connection_pool.service_name!r}"
        host, port = self.endpoint
        return host if port is None else f"{host}:{port}"

    @property
    def endpoint(self) -> tuple[str, int | None] | None:
        """Host and port, or path and None; behind a Sentinel those of the last connection.

        None for a cluster, whose node changes, and before the first answer of a Sentinel.
        """
        if self.is_cluster:
            return None
        pool = self.client.connection_pool
        settings = pool.connection_kwargs
        if "path" in settings:
            return str(settings["path"]), None
        if hasattr(pool, "service_name"):
            found = getattr(pool, "master_address", None)
            return (str(found[0]), int(found[1])) if found else None
        return str(settings.get("host", "localhost")), int(settings.get("port", 6379))

    def unavailable(self, what: str, error: Exception) -> RedisUnavailable:
        """Return the error for `what` failed, with the client's own message."""
        return RedisUnavailable(f"{what}: {error}", kind=_kind_of(error))

    def _unreachable(self, error: Exception) -> RedisUnavailable:
        kind = _kind_of(error)
        if kind in ("auth", "permission"):
            return RedisNotPermitted(
                f"the server at {self.address} refuses the user name or password ({error}); "
                "check the credentials of the redis client or URL",
                at_login=True,
            )
        if isinstance(error, MaxConnectionsError):
            return RedisUnavailable(
                f"all connections of the client's pool were in use for {_POOL_SECONDS:g} s ({error}); "
                "give the redis client a larger max_connections"
            )
        hint = "is it running, and is the URL right?"
        if "number of clients" in str(error):
            hint = "raise maxclients of the server, or find what keeps connections open with CLIENT LIST"
        return RedisUnavailable(
            f"no connection to the server at {self.address}: {_reason_of(error)}; {hint}",
            kind=kind,
        )

    def translated(self, error: Exception) -> Exception:
        """Return the exception for an error reply."""
        text = str(error)
        if isinstance(error, NoScriptError):
            return error
        if "WRONGTYPE" in text:
            return WrongKeyType(f"a key of the namespace holds another type: {text}")
        if isinstance(error, (ClusterCrossSlotError, MovedError, AskError)) or "CROSSSLOT" in text:
            return BrokerError(
                "this server is part of a cluster: use a redis.cluster.RedisCluster client and a namespace "
                "with a hash tag, such as '{prod}', so that all its keys are in one slot"
            )
        kind = _kind_of(error)
        if kind in ("auth", "permission"):
            return RedisNotPermitted(
                f"the server at {self.address} does not permit that: {error}", at_login=kind == "auth"
            )
        if isinstance(error, _REFUSALS) or _is_role_refusal(error) or _word_of(text) in _REFUSING_WORDS:
            return RedisUnavailable(f"the server at {self.address} refuses: {error}")
        return BrokerError(f"the server at {self.address} answered: {text}")


def _reason_of(error: Exception) -> str:
    """Return what a client says of a failed connection, without the address, which our sentence has."""
    return re.sub(r"^Error (-?\d+) connecting to \S+\. (.+?)\.?$", r"\2 (error \1)", str(error)).rstrip(".")


def _kind_of(error: BaseException) -> Unavailability:
    """Return why an error of the client, or an error reply, makes the broker unavailable."""
    text = str(error)
    if isinstance(error, AuthenticationError) or "WRONGPASS" in text or text.startswith("NOAUTH"):
        return "auth"
    if isinstance(error, NoPermissionError) or text.startswith("NOPERM"):
        return "permission"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (redis_errors.TimeoutError, TimeoutError)):
            return "timeout"
        cause = cause.__cause__ or cause.__context__  # redis-py wraps what the socket raised
    return "connection"


def _connection_of(pool: Any) -> Any:
    """Return a connection of a pool; wait for one where the pool is small and all are in use."""
    deadline = monotonic() + _POOL_SECONDS
    while True:
        try:
            return pool.get_connection()
        except MaxConnectionsError:
            if monotonic() > deadline:
                raise
        sleep(_POOL_PAUSE_SECONDS)


def _is_role_refusal(error: Exception) -> bool:
    return isinstance(error, _ROLE_REFUSALS) or _word_of(str(error)) in _ROLE_WORDS


def _word_of(reply: str) -> str:
    """Return the word that names the kind of an error reply."""
    found = _WORD.match(reply)
    return found[1] if found else ""


def _send_and_read(connection: Any, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    if len(commands) == 1:
        connection.send_command(*commands[0])
    else:
        connection.send_packed_command(connection.pack_commands(commands))
    if connection.socket_timeout is None and not connection.can_read(timeout=_ANSWER_SECONDS):
        raise TimeoutError(f"no answer for {_ANSWER_SECONDS:g} s")
    return [_reply_of(connection) for _ in commands]


def _reply_of(connection: Any) -> Any:
    try:
        reply = connection.read_response(disable_decoding=True)
    except (ResponseError, AuthenticationError, BusyLoadingError) as error:  # answers, not lost connections
        return error
    return reply


def pairs(reply: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of a reply: flat list, list of pairs (RESP3) or map (RESP3)."""
    if isinstance(reply, dict):
        return list(reply.items())
    if not reply:
        return []
    if isinstance(reply[0], list):
        return [(first, second) for first, second in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))


def value(reply: T | Exception, default: T) -> T:
    """Return a reply, or the default where it is an error (a foreign type, a missing permission)."""
    return default if isinstance(reply, Exception) else reply
