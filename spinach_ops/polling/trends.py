"""What was seen over the last minutes: depths for the trend, and rates that do not jump. Pure, bounded.

A gap in the looks stays a gap: nothing is made up for the time in which nobody looked.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from spinach.stats import NamespaceSnapshot

from .rates import Rate, best_rates, counted_rates

TREND_SECONDS: Final = 600.0
_POINTS: Final = 600
_HALF_LIFE_SECONDS: Final = 10.0
# However close two looks are, the later one has some weight.
_LEAST_SECONDS: Final = 0.001
# Queues beyond have no trend.
_MAX_SERIES: Final = 600
_NEGLIGIBLE: Final = 0.05
# Jobs per second, and part of what comes in, below which a queue neither grows nor shrinks.
_STILL: Final = 0.03
_ENDED: Final = frozenset({"succeeded", "retried", "failed"})


class Series:
    """Values over time, the newest `_POINTS` of them."""

    __slots__ = ("_times", "_values")

    def __init__(self) -> None:
        self._times = array("d")
        self._values = array("d")

    def add(self, at: float, value: float) -> None:
        """Add a value at a time (epoch seconds); a time that went back begins anew."""
        if self._times and at < self._times[-1]:
            del self._times[:], self._values[:]
        is_close = self._times and at - self._times[-1] < TREND_SECONDS / _POINTS
        if is_close and not math.isnan(self._values[-1]):
            self._values[-1] = value
            return
        self._times.append(at)
        self._values.append(value)
        if len(self._times) > _POINTS:
            del self._times[0], self._values[0]

    @property
    def seconds(self) -> float:
        """How much time lies between the first value and the last."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def buckets(self, number: int, now: float, seconds: float = TREND_SECONDS) -> list[float | None]:
        """Return the highest value in each of `parts` equal spans of the last seconds, None without poll."""
        found: list[float | None] = [None] * number
        last, filled = math.nan, 0
        for at, value in zip(self._times, self._values, strict=True):
            index = number - 1 - int((now - at) * number / seconds)
            if index >= number:
                break
            for missing in range(max(0, filled), index):  # between two looks it stayed as it was
                found[missing] = found[missing] if math.isnan(last) else max(last, found[missing] or 0.0)
            last, filled = value, index
            if index >= 0 and not math.isnan(value):
                found[index] = max(value, found[index] or 0.0)
        return found

    def interrupt(self) -> None:
        """Note that nobody looked from the last value on."""
        if self._times:
            self._times.append(self._times[-1])
            self._values.append(math.nan)


Mark = Literal["", "≥"]


@dataclass(frozen=True, slots=True)
class SmoothedRates:
    """How fast jobs come into a queue and leave it, smoothed; the mark says how far to trust it.

    Attributes:
        in_per_second: Jobs pushed.
        out_per_second: Jobs taken by workers.
        mark: Nothing for exact, ``≥`` for a lower bound.
        doubt: Which part of it was not measured exactly, 0 to 1.
        weight: How much it rests on, 0 to 1: little after looks that were short or few.
    """

    in_per_second: float
    out_per_second: float
    mark: Mark = ""
    doubt: float = 0.0
    weight: float = 0.0

    @property
    def change(self) -> float | None:
        """Jobs per second by which the queue grows (negative: shrinks); None when unknown."""
        if self.mark == "≥":  # the difference of two bounds is none
            return None
        change = self.in_per_second - self.out_per_second
        return change if abs(change) > max(_STILL, _STILL * self.in_per_second) else 0.0


@dataclass(frozen=True, slots=True)
class SmoothedTaskRates:
    """Attempts of a task per second: begun, and ended one way or another; `weight` as in `SmoothedRates`."""

    started: float = 0.0
    ended: float = 0.0
    weight: float = 0.0


@dataclass(slots=True)
class History:
    """What is remembered of one namespace while somebody watches.

    Attributes:
        backlog: Jobs in all queues.
        smoothed: Of each queue for which they can be told.
        smoothed_tasks: By queue and task, from the counters.
        first_seen: Of jobs that run, by worker and job: epoch seconds of the look that first showed them.
    """

    backlog: Series = field(default_factory=Series)
    smoothed: dict[str, SmoothedRates] = field(default_factory=dict)
    smoothed_tasks: dict[tuple[str, str], SmoothedTaskRates] = field(default_factory=dict)
    first_seen: dict[tuple[str, str], float] = field(default_factory=dict)
    _depths: dict[str, Series] = field(default_factory=dict)
    _before: NamespaceSnapshot | None = None
    _latest: dict[str, tuple[Rate, float]] = field(default_factory=dict)

    def add(self, snapshot: NamespaceSnapshot, rates: Mapping[str, Rate], *, gap: bool = False) -> None:
        """Learn from a look.

        Args:
            snapshot: What was seen.
            rates: As measured since the look before.
            gap: Whether the connection was lost since the look before: then all rates begin anew.
        """
        if gap:
            for series in (self.backlog, *self._depths.values()):
                series.interrupt()
        for queue in snapshot.queues:
            if queue.depth is not None and (queue.name in self._depths or len(self._depths) < _MAX_SERIES):
                self._depths.setdefault(queue.name, Series()).add(snapshot.at, queue.depth)
        self.backlog.add(snapshot.at, snapshot.queued)
        before, self._before = (None if gap else self._before), snapshot
        seconds = snapshot.at - before.at if before is not None else 0.0
        kept = 0.5 ** (max(_LEAST_SECONDS, seconds) / _HALF_LIFE_SECONDS)
        self.smoothed_tasks = _smoothed_tasks(before, snapshot, seconds, self.smoothed_tasks, kept)
        now = best_rates(rates, counted_rates(before, snapshot))
        # What was not measured now is forgotten: a rate of some time ago says nothing.
        self.smoothed = {
            name: _smoothed(self.smoothed.get(name), rate, self._latest.get(name), seconds, kept)
            for name, rate in now.items()
        }
        self._latest = {name: (rate, seconds) for name, rate in now.items()}
        self._note_running(snapshot)

    @property
    def span_seconds(self) -> float:
        """How much time a trend shows: what was watched in whole minutes, at most ten."""
        return min(TREND_SECONDS, 60.0 * max(1, math.ceil(self.backlog.seconds / 60)))

    def depth(self, queue: str) -> Series:
        """Return the depths of a queue."""
        return self._depths.get(queue) or Series()

    def _note_running(self, snapshot: NamespaceSnapshot) -> None:
        shown = [held for page in snapshot.pages for held in page.held if not held.reserved]
        if any(page.wanted.kind == "running" for page in snapshot.pages):
            keys = [(held.worker_id, held.job.id) for held in shown]
            self.first_seen = {key: self.first_seen.get(key, snapshot.at) for key in keys}


def _smoothed_tasks(
    before: NamespaceSnapshot | None,
    now: NamespaceSnapshot,
    seconds: float,
    earlier: Mapping[tuple[str, str], SmoothedTaskRates],
    kept: float,
) -> dict[tuple[str, str], SmoothedTaskRates]:
    if before is None or before.counters is None or now.counters is None or seconds <= 0:
        return {}
    changes: dict[tuple[str, str], list[int]] = {}
    for (queue, task, counter), number in now.counters.items():
        change = changes.setdefault((queue, task), [0, 0])
        if counter == "started" or counter in _ENDED:
            change[counter in _ENDED] += max(0, number - before.counters.get((queue, task, counter), 0))
    found = {}
    for key, (started, ended) in changes.items():
        old = earlier.get(key, SmoothedTaskRates())
        part = _part(old.weight, kept)
        found[key] = SmoothedTaskRates(
            started=_mean(old.started, started / seconds, part),
            ended=_mean(old.ended, ended / seconds, part),
            weight=old.weight * kept + 1 - kept,
        )
    return found


def _smoothed(
    before: SmoothedRates | None, now: Rate, earlier: tuple[Rate, float] | None, seconds: float, kept: float
) -> SmoothedRates:
    """Return the mean with a new rate.

    Args:
        before: The mean so far.
        now: The new rate.
        earlier: The rate before it, and the seconds over which that was measured.
        seconds: Over which the new one was.
        kept: The part of its weight that the mean keeps.
    """
    old = before or SmoothedRates(0.0, 0.0)
    part = _part(old.weight, kept)
    doubt = _mean(old.doubt, 0.0 if now.exact else 1.0, part)
    rate, span = earlier or (now, 0.0)
    return SmoothedRates(
        in_per_second=_followed(
            old.in_per_second, (rate.in_per_second, span), (now.in_per_second, seconds), part
        ),
        out_per_second=_followed(
            old.out_per_second, (rate.out_per_second, span), (now.out_per_second, seconds), part
        ),
        mark="≥" if doubt >= _NEGLIGIBLE else "",
        doubt=doubt,
        weight=old.weight * kept + 1 - kept,
    )


def _followed(mean: float, earlier: tuple[float, float], latest: tuple[float, float], part: float) -> float:
    """Return a mean with the latest rate; after a jump that two looks confirm, their rate alone.

    A jump is more than what jobs that come by chance explain, twice in the same direction.
    """
    (first, first_seconds), (second, second_seconds) = earlier, latest
    seconds = first_seconds + second_seconds
    seen, expected = first * first_seconds + second * second_seconds, mean * seconds
    same_side = (first - mean) * (second - mean) > 0
    if first_seconds and same_side and abs(seen - expected) > 2 * math.sqrt(expected) + 0.5:
        return seen / seconds
    return _mean(mean, second, part)


def _part(weight: float, kept: float) -> float:
    """Return the weight of the newest value in a mean; the first value has all of it."""
    return (1 - kept) / (weight * kept + 1 - kept)


def _mean(before: float, now: float, part: float) -> float:
    return before + (now - before) * part
