"""The dashboard of tasks: how attempts end, how long they take, what they raise, what holds them up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from . import promql
from .base import framed
from .panels import buckets, lines, query, rows
from .style import Place, Words

UID: Final = "spinach-task"
_BY_TASK: Final = "{{task}}"
_HEIGHT: Final = 7


def task() -> Dashboard:
    """Return the dashboard."""
    return framed(
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
    yield lines(
        Words("Outcomes", "Attempts per second by how they ended: succeeded, retried, or failed for good."),
        _place(0, 0),
        [query("A", promql.outcome_rate("succeeded|retried|failed", by="outcome"), legend="{{outcome}}")],
        unit="cps",
    )
    yield lines(
        Words("Failed by task", "Jobs per second that failed for good."),
        _place(8, 0),
        [query("A", promql.outcome_rate("failed", by="task"), legend=_BY_TASK)],
        unit="cps",
    )
    yield lines(
        Words("Retried by task", "Attempts per second that will be repeated."),
        _place(16, 0),
        [query("A", promql.outcome_rate("retried", by="task"), legend=_BY_TASK)],
        unit="cps",
    )


def _durations() -> Iterator[Builder[Panel]]:
    durations = promql.duration_buckets()
    yield buckets(
        Words("Duration", "How long attempts took; darker: more jobs per second."), _place(0, 1), durations
    )
    yield lines(
        Words(
            "Duration quantiles",
            "Within how long half, 95 % and 99 % of the attempts ended. Dots are single attempts: open their trace.",
        ),
        _place(8, 1),
        [
            query("A", promql.quantile(0.5, durations), legend="50 %"),
            query("B", promql.quantile(0.95, durations), legend="95 %"),
            query("C", promql.quantile(0.99, durations), legend="99 %", exemplars=True),
        ],
        unit="s",
    )
    errors = f"sum by (error_type) (increase(spinach_job_errors_total{{{promql.TASK}}}[$__range]))"
    yield rows(
        Words(
            "Errors",
            "The ten classes of error that were raised most often in the time shown, retried or not.",
        ),
        _place(16, 1),
        {"Raised": f"topk(10, {errors})"},
        names={"error_type": "Error"},
        missing="No errors",
    )


def _limits() -> Iterator[Builder[Panel]]:
    used, limit = (
        f"max by (task) ({name}{{{promql.TASK}}})"
        for name in ("spinach_concurrency_used", "spinach_concurrency_limit")
    )
    yield lines(
        Words(
            "Limits in use",
            "Share of the slots of a limited task that are taken. At 100 % further jobs wait.",
        ),
        Place(0, 2 * _HEIGHT, 12, _HEIGHT),
        [query("A", f"{used} / {limit}", legend=_BY_TASK)],
        unit="percentunit",
    )
    yield lines(
        Words(
            "Periodic tasks late",
            "How far each is past its next run. More than a period: no worker starts it.",
        ),
        Place(12, 2 * _HEIGHT, 12, _HEIGHT),
        [query("A", f"max by (task) (spinach_periodic_late_seconds{{{promql.TASK}}})", legend=_BY_TASK)],
        unit="s",
    )


def _place(x: int, row: int) -> Place:
    return Place(x, row * _HEIGHT, 8, _HEIGHT)
