"""Keeps `started` monotonic: Prometheus reads a decrease as a restart, and would count every start again.

The broker counts a job as started when a worker claims it, and takes that back when the worker returns the
job unstarted. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_STARTED: Final = "started"


class MonotonicCounters:
    """Remembers the counters that the last scrape showed, by label set."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, ...], dict[str, int]] = {}

    def update(self, labels: tuple[str, ...], counters: Mapping[str, int]) -> dict[str, int]:
        """Return the counters of a label set to show now.

        `started` does not decrease while no other counter does. If another one decreases, the broker began
        to count from 0, and so does `started`.
        """
        shown = dict(counters)
        before = self._shown.get(labels)
        if before is not None and all(
            shown.get(name, 0) >= count for name, count in before.items() if name != _STARTED
        ):
            shown[_STARTED] = max(shown.get(_STARTED, 0), before.get(_STARTED, 0))
        self._shown[labels] = shown
        return shown
