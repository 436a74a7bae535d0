"""Keeps counters from going back where that says nothing: Prometheus takes a counter that goes back for one begun anew.

The broker counts a job as started when it is claimed, and takes that back when the job is handed back unstarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TAKEN_BACK: Final = "started"


class Monotonic:
    """Remembers what was shown, for as many series as are shown."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, ...], dict[str, int]] = {}

    def hold(self, labels: tuple[str, ...], counters: Mapping[str, int]) -> dict[str, int]:
        """Return the counters of a label set to show now.

        Starts stay where they were while every other counter goes on; where those go back too, all began anew.
        """
        shown = dict(counters)
        before = self._shown.get(labels)
        if before is not None and all(
            shown.get(name, 0) >= count for name, count in before.items() if name != _TAKEN_BACK
        ):
            shown[_TAKEN_BACK] = max(shown.get(_TAKEN_BACK, 0), before.get(_TAKEN_BACK, 0))
        self._shown[labels] = shown
        return shown
