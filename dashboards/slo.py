"""The dashboard of objectives: how much of the error budget is left, and how fast it is used up.

Its queries need the recording rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from .base import new_dashboard
from .panels import query, table_panel, time_series_panel
from .recording import BUDGET_WINDOW, FAILURE_BUDGET, START_BUDGET
from .style import BAD, FINE, ROW_HEIGHT, WARNING, Area, thresholds

UID: Final = "spinach-slo"
# Recorded series have the labels of the namespace, and no labels of a scrape.
_SELECTED: Final = '{spinach_namespace="$namespace",queue=~"$queue"}'
_BY_QUEUE: Final = "{{queue}}"
# Rates of the burn alerts: at 1 the budget lasts exactly its time, at 14.4 two days.
_TICKET_RATE: Final = 1
_PAGE_RATE: Final = 14.4
_LEFT: Final = "Left"
_NEEDS: Final = "Needs the recording rules."


def slo() -> Dashboard:
    """Return the dashboard."""
    return new_dashboard(
        UID,
        "Spinach / Objectives",
        "Do jobs start in time and succeed as promised: budget left and burn rates. Needs the recording "
        "rules.",
        panels(),
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield _budget_left()
    yield from _burn_panels("started late", "spinach:wait_slow_ratio", START_BUDGET, 8)
    yield from _burn_panels("failed", "spinach:failure_ratio", FAILURE_BUDGET, 8 + ROW_HEIGHT)


def _budget_left() -> Builder[Panel]:
    table = table_panel(
        "Budget left",
        f"Of the error budget of {BUDGET_WINDOW}: 100 % is all of it, below 0 the objective is missed. "
        f"The worst queue comes first. {_NEEDS}",
        Area(0, 0, 24, 8),
        {
            "May start late": _by_queue(START_BUDGET),
            _LEFT: _left_of("spinach:wait_slow_ratio", START_BUDGET),
            "May fail": _by_queue(FAILURE_BUDGET),
            "Left of that": _left_of("spinach:failure_ratio", FAILURE_BUDGET),
        },
        names={"queue": "Queue"},
        missing="No recording rules, no finished jobs, or workers that do not count",
        unit="percentunit",
    )
    return table.thresholds(thresholds(BAD, (0.1, WARNING), (0.5, FINE))).sort_by(
        [TableSortByFieldState().display_name(_LEFT).desc(False)]
    )


def _by_queue(recorded: str) -> str:
    return f"max by (queue) ({recorded}{_SELECTED})"


def _left_of(ratio: str, budget: str) -> str:
    return f"1 - {_by_queue(f'{ratio}:{BUDGET_WINDOW}')} / {_by_queue(budget)}"


def _burn_panels(what: str, ratio: str, budget: str, y: int) -> Iterator[Builder[Panel]]:
    burn = f"{ratio}:{{window}}{_SELECTED} / {budget}{_SELECTED}"
    burn_limits = thresholds(FINE, (_TICKET_RATE, WARNING), (_PAGE_RATE, BAD))
    for x, window, meaning in ((0, "1h", "now"), (8, "6h", "today")):
        yield time_series_panel(
            f"Burn rate, {what}, {window}",
            f"How fast the budget is used up {meaning}. 1: it lasts for 30 days; {_PAGE_RATE}: for "
            f"two. {_NEEDS}",
            Area(x, y, 8, ROW_HEIGHT),
            [query("A", burn.replace("{window}", window), legend=_BY_QUEUE)],
            unit="short",
            line_at=burn_limits,
        )
    yield time_series_panel(
        f"Share that {what}",
        f"Of the jobs of 5 minutes, by queue. {_NEEDS}",
        Area(16, y, 8, ROW_HEIGHT),
        [query("A", f"{ratio}:5m{_SELECTED}", legend=_BY_QUEUE)],
        unit="percentunit",
    )
