"""The kinds of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import BaseWorkers
from .threads import ThreadWorkers

if TYPE_CHECKING:
    from .aio import AsyncioWorkers

__all__ = ["AsyncioWorkers", "BaseWorkers", "ThreadWorkers"]


def __getattr__(name: str) -> Any:
    # asyncio takes as long to import as the rest of the engine; many applications never need it.
    if name == "AsyncioWorkers":
        from .aio import AsyncioWorkers

        return AsyncioWorkers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
