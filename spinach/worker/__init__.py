"""The kinds of workers."""

from __future__ import annotations

from .aio import AsyncioWorkers
from .base import BaseWorkers
from .threads import ThreadWorkers

__all__ = ["AsyncioWorkers", "BaseWorkers", "ThreadWorkers"]
