"""Background jobs on Redis that an operator can see.

Example:
    >>> from spinach import Engine, RedisBroker
    >>> engine = Engine(RedisBroker(), namespace="shop")
    >>> @engine.task(name="shop:send_receipt", max_retries=5)
    ... def send_receipt(order_id): ...
    >>> engine.schedule(send_receipt, 42)  # in any process
    >>> engine.start_workers()  # in the processes that run jobs
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from . import _installation

_installation.refuse_mixture()

from .const import VERSION  # noqa: E402 - a mixed installation must not get this far
from .engine import Engine  # noqa: E402
from .task import AbortException, Batch, RetryException, Tasks  # noqa: E402
from .worker import ThreadWorkers  # noqa: E402

if TYPE_CHECKING:
    from .brokers.memory import MemoryBroker
    from .brokers.redis import RedisBroker
    from .worker import AsyncioWorkers

__version__ = VERSION

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

# Loaded on first use: each takes longer to import than everything above, and few applications need two.
_LAZY: Final = {
    "AsyncioWorkers": ".worker.aio",
    "MemoryBroker": ".brokers.memory",
    "RedisBroker": ".brokers.redis",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
