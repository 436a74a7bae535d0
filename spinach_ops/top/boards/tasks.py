"""What each task does: attempts per second and how they end, from the counters that our workers keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ...polling.trends import SmoothedTaskRates
from ..view.format import format_count, format_rate
from ..view.table import NONE, Cell, Column, Row, make_cell
from ..view.view_model import Location, ViewModel
from .board import Board

_MANY_FAIL: Final = 0.05

COLUMNS: Final = (
    Column("TASK", "task", 16, share=3, max_width=32, priority=9, align="left"),
    Column("QUEUE", "queue of its jobs", 10, share=2, max_width=28, priority=6, align="left"),
    Column("START/s", "attempts begun per second", 7, priority=8),
    Column("END/s", "attempts ended per second", 7, priority=5),
    Column("FAIL %", "of all attempts that ended; ! over 5 %", 7, priority=8),
    Column("STARTED", "attempts begun, ever", 9, priority=5),
    Column("OK", "attempts that succeeded, ever", 9, priority=4),
    Column("RETRIED", "attempts that will be repeated, ever", 8, priority=3),
    Column("FAILED", "attempts that were the last, ever", 7, priority=7),
    Column("RECOV", "jobs taken from dead workers, ever", 6, priority=2),
)


def _row(queue: str, task: str, known: Mapping[str, int], rates: SmoothedTaskRates | None) -> Row:
    ok, retried, failed = (known.get(name, 0) for name in ("succeeded", "retried", "failed"))
    ended = ok + retried + failed
    part = (retried + failed) / ended if ended else None
    many = part is not None and part > _MANY_FAIL
    return Row(
        f"{queue}\n{task}",
        (
            make_cell(task, "strong"),
            make_cell(queue, "dim"),
            _smoothed_rate(rates.started if rates else None),
            _smoothed_rate(rates.ended if rates else None),
            NONE
            if part is None
            else Cell(f"{'!' if many else ''}{part * 100:.1f}", "warn" if many else "", part),
            _total(known.get("started", 0)),
            _total(ok),
            _total(retried),
            _total(failed, "bad"),
            _total(known.get("recovered", 0)),
        ),
    )


def _smoothed_rate(number: float | None) -> Cell:
    return NONE if number is None else Cell(format_rate(number), "" if number >= 0.05 else "dim", number)


def _total(number: int, style: str = "") -> Cell:
    return Cell(format_count(number), ("bad" if style else "") if number else "dim", number)


class Tasks(Board):
    """How the attempts of each task end."""

    name = "tasks"
    title = "Tasks"
    columns = COLUMNS
    number = 8

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per task and queue, the busiest first."""
        totals: dict[tuple[str, str], dict[str, int]] = {}
        for (queue, task, counter), number in (view.snapshot.counters or {}).items():
            if task:
                totals.setdefault((queue, task), {})[counter] = number
        return [
            _row(queue, task, known, view.trends.smoothed_tasks.get((queue, task)))
            for (queue, task), known in sorted(totals.items(), key=lambda item: -item[1].get("started", 0))
        ]

    def caption(self, view: ViewModel, location: Location) -> str:
        return "" if view.snapshot.exact else "≥ lower bounds: not every worker counts"

    def empty(self, view: ViewModel, location: Location) -> str:
        if view.snapshot.counters is None:
            return "The counters are not read, or cannot be."
        if view.is_upstream:
            return "It cannot be known: workers of the published package 0.0.25 do not count."
        return "No task has run yet."


BOARD: Final = Tasks()
