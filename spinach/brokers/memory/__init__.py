"""The in-process broker: the same verbs as the Redis one, on plain containers. Nothing outlives the process."""

from __future__ import annotations

from .broker import MemoryBroker
from .store import MemoryStore

__all__ = ["MemoryBroker", "MemoryStore"]
