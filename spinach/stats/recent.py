"""What was counted in each of the last minutes.

Part of the read model, see `stats`. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# How far back a snapshot reads the counters of single minutes.
RECENT_MINUTES: Final = 30

# Counts by (queue, task name, one of `COUNTERS`).
Counts = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True, slots=True)
class RecentCounts:
    """The counters of the last minutes, each minute for itself.

    Attributes:
        present: The minute that runs, as whole minutes since the epoch.
        minutes: What was counted in each minute, nothing of those that are missing.
    """

    present: int
    minutes: Mapping[int, Counts]

    def over(self, minutes: int) -> Counts:
        """Return what was counted in the minute that runs and in the ones before it.

        Args:
            minutes: How many minutes before, at most `RECENT_MINUTES`.
        """
        total: Counter[tuple[str, str, str]] = Counter()
        for minute in range(self.present - minutes, self.present + 1):
            total.update(self.minutes.get(minute, {}))
        return total

    @property
    def errors(self) -> int:
        """How many attempts ended in an error in all of these minutes."""
        return sum(
            number
            for counts in self.minutes.values()
            for (_, _, counter), number in counts.items()
            if counter in ("retried", "failed")
        )

    def advanced(self, before: Counts, now: Counts) -> RecentCounts:
        """Return the same with what was counted since, all of it in the minute that runs.

        Args:
            before: The totals of the namespace when these counts were read.
            now: The totals now.
        """
        present = Counter(self.minutes.get(self.present, {}))
        for names, number in now.items():
            if number != before.get(names, 0):
                present[names] += number - before.get(names, 0)
        return RecentCounts(self.present, {**self.minutes, self.present: present})


def decreased(before: Counts, now: Counts) -> bool:
    """Return whether a total fell: then somebody emptied the namespace.

    What was started does not count: it falls where a worker gives back what it claimed.
    """
    return any(now.get(names, 0) < number for names, number in before.items() if names[2] != "started")
