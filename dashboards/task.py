"""The dashboard of tasks: how do attempts end, how long do they take, what do they raise?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from . import promql
from .base import new_dashboard
from .panels import heatmap_panel, query, table_panel, time_series_panel
from .style import ROW_HEIGHT, Area, third

UID: Final = "spinach-task"
_BY_TASK: Final = "{{task}}"


def task() -> Dashboard:
    """Return the dashboard."""
    return new_dashboard(
        UID,
        "Spinach / Task",
        "Tasks one by one: outcomes, duration with exemplars, errors, limits.",
        panels(),
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield from _outcomes()
    yield from _durations()
    yield from _limits()


def _outcomes() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Outcomes",
        "Attempts per second by how they ended: succeeded, retried, or failed for good.",
        third(0, 0),
        [query("A", promql.outcome_rate("succeeded|retried|failed", by="outcome"), legend="{{outcome}}")],
        unit="cps",
    )
    yield time_series_panel(
        "Failed by task",
        "Jobs per second that failed for good.",
        third(1, 0),
        [query("A", promql.outcome_rate("failed", by="task"), legend=_BY_TASK)],
        unit="cps",
    )
    yield time_series_panel(
        "Retried by task",
        "Attempts per second that will be repeated.",
        third(2, 0),
        [query("A", promql.outcome_rate("retried", by="task"), legend=_BY_TASK)],
        unit="cps",
    )


def _durations() -> Iterator[Builder[Panel]]:
    durations = promql.duration_buckets()
    yield heatmap_panel(
        "Duration", "How long attempts took. Darker: more jobs per second.", third(0, 1), durations
    )
    yield time_series_panel(
        "Duration quantiles",
        "Within how long half, 95 % and 99 % of the attempts ended. Dots are single attempts: open "
        "their trace.",
        third(1, 1),
        [
            query("A", promql.quantile(0.5, durations), legend="50 %"),
            query("B", promql.quantile(0.95, durations), legend="95 %"),
            query("C", promql.quantile(0.99, durations), legend="99 %", exemplars=True),
        ],
        unit="s",
    )
    errors = f"sum by (error_type) (increase(spinach_job_errors_total{{{promql.TASK}}}[$__range]))"
    yield table_panel(
        "Errors",
        "The ten classes of error that were raised most often in the time shown, retried or not.",
        third(2, 1),
        {"Raised": f"topk(10, {errors})"},
        names={"error_type": "Error"},
        missing="No errors",
    )


def _limits() -> Iterator[Builder[Panel]]:
    used, limit = (
        f"max by (task) ({name}{{{promql.TASK}}})"
        for name in ("spinach_concurrency_used", "spinach_concurrency_limit")
    )
    yield time_series_panel(
        "Limits in use",
        "Share of the slots of a limited task that are taken. At 100 % further jobs wait.",
        Area(0, 2 * ROW_HEIGHT, 12, ROW_HEIGHT),
        [query("A", f"{used} / {limit}", legend=_BY_TASK)],
        unit="percentunit",
    )
    yield time_series_panel(
        "Periodic tasks late",
        "How far each is past its next run. More than a period: no worker starts it.",
        Area(12, 2 * ROW_HEIGHT, 12, ROW_HEIGHT),
        [query("A", f"max by (task) (spinach_periodic_late_seconds{{{promql.TASK}}})", legend=_BY_TASK)],
        unit="s",
    )
