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
# Values that are remembered to be folded; beyond, the count of them stands still.
_MAX_FOLDED: Final = 10_000


@dataclass(frozen=True, slots=True)
class LabelCaps:
    """How many different label values are kept.

    A thousand label sets of a histogram with 16 buckets are a megabyte per scrape, and 150 ms of the interpreter lock.
    """

    pairs: int = 200
    queues: int = 100
    tasks: int = 200
    error_types: int = 50
    operations: int = 50


class LabelLimiter:
    """Decides which label values are kept.

    Args:
        caps: How many of each kind.
    """

    def __init__(self, caps: LabelCaps | None = None) -> None:
        self._caps = caps or LabelCaps()
        self._lock = threading.Lock()
        self._kept: dict[str, set[Hashable]] = {}
        self._folded: set[tuple[str, Hashable]] = set()
        self.overflows: Counter[str] = Counter()  # different values that were folded, by kind

    def pair(self, namespace: str, queue: str, task: str) -> tuple[str, str]:
        """Return the queue and task under which a job is counted; a queue that is known keeps its name."""
        queue, task = self._keep("queues", sanitize_label(queue)), self._keep("tasks", sanitize_label(task))
        if task == OTHER or self._fits("pairs", (namespace, queue, task)):
            return queue, task
        return queue, OTHER

    def queue(self, name: str) -> str:
        """Return the queue under which something is counted."""
        return self._keep("queues", sanitize_label(name))

    def error_type(self, name: str) -> str:
        """Return the error type under which an error is counted."""
        return self._keep("error_types", sanitize_label(name))

    def operation(self, name: str) -> str:
        """Return the operation under which a round trip is counted."""
        return self._keep("operations", sanitize_label(name))

    def _keep(self, kind: str, value: str) -> str:
        return value if value == OTHER or self._fits(kind, value) else OTHER

    def _fits(self, kind: str, value: Hashable) -> bool:
        with self._lock:
            kept = self._kept.setdefault(kind, set())
            if value in kept:
                return True
            if len(kept) < getattr(self._caps, kind):
                kept.add(value)
                return True
            self._note_folded(kind, value)
            return False

    def _note_folded(self, kind: str, value: Hashable) -> None:
        """Count a value that is folded, once: how often it comes says nothing of how many there are."""
        if (kind, value) not in self._folded and len(self._folded) < _MAX_FOLDED:
            self._folded.add((kind, value))
            self.overflows[kind] += 1


def sanitize_label(value: str) -> str:
    """Return a text that can be a label value: short, and without control characters or lone surrogates."""
    value = value[:MAX_VALUE_CHARACTERS]
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in value)
