"""The overview: is it up, does it keep up, does it fail; the first screen answers, the tables say where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink
from grafana_foundation_sdk.builders.table import Panel as TablePanel
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Panel, ValueMappingResult

from . import promql
from .base import active_seconds, all_firing, framed
from .panels import buckets, lines, number, query, rows
from .style import BAD, FINE, OLD_SECONDS, VERY_OLD_SECONDS, WARNING, Place, Words, age_steps, steps

UID: Final = "spinach-overview"

# 1280 by 720 pixels show 15 rows below Grafana's own bars.
_NUMBERS_HEIGHT: Final = 3
_COURSE_Y: Final = 3
_COURSE_HEIGHT: Final = 6
_TABLE_Y: Final = 9
_TABLE_HEIGHT: Final = 6
_ALERTS_Y: Final = 15


def overview() -> Dashboard:
    """Return the dashboard."""
    return framed(
        UID,
        "Spinach / Overview",
        "One namespace at a glance: health, queues, throughput, failures, workers, alerts.",
        panels(),
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield from _numbers()
    yield from _course()
    yield _queues()
    yield _waits()
    yield _alerts()


def _numbers() -> Iterator[Builder[Panel]]:
    yield number(
        Words("Redis", "Whether the exporter could read this namespace. DOWN: all other numbers here are absent, not zero."),
        _cell(0), promql.of_namespace("spinach_redis_up"),
        unit="bool_on_off", limits=steps(BAD, (1, FINE)), missing="NO DATA",
        texts={
            "0": ValueMappingResult(text="DOWN", color=BAD, index=0),
            "1": ValueMappingResult(text="UP", color=FINE, index=1),
        },
    )  # fmt: skip
    depth = f"max by (queue) (spinach_queue_depth{{{promql.QUEUE}}})"
    yield number(
        Words("Queued", "Jobs that are ready and wait for a worker, in the queues chosen."),
        _cell(1),
        f"sum({depth})",
    )
    yield number(
        Words(
            "Oldest job",
            f"How long the first job of the slowest queue has been ready. Orange from {OLD_SECONDS} s, "
            f"red from {VERY_OLD_SECONDS} s: add workers, or look what holds them up.",
        ),
        _cell(2), f"max(spinach_queue_oldest_job_age_seconds{{{promql.QUEUE}}})",
        unit="s", limits=age_steps(),
    )  # fmt: skip
    yield number(
        Words("Running", "Jobs that workers run now."), _cell(3), promql.of_namespace("spinach_running_jobs")
    )
    yield number(
        Words("Scheduled", "Jobs that wait for their date, retries included."),
        _cell(4), promql.of_namespace("spinach_scheduled_jobs"),
    )  # fmt: skip
    yield number(
        Words("Overdue", "Scheduled jobs more than 2 s past their date. More than 0 for long: no worker looks after the timers."),
        _cell(5), promql.of_namespace("spinach_scheduled_overdue_jobs"), limits=steps(FINE, (1, WARNING)),
    )  # fmt: skip
    yield number(
        Words("Dead letters", "Jobs that failed for good and are kept. `spinach-ops failed` shows why."),
        _cell(6), promql.of_namespace("spinach_dead_letters"), limits=steps(FINE, (1, WARNING)),
    )  # fmt: skip
    yield number(
        Words("Alerts firing", "Spinach alerts that fire for this namespace, named below. Needs the rules in Prometheus."),
        _cell(7), f"count({all_firing()}) or vector(0)", limits=steps(FINE, (1, BAD)),
    )  # fmt: skip


def _cell(column: int) -> Place:
    return Place(3 * column, 0, 3, _NUMBERS_HEIGHT)


def _course() -> Iterator[Builder[Panel]]:
    yield lines(
        Words(
            "Jobs in and out",
            "Per second: enqueued is in, started is out; succeeded, retried and failed are how attempts end. "
            "Counted in Redis; where only workers are scraped, from them.",
        ),
        _course_place(0, 10),
        [query("A", promql.outcome_rate(".+", by="outcome"), legend="{{outcome}}")],
        unit="cps",
    )
    failed, ended = promql.outcome_rate("failed"), promql.outcome_rate("failed|succeeded")
    yield lines(
        Words("Failure ratio", "Of the jobs that ended for good, the share that failed. A gap: none ended."),
        _course_place(10, 5),
        [query("A", f"({failed} or vector(0)) / (({ended}) > 0)", legend="failed")],
        unit="percentunit", most=1,
    )  # fmt: skip
    busy, slots = promql.of_namespace("spinach_slots_busy"), promql.of_namespace("spinach_slots")
    of_workers = f"sum(spinach_worker_slots_busy{{{promql.NAMESPACE}}}) / (sum(spinach_worker_slots{{{promql.NAMESPACE}}}) > 0)"
    yield lines(
        Words("Slots busy", "Share of the namespace's slots that run a job. At 100 % while jobs wait: add workers."),
        _course_place(15, 4),
        [query(
            "A",
            promql.first_known(f"{busy} / ({slots} > 0)", of_workers),
            legend="busy",
        )],
        unit="percentunit", most=1,
    )  # fmt: skip
    yield number(
        Words("Workers", "Worker processes by state. silent: heartbeats missed; dead: given up, their jobs are recovered."),
        _course_place(19, 5), promql.of_namespace("spinach_workers", by="state"), legend="{{state}}",
    )  # fmt: skip


def _course_place(x: int, width: int) -> Place:
    return Place(x, _COURSE_Y, width, _COURSE_HEIGHT)


def _queues() -> TablePanel:
    panel = rows(
        Words(
            "Queues",
            "Queued: jobs ready. Oldest: how long the first has been. Started: jobs per second that left. "
            "Drained in: at the pace of the last 10 minutes; empty where the queue does not shrink.",
        ),
        Place(0, _TABLE_Y, 14, _TABLE_HEIGHT),
        {
            "Queued": f"max by (queue) (spinach_queue_depth{{{promql.QUEUE}}})",
            "Oldest": f"max by (queue) (spinach_queue_oldest_job_age_seconds{{{promql.QUEUE}}})",
            "Started": promql.started_rate(by="queue"),
            "Drained in": promql.queue_drain_seconds(),
        },
        names={"queue": "Queue"},
        missing="",
    )  # fmt: skip
    old = age_steps().build()
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
    """Link a queue's name to the dashboard of that queue; it may be named in any way."""
    kept = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${namespace:queryparam}"
    return DashboardLink("Show this queue").url(
        f"/d/spinach-queue?{kept}&var-queue=${{__value.text:percentencode}}"
    )


def _waits() -> Builder[Panel]:
    return buckets(
        Words(
            "Time in the queue",
            "How long jobs waited from the moment they were due until they started; darker: more jobs per second.",
        ),
        Place(14, _TABLE_Y, 10, _TABLE_HEIGHT),
        promql.wait_buckets(),
    )


def _alerts() -> Builder[Panel]:
    return rows(
        Words(
            "Firing alerts",
            "Alerts of this project that fire for the namespace, or for none in particular. Each has a runbook.",
        ),
        Place(0, _ALERTS_Y, 24, 5),
        {"Active for": active_seconds()},
        names={"alertname": "Alert", "severity": "Severity", "queue": "Queue", "task": "Task"},
        missing="No alert is firing",
        unit="s",
    )
