"""Kinds of workers for `Engine.start_workers`: threads, or asyncio tasks on one event loop.

They run the jobs that the arbiter hands them; they never speak to the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import BaseWorkers
from .threads import ThreadWorkers

if TYPE_CHECKING:
    from .aio import AsyncioWorkers

__all__ = ["AsyncioWorkers", "BaseWorkers", "ThreadWorkers"]


def __getattr__(name: str) -> Any:
    # Importing asyncio takes as long as importing the rest of the engine; many applications never need it.
    if name == "AsyncioWorkers":
        from .aio import AsyncioWorkers

        return AsyncioWorkers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
