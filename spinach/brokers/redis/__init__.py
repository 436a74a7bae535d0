"""The Redis broker: the only place that speaks Redis."""

from __future__ import annotations

from .broker import RedisBroker, recommended_socket_opts
from .connection import RedisUnavailable, RedisUncertain

__all__ = ["RedisBroker", "RedisUnavailable", "RedisUncertain", "recommended_socket_opts"]
