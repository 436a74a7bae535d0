"""The dashboard of queues: do jobs pile up, how long do they wait, which workers serve the queue?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel, ValueMappingResult

from . import promql
from .base import new_dashboard
from .panels import query, state_timeline_panel, time_series_panel
from .style import FINE, OLD_SECONDS, WARNING, age_thresholds, third

UID: Final = "spinach-queue"
_BY_QUEUE: Final = "{{queue}}"


def queue() -> Dashboard:
    """Return the dashboard."""
    return new_dashboard(
        UID,
        "Spinach / Queue",
        "Queues one by one: depth, age, wait, jobs in and out, workers that serve them.",
        panels(),
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield from _backlog()
    yield from _flow()
    yield from _service()


def _gauge(metric: str) -> str:
    return f"max by (queue) ({metric}{{{promql.QUEUE}}})"


def _backlog() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Depth",
        "Jobs that are ready and wait for a worker.",
        third(0, 0),
        [query("A", _gauge("spinach_queue_depth"), legend=_BY_QUEUE)],
        unit="short",
    )
    yield time_series_panel(
        "Oldest job",
        f"How long the first job has been ready. The lines: {OLD_SECONDS} s, within which jobs should "
        "start, and five times as much.",
        third(1, 0),
        [query("A", _gauge("spinach_queue_oldest_job_age_seconds"), legend=_BY_QUEUE)],
        unit="s",
        line_at=age_thresholds(),
    )
    waits = promql.wait_buckets()
    yield time_series_panel(
        "Wait",
        "Within how long half, 95 % and 99 % of the jobs started from the moment they were due.",
        third(2, 0),
        [
            query("A", promql.quantile(0.5, waits), legend="50 %"),
            query("B", promql.quantile(0.95, waits), legend="95 %"),
            query("C", promql.quantile(0.99, waits), legend="99 %"),
        ],
        unit="s",
    )


def _flow() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "In minus out",
        "By how many jobs per second a queue grows over 10 minutes. Below zero it drains.",
        third(0, 1),
        [query("A", promql.queue_growth(), legend=_BY_QUEUE)],
        unit="cps",
        minimum=None,
    )
    yield time_series_panel(
        "Drained in",
        "At the pace of the last 10 minutes. A gap: the queue does not shrink.",
        third(1, 1),
        [query("A", promql.queue_drain_seconds(), legend=_BY_QUEUE)],
        unit="s",
    )
    yield time_series_panel(
        "Started by task",
        "Jobs per second that were started, by task.",
        third(2, 1),
        [query("A", promql.started_rate(by="task"), legend="{{task}}")],
        unit="cps",
    )


def _service() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Workers",
        "Live worker processes that serve the queue. 0 while jobs wait: no job will start.",
        third(0, 2),
        [query("A", _gauge("spinach_queue_workers"), legend=_BY_QUEUE)],
        unit="short",
    )
    yield time_series_panel(
        "Slots",
        "Jobs its workers can run at once. A worker of several queues counts in each: do not add them up.",
        third(1, 2),
        [query("A", _gauge("spinach_queue_reachable_slots"), legend=_BY_QUEUE)],
        unit="short",
    )
    yield state_timeline_panel(
        "Paused",
        "Whether the queue is paused: workers start none of its jobs. Reserved: this release pauses "
        "no queue.",
        third(2, 2),
        query("A", _gauge("spinach_queue_paused"), legend=_BY_QUEUE),
        {
            "0": ValueMappingResult(text="open", color=FINE, index=0),
            "1": ValueMappingResult(text="paused", color=WARNING, index=1),
        },
    )
