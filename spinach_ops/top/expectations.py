"""What must not be: the conditions of `--fail-if`, over one snapshot. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spinach.stats import NamespaceSnapshot

from .comparing import compare, parse_number

_FORM: Final = re.compile(r"\s*([a-z.]+)\s*(>=|<=|!=|>|<|=)\s*(\S+)\s*")

# None where it is not known: nothing holds of that.
FACTS: Final[dict[str, Callable[[NamespaceSnapshot], float | None]]] = {
    "oldest": lambda seen: max((queue.oldest_seconds or 0.0 for queue in seen.queues), default=0.0),
    "depth": lambda seen: max((queue.depth or 0 for queue in seen.queues), default=0),
    "queued": lambda seen: seen.queued,
    "running": lambda seen: seen.running,
    "failed": lambda seen: seen.failed,
    "orphaned": lambda seen: seen.orphaned,
    "scheduled": lambda seen: seen.scheduled,
    "scheduled.late": lambda seen: seen.overdue_seconds,
    "scheduled.overdue": lambda seen: seen.overdue,
    "workers": lambda seen: len(seen.workers),
    "workers.connected": lambda seen: seen.connected,
    "workers.dead": lambda seen: sum(worker.state == "dead" for worker in seen.workers),
    "workers.silent": lambda seen: sum(worker.state == "silent" for worker in seen.workers),
}


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

    def holds(self, snapshot: NamespaceSnapshot) -> bool:
        """Return whether it is so; what is not known is not."""
        return compare(FACTS[self.fact](snapshot), self.sign, self.limit)

    def evidence(self, snapshot: NamespaceSnapshot) -> str:
        """Return what was seen, for a person."""
        return (
            f"{self.fact} is {FACTS[self.fact](snapshot) or 0:g}, and must not be {self.sign} {self.limit:g}"
        )
