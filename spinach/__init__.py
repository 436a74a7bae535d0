"""Background jobs on Redis that an operator can see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _installation

_installation.refuse_mixture()

from .brokers.memory import MemoryBroker  # noqa: E402 - a mixed installation must not get this far
from .engine import Engine  # noqa: E402
from .task import AbortException, Batch, RetryException, Tasks  # noqa: E402
from .worker import AsyncioWorkers, ThreadWorkers  # noqa: E402

if TYPE_CHECKING:
    from .brokers.redis import RedisBroker

__version__ = "0.1.0"

__all__ = [
    "AbortException",
    "AsyncioWorkers",
    "Batch",
    "Engine",
    "MemoryBroker",
    "RedisBroker",
    "RetryException",
    "Tasks",
    "ThreadWorkers",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: redis-py alone takes longer to import than everything else here.
    if name == "RedisBroker":
        from .brokers.redis import RedisBroker

        return RedisBroker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
