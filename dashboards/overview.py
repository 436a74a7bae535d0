"""The overview dashboard: is the namespace up, does it keep up, does it fail, and in which queue?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink
from grafana_foundation_sdk.builders.table import Panel as TablePanel
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Panel, ValueMappingResult

from . import promql
from .base import active_seconds, all_firing, new_dashboard
from .panels import heatmap_panel, query, stat_panel, table_panel, time_series_panel
from .style import BAD, FINE, OLD_SECONDS, VERY_OLD_SECONDS, WARNING, Area, age_thresholds, thresholds

UID: Final = "spinach-overview"

# 1280 by 720 pixels show 15 rows below Grafana's own bars.
_NUMBERS_HEIGHT: Final = 3
_OVER_TIME_Y: Final = 3
_OVER_TIME_HEIGHT: Final = 6
_TABLE_Y: Final = 9
_TABLE_HEIGHT: Final = 6
_ALERTS_Y: Final = 15


def overview() -> Dashboard:
    """Return the dashboard."""
    return new_dashboard(
        UID,
        "Spinach / Overview",
        "One namespace at a glance: health, queues, throughput, failures, workers, alerts.",
        panels(),
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield from _numbers()
    yield from _over_time()
    yield _queues()
    yield _waits()
    yield _alerts()


def _numbers() -> Iterator[Builder[Panel]]:
    yield stat_panel(
        "Redis",
        "Whether the exporter could read this namespace. DOWN: all other numbers here are absent, not zero.",
        _number_area(0),
        promql.namespace_gauge("spinach_redis_up"),
        unit="bool_on_off",
        limits=thresholds(BAD, (1, FINE)),
        missing="NO DATA",
        texts={
            "0": ValueMappingResult(text="DOWN", color=BAD, index=0),
            "1": ValueMappingResult(text="UP", color=FINE, index=1),
        },
    )
    depth = f"max by (queue) (spinach_queue_depth{{{promql.QUEUE}}})"
    yield stat_panel(
        "Queued",
        "Jobs that are ready and wait for a worker, in the queues chosen.",
        _number_area(1),
        f"sum({depth})",
    )
    yield stat_panel(
        "Oldest job",
        f"How long the first job of the slowest queue has been ready. Orange from {OLD_SECONDS} s, "
        f"red from {VERY_OLD_SECONDS} s: add workers, or find what delays the jobs.",
        _number_area(2),
        f"max(spinach_queue_oldest_job_age_seconds{{{promql.QUEUE}}})",
        unit="s",
        limits=age_thresholds(),
    )
    yield stat_panel(
        "Running",
        "Jobs that workers run now.",
        _number_area(3),
        promql.namespace_gauge("spinach_running_jobs"),
    )
    yield stat_panel(
        "Scheduled",
        "Jobs that wait for their date, retries included.",
        _number_area(4),
        promql.namespace_gauge("spinach_scheduled_jobs"),
    )
    yield stat_panel(
        "Overdue",
        "Scheduled jobs more than 2 s past their date. More than 0 for long: no worker moves due jobs.",
        _number_area(5),
        promql.namespace_gauge("spinach_scheduled_overdue_jobs"),
        limits=thresholds(FINE, (1, WARNING)),
    )
    yield stat_panel(
        "Dead letters",
        "Jobs that failed for good and are kept. `spinach-ops failed` shows why.",
        _number_area(6),
        promql.namespace_gauge("spinach_dead_letters"),
        limits=thresholds(FINE, (1, WARNING)),
    )
    yield stat_panel(
        "Alerts firing",
        "Spinach alerts that fire for this namespace, named below. Needs the rules in Prometheus.",
        _number_area(7),
        f"count({all_firing()}) or vector(0)",
        limits=thresholds(FINE, (1, BAD)),
    )


def _number_area(column: int) -> Area:
    return Area(3 * column, 0, 3, _NUMBERS_HEIGHT)


def _over_time() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Jobs in and out",
        "Per second: enqueued is in, started is out; succeeded, retried and failed are how attempts end. "
        "Counted in Redis; where only workers are scraped, from them.",
        _over_time_area(0, 10),
        [query("A", promql.outcome_rate(".+", by="outcome"), legend="{{outcome}}")],
        unit="cps",
    )
    failed, ended = promql.outcome_rate("failed"), promql.outcome_rate("failed|succeeded")
    yield time_series_panel(
        "Failure ratio",
        "Of the jobs that ended for good, the share that failed. A gap: none ended.",
        _over_time_area(10, 5),
        [query("A", f"({failed} or vector(0)) / (({ended}) > 0)", legend="failed")],
        unit="percentunit",
        maximum=1,
    )
    busy, slots = promql.namespace_gauge("spinach_slots_busy"), promql.namespace_gauge("spinach_slots")
    of_workers = (
        f"sum(spinach_worker_slots_busy{{{promql.NAMESPACE}}}) / "
        f"(sum(spinach_worker_slots{{{promql.NAMESPACE}}}) > 0)"
    )
    yield time_series_panel(
        "Slots busy",
        "Share of the namespace's slots that run a job. At 100 % while jobs wait: add workers.",
        _over_time_area(15, 4),
        [query("A", promql.first_known(f"{busy} / ({slots} > 0)", of_workers), legend="busy")],
        unit="percentunit",
        maximum=1,
    )
    yield stat_panel(
        "Workers",
        "Worker processes by state. silent: heartbeats missed; dead: another worker recovers their jobs.",
        _over_time_area(19, 5),
        promql.namespace_gauge("spinach_workers", by="state"),
        legend="{{state}}",
    )


def _over_time_area(x: int, width: int) -> Area:
    return Area(x, _OVER_TIME_Y, width, _OVER_TIME_HEIGHT)


def _queues() -> TablePanel:
    panel = table_panel(
        "Queues",
        "Queued: jobs ready. Oldest: how long the first has been. Started: jobs per second that left. "
        "Drained in: at the pace of the last 10 minutes; empty where the queue does not shrink.",
        Area(0, _TABLE_Y, 14, _TABLE_HEIGHT),
        {
            "Queued": f"max by (queue) (spinach_queue_depth{{{promql.QUEUE}}})",
            "Oldest": f"max by (queue) (spinach_queue_oldest_job_age_seconds{{{promql.QUEUE}}})",
            "Started": promql.started_rate(by="queue"),
            "Drained in": promql.queue_drain_seconds(),
        },
        names={"queue": "Queue"},
        missing="",
    )
    old = age_thresholds().build()
    panel.override_by_name(
        "Oldest",
        [
            DynamicConfigValue("unit", "s"),
            DynamicConfigValue("thresholds", old),
            DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ],
    )
    panel.override_by_name("Started", [DynamicConfigValue("unit", "cps"), DynamicConfigValue("decimals", 1)])
    panel.override_by_name("Drained in", [DynamicConfigValue("unit", "s")])
    panel.override_by_name("Queue", [DynamicConfigValue("links", [_queue_link().build()])])
    return panel


def _queue_link() -> DashboardLink:
    """Link a queue's name, which may hold any character, to the dashboard of that queue."""
    kept = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${namespace:queryparam}"
    return DashboardLink("Show this queue").url(
        f"/d/spinach-queue?{kept}&var-queue=${{__value.text:percentencode}}"
    )


def _waits() -> Builder[Panel]:
    return heatmap_panel(
        "Time in the queue",
        "How long jobs waited from the moment they were due until they started. Darker: more jobs per "
        "second.",
        Area(14, _TABLE_Y, 10, _TABLE_HEIGHT),
        promql.wait_buckets(),
    )


def _alerts() -> Builder[Panel]:
    return table_panel(
        "Firing alerts",
        "Alerts of this project that fire for the namespace, or for none in particular. Each has a runbook.",
        Area(0, _ALERTS_Y, 24, 5),
        {"Active for": active_seconds()},
        names={"alertname": "Alert", "severity": "Severity", "queue": "Queue", "task": "Task"},
        missing="No alert is firing",
        unit="s",
    )
