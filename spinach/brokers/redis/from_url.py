"""From a URL to a broker, for tools that are no application and have no client of their own."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
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
    except (ValueError, TypeError) as error:
        raise ValueError(f"the server's URL cannot be used: {_without_url(str(error), url)}") from None
    broker = RedisBroker(client, enqueue_job_max_retries=0)
    broker.namespace = namespace
    return broker


def _without_url(text: str, url: str) -> str:
    return text.replace(url, "(the URL)")
