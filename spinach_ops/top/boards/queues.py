"""The home board: each queue with depth, age, rates in and out, and the time until it is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spinach.stats import QueueStats, WorkerStats

from ...findings.rules import OLDEST_CRITICAL_SECONDS, OLDEST_WARNING_SECONDS
from ...polling.trends import SmoothedRates
from ..view.format import format_age, format_count, format_rate
from ..view.table import NONE, UNKNOWN, Cell, Column, Row, StyleName, make_cell
from ..view.view_model import Location, ViewModel
from .board import Board

# Points of the trend: the board does not know how wide its column is.
TREND_POINTS: Final = 60
_SOON_SECONDS: Final = 100 * 86_400

COLUMNS: Final = (
    Column("QUEUE", "name; ‖ before it: paused", 14, share=3, max_width=28, priority=9, align="left"),
    Column("DEPTH", "jobs that are ready and wait for a worker", 7, priority=9),
    Column("IN/s", "jobs pushed per second", 6, priority=4),
    Column("OUT/s", "jobs taken by workers per second", 6, priority=4),
    Column("Δ/s", "in less out: above zero the queue grows", 6, priority=1),
    Column("OLDEST", "how long the first job has been ready; ! over 1 min, !! over 5 min", 8, priority=9),
    Column("ETA", "when it is empty at this rates", 7, priority=3),
    Column(
        "RUN",
        "jobs of live workers that serve only this queue; ≥ where some do not say what they serve",
        4,
        priority=5,
    ),
    Column("WORK", "live workers that serve it", 4, priority=1),
    Column("NEXT TASK", "task of the first job", 12, share=2, max_width=28, priority=1, align="left"),
    Column("TREND", "depth over the last minutes, from zero", 8, share=2, max_width=TREND_POINTS, priority=2),
)


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Workers that are not dead, by queue.

    Attributes:
        running: Jobs of those that serve one queue.
        serving: How many of them serve it.
        mark: ``≥`` where some do not say what they serve.
    """

    running: Mapping[str, int]
    serving: Mapping[str, int]
    mark: str

    @classmethod
    def of(cls, workers: Sequence[WorkerStats]) -> _Fleet:
        running: dict[str, int] = {}
        serving: dict[str, int] = {}
        alive = [worker for worker in workers if worker.state != "dead"]
        for worker in alive:
            for queue in worker.queues:
                serving[queue] = serving.get(queue, 0) + (worker.state in ("live", "silent", "blocked"))
            if len(worker.queues) == 1:
                running[worker.queues[0]] = running.get(worker.queues[0], 0) + (worker.running or 0)
        return cls(running, serving, "" if all(worker.queues for worker in alive) else "≥")


def _row(view: ViewModel, queue: QueueStats, fleet: _Fleet) -> Row:
    rates = view.trends.smoothed.get(queue.name)
    oldest = _oldest(view, queue)
    return Row(
        queue.name,
        (
            make_cell(
                f"‖ {queue.name}" if queue.paused else queue.name,
                "dim" if queue.paused else "strong",
                queue.name,
            ),
            UNKNOWN
            if queue.depth is None
            else Cell(format_count(queue.depth), "" if queue.depth else "dim", queue.depth),
            _rate(rates, rates.in_per_second if rates else 0.0),
            _rate(rates, rates.out_per_second if rates else 0.0),
            _change(rates),
            oldest,
            _eta(queue, rates),
            _number(fleet.running.get(queue.name), fleet.mark),
            _number(fleet.serving.get(queue.name), fleet.mark),
            make_cell(queue.next_task, "") if queue.next_task else NONE,
            _trend(view, queue.name),
        ),
        rank=_RANKS.get(oldest.style, 0.0),
    )


_RANKS: Final[dict[StyleName, float]] = {"bad": 2.0, "warn": 1.0}


def _oldest(view: ViewModel, queue: QueueStats) -> Cell:
    if queue.oldest_seconds is None:
        return UNKNOWN
    if not queue.depth:
        return Cell("-", "dim", 0.0)
    seconds = queue.oldest_seconds + view.stale_seconds
    if seconds > OLDEST_CRITICAL_SECONDS:
        return Cell(f"!!{format_age(seconds)}", "bad", seconds)
    if seconds > OLDEST_WARNING_SECONDS:
        return Cell(f"!{format_age(seconds)}", "warn", seconds)
    return Cell(format_age(seconds), "", seconds)


def _rate(rates: SmoothedRates | None, number: float) -> Cell:
    if rates is None:
        return Cell("-", "dim")
    return Cell(f"{rates.mark}{format_rate(number)}", "" if number >= 0.05 else "dim", number)


def _change(rates: SmoothedRates | None) -> Cell:
    change = rates.change if rates is not None else None
    if change is None:
        return Cell("-", "dim")
    if not change:
        return Cell("0", "dim", 0.0)
    return Cell(
        f"{'+' if change > 0 else '-'}{format_rate(abs(change))}", "warn" if change > 0 else "good", change
    )


def _eta(queue: QueueStats, rates: SmoothedRates | None) -> Cell:
    change = rates.change if rates is not None else None
    if not queue.depth or rates is None or change is None:
        return Cell("-", "dim")
    if change > 0:
        return Cell("∞ grow", "warn", float("inf"))
    if change < 0 and queue.depth / -change < _SOON_SECONDS:
        return Cell(format_age(queue.depth / -change), "good", queue.depth / -change)
    return Cell("∞ idle" if rates.out_per_second < 0.05 else "∞ even", "dim", float("inf"))


def _number(number: int | None, mark: str) -> Cell:
    return NONE if number is None else Cell(f"{mark}{number}", "" if number else "dim", number)


def _trend(view: ViewModel, queue: str) -> Cell:
    values = view.trends.depth(queue).buckets(TREND_POINTS, view.now, view.trends.span_seconds)
    return Cell("", "accent", bars=tuple(values))


class Queues(Board):
    """All queues: how long, how old, and how fast they change."""

    name = "queues"
    title = "Queues"
    columns = COLUMNS
    number = 1
    ranked = True
    by = "OLDEST"

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per queue."""
        fleet = _Fleet.of(view.snapshot.workers)
        return [_row(view, queue, fleet) for queue in view.snapshot.queues]

    def leads_to(self, view: ViewModel, location: Location, key: str) -> Location:
        return Location("jobs", subject=key, which_jobs="head")

    def empty(self, view: ViewModel, location: Location) -> str:
        name = view.snapshot.namespace
        return f"No queues under {name!r}: nothing was scheduled here yet. n chooses another namespace."


BOARD: Final = Queues()
