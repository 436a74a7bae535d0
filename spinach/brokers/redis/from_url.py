"""From a URL to a broker, for tools that are no application and have no client of their own."""

from __future__ import annotations

from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .broker import RedisBroker

_SCHEMES = ("redis://", "rediss://", "unix://")


def connect(url: str, namespace: str, *, timeout_seconds: float = 2.0) -> RedisBroker:
    """Return a broker of a namespace; nothing is sent before its first verb.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with options of redis-py in its query.
        namespace: Whose jobs.
        timeout_seconds: For connecting and for each reply: a server that is gone must not hold up a person.

    Raises:
        ValueError: the URL or the namespace is none; the message carries no password.
    """
    if not url.startswith(_SCHEMES):
        raise ValueError(f"a server's URL begins with {', '.join(_SCHEMES)}, this one does not")
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        _check(client, url)
    except (ValueError, TypeError, RedisError) as error:
        raise ValueError(f"the server's URL cannot be used: {_without_url(str(error), url)}") from None
    broker = RedisBroker(client, enqueue_job_max_retries=0)
    broker.namespace = namespace
    return broker


def _check(client: redis.Redis, url: str) -> None:
    """Raise where the client would raise at its first connection, or silently use database 0."""
    database = urlsplit(url).path.strip("/")
    if not url.startswith("unix://") and database and not database.isdecimal():
        raise ValueError("what follows the port is no number of a database, as in redis://host:port/0")
    pool = client.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)
    except TypeError as error:
        unknown = str(error).rpartition("argument ")[2]
        remedy = "TLS needs rediss://" if unknown.startswith("'ssl_") else "see redis.Redis.from_url"
        raise ValueError(f"redis-py has no option {unknown} for this kind of URL; {remedy}") from None


def _without_url(text: str, url: str) -> str:
    return text.replace(url, "(the URL)")
