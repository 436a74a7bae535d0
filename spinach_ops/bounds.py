"""Keeps label values few and harmless: first come, first kept; what comes later counts as `other`.

Names of tasks and queues come from applications and from Redis: there may be any number of them, and they may hold
anything. Pure but for what it remembers.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from .catalog import OTHER

MAX_VALUE_CHARACTERS: Final = 128
_UNPRINTABLE: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class Caps:
    """How many different label values are kept.

    A thousand label sets of a histogram with 16 buckets are a megabyte per scrape, and 150 ms of the interpreter lock.
    """

    pairs: int = 200
    queues: int = 100
    tasks: int = 200
    error_types: int = 50
    operations: int = 50


class Bounds:
    """Decides which label values are kept.

    Args:
        caps: How many of each kind.
    """

    def __init__(self, caps: Caps | None = None) -> None:
        self._caps = caps or Caps()
        self._lock = threading.Lock()
        self._kept: dict[str, set[Hashable]] = {}
        self.overflows: Counter[str] = Counter()  # by kind

    def pair(self, namespace: str, queue: str, task: str) -> tuple[str, str]:
        """Return the queue and task under which a job is counted."""
        queue, task = self._keep("queues", clean(queue)), self._keep("tasks", clean(task))
        if self._fits("pairs", (namespace, queue, task)):
            return queue, task
        return OTHER, OTHER

    def error_type(self, name: str) -> str:
        """Return the error type under which an error is counted."""
        return self._keep("error_types", clean(name))

    def operation(self, name: str) -> str:
        """Return the operation under which a round trip is counted."""
        return self._keep("operations", clean(name))

    def _keep(self, kind: str, value: str) -> str:
        return value if self._fits(kind, value) else OTHER

    def _fits(self, kind: str, value: Hashable) -> bool:
        with self._lock:
            kept = self._kept.setdefault(kind, set())
            if value in kept:
                return True
            if len(kept) < getattr(self._caps, kind):
                kept.add(value)
                return True
            self.overflows[kind] += 1
            return False


def clean(value: str) -> str:
    """Return a text that can be a label value: short, and without control characters or lone surrogates."""
    value = value[:MAX_VALUE_CHARACTERS]
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in value)
