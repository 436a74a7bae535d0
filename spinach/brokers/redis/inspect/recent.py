"""The counters of the last minutes, read once: a minute that is over does not change.

The minute that runs follows from the totals, which each poll reads anyway. Cost: a command per minute for the
first poll, two when a minute ends, else none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ....stats import RECENT_MINUTES, NamespaceSnapshot
from ....stats.recent import Counts, RecentCounts, decreased
from ..keys import Keys
from . import replies
from .pipeline import Pipeline, Request

_MAX_FIELDS: Final = 4100  # a little more than `MAX_COUNTER_FIELDS`


class RecentMinutes:
    """Reads the counters of the last minutes for a snapshot.

    Args:
        keys: The namespace's keys.
        pipeline: Collects the commands.
        known: The snapshot before, whose minutes are not read again.
    """

    def __init__(self, keys: Keys, pipeline: Pipeline, known: NamespaceSnapshot | None) -> None:
        self._keys = keys
        self._pipeline = pipeline
        self._known = known.recent if known is not None else None
        self._before = (known.counters if known is not None else None) or {}
        self._requests: dict[int, Request] = {}

    def ask(self, now: float) -> None:
        """Ask for the minutes that began since the poll before; the last one known may have gone on."""
        if self._known is not None:
            present = int(now // 60)
            if present > self._known.present:
                self._request(range(max(self._known.present, present - RECENT_MINUTES), present + 1))

    def ask_about_unknown(self, totals: Any, now: float) -> None:
        """Ask for all minutes where none is known, or where the namespace was emptied since the poll before.

        Args:
            totals: The reply that holds the totals, None where they were not read.
            now: Epoch seconds by the server's clock.
        """
        if totals is None:
            return
        if self._known is not None and not decreased(self._before, replies.counters(totals)[0]):
            return
        self._known = None
        self._requests.clear()
        self._request(range(int(now // 60) - RECENT_MINUTES, int(now // 60) + 1))

    def _request(self, minutes: Iterable[int]) -> None:
        for minute in minutes:
            key = self._keys.counters_of_minute(minute)
            self._requests[minute] = self._pipeline.ask("HSCAN", key, 0, "COUNT", 2 * _MAX_FIELDS)

    def counts(self, totals: Counts | None) -> RecentCounts | None:
        """Return the counters of the last minutes, None where the totals are not known."""
        if totals is None:
            return None
        known = self._known
        if not self._requests:
            return known.advanced(self._before, totals) if known is not None else None
        read = {minute: self._read(request) for minute, request in self._requests.items()}
        present = max(read)
        kept = dict(known.minutes) | read if known is not None else read
        minutes = {minute: kept[minute] for minute in kept if minute >= present - RECENT_MINUTES}
        return RecentCounts(present, {minute: counts for minute, counts in minutes.items() if counts})

    def _read(self, request: Request) -> Counts:
        return replies.counters(self._pipeline.answer(request, None))[0]
