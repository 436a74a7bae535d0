"""What must not be: the conditions of `--fail-if`, over one snapshot. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spinach.stats import NamespaceSnapshot, QueueStats, WorkerStats

from ..cli.numbers import parse_number
from .view.comparisons import compare

_FORM: Final = re.compile(r"\s*([a-z.]+)\s*(>=|<=|!=|>|<|=)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a fact: a number, at least that much, or nothing (None)."""

    value: float | None
    is_whole: bool = True


def _of_queues(value: Callable[[QueueStats], float | None], seen: NamespaceSnapshot) -> Known:
    values = [value(queue) for queue in seen.queues]
    known = [one for one in values if one is not None]
    return Known(max(known, default=0.0), len(known) == len(values) and "queues" not in seen.truncated)


def _of_workers(
    value: Callable[[WorkerStats], float | None], seen: NamespaceSnapshot, more: int = 0
) -> Known:
    if seen.running is None:  # the registry could not be read
        return Known(None)
    values = [value(worker) for worker in seen.workers]
    is_whole = None not in values and "workers" not in seen.truncated
    return Known(sum(one or 0 for one in values) + more, is_whole)


def _running(seen: NamespaceSnapshot) -> Known:
    return _of_workers(lambda worker: worker.running, seen, sum(orphan.running for orphan in seen.orphans))


def _orphaned(seen: NamespaceSnapshot) -> Known:
    of_orphans = sum(orphan.running for orphan in seen.orphans)
    return _of_workers(lambda worker: worker.held if worker.state == "dead" else 0, seen, of_orphans)


FACTS: Final[dict[str, Callable[[NamespaceSnapshot], Known]]] = {
    "oldest": lambda seen: _of_queues(lambda queue: queue.oldest_seconds, seen),
    "depth": lambda seen: _of_queues(lambda queue: queue.depth, seen),
    "queued": lambda seen: Known(seen.queued, seen.queues_are_read),
    "running": _running,
    "failed": lambda seen: Known(seen.failed),
    "orphaned": _orphaned,
    "scheduled": lambda seen: Known(seen.scheduled),
    "scheduled.late": lambda seen: Known(seen.overdue_seconds),
    "scheduled.overdue": lambda seen: Known(seen.overdue),
    "workers": lambda seen: _of_workers(lambda _: 1, seen),
    "workers.connected": lambda seen: Known(seen.connected),
    "workers.dead": lambda seen: _of_workers(lambda worker: worker.state == "dead", seen),
    "workers.silent": lambda seen: _of_workers(lambda worker: worker.state == "silent", seen),
}
# What a number that is at least so large tells in any case, where it is beyond the limit.
_PROVED_BY_MORE: Final = {">": True, ">=": True, "!=": True, "<": False, "<=": False, "=": False}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must not be: a fact, a comparison, a number."""

    fact: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Return the condition that a text says.

        Raises:
            ValueError: it says none; the message says what could be written.
        """
        match = _FORM.fullmatch(text)
        number = parse_number(match[3]) if match else None
        if match is None or number is None or match[1] not in FACTS:
            raise ValueError(f"{text!r} is no condition such as 'oldest>5m'; facts: {', '.join(FACTS)}")
        return cls(match[1], match[2], number)

    def holds(self, snapshot: NamespaceSnapshot) -> bool | None:
        """Return whether it is so, None when that cannot be told."""
        known = FACTS[self.fact](snapshot)
        if known.value is None:
            return None
        if known.is_whole:
            return compare(known.value, self.sign, self.limit)
        reached = known.value >= self.limit if self.sign in ("<", ">=") else known.value > self.limit
        return _PROVED_BY_MORE[self.sign] if reached else None

    def evidence(self, snapshot: NamespaceSnapshot) -> str:
        """Return what was seen, for a person."""
        known = FACTS[self.fact](snapshot)
        must = f"must not be {self.sign} {self.limit:g}"
        if known.value is None:
            return f"{self.fact} is not known, and {must}"
        return f"{self.fact} is {'' if known.is_whole else 'at least '}{known.value:g}, and {must}"
