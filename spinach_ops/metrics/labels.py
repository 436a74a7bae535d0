"""Limits label values: the first of each kind keep their name, those that come later count as `other`.

Names of tasks and queues come from applications and from Redis: their number and their characters are
unlimited. No I/O.
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
# Folded values that are remembered, so that each counts once; beyond, the count stands still.
_MAX_FOLDED: Final = 10_000


@dataclass(frozen=True, slots=True)
class LabelCaps:
    """How many different values of a label keep their name; the others count as `other`.

    A histogram with 16 buckets and a thousand label sets is 1.1 MB and 150 ms of the interpreter lock per
    scrape.

    Attributes:
        pairs: Queues and tasks, counted as pairs.
        queues: Queues.
        tasks: Tasks.
        error_types: Classes of errors.
        operations: Kinds of requests to the broker.

    Example:
        >>> instrument(engine, caps=LabelCaps(tasks=500, pairs=500))
    """

    pairs: int = 200
    queues: int = 100
    tasks: int = 200
    error_types: int = 50
    operations: int = 50


class LabelLimiter:
    """Decides which label values keep their name; the same at each scrape.

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
        """Return the queue and task under which a job counts; `other` as task may keep its queue."""
        queue = self._keep("queues", sanitize_label(queue))
        task = self._keep("tasks", sanitize_label(task))
        if task == OTHER or self._fits("pairs", (namespace, queue, task)):
            return queue, task
        return queue, OTHER

    def queue(self, name: str) -> str:
        """Return the queue under which something counts."""
        return self._keep("queues", sanitize_label(name))

    def error_type(self, name: str) -> str:
        """Return the error type under which an error counts."""
        return self._keep("error_types", sanitize_label(name))

    def operation(self, name: str) -> str:
        """Return the operation under which a request to the broker counts."""
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
            self._count_folded(kind, value)
            return False

    def _count_folded(self, kind: str, value: Hashable) -> None:
        """Count a folded value once: what matters is how many there are, not how often each came."""
        if (kind, value) not in self._folded and len(self._folded) < _MAX_FOLDED:
            self._folded.add((kind, value))
            self.overflows[kind] += 1


def sanitize_label(value: str) -> str:
    """Return a text as a label value: at most 128 characters, without control characters."""
    value = value[:MAX_VALUE_CHARACTERS]
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in value)
