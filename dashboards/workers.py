"""The dashboard of workers and Redis: are processes and server well, and what do the polls cost?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from . import promql
from .base import new_dashboard
from .panels import query, table_panel, time_series_panel
from .style import WARNING, third, thresholds

UID: Final = "spinach-workers"
# A worker of the published package counts as silent after this time without a heartbeat.
_SILENT_SECONDS: Final = 75


def workers() -> Dashboard:
    """Return the dashboard."""
    return new_dashboard(
        UID,
        "Spinach / Workers and Redis",
        "Worker processes, their round trips to Redis, the server, and what the metrics themselves cost.",
        panels(),
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield from _fleet()
    yield from _processes()
    yield from _server()
    yield from _telemetry()


def _of_workers(metric: str) -> str:
    return f"{metric}{{{promql.NAMESPACE}}}"


def _fleet() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Workers by state",
        "Registered worker processes; connected are those that listen at this moment.",
        third(0, 0),
        [
            query("A", promql.namespace_gauge("spinach_workers", by="state"), legend="{{state}}"),
            query("B", promql.namespace_gauge("spinach_workers_connected"), legend="connected"),
        ],
        unit="short",
    )
    yield time_series_panel(
        "Oldest heartbeat",
        f"Of all registered workers. Above {_SILENT_SECONDS} s: one is silent or dead.",
        third(1, 0),
        [query("A", promql.namespace_gauge("spinach_workers_heartbeat_age_max_seconds"), legend="oldest")],
        unit="s",
        line_at=thresholds("green", (_SILENT_SECONDS, WARNING)),
    )
    yield table_panel(
        "Versions",
        "Registered workers by version; upstream is the published package. More "
        "than one for long: a rollout is not finished.",
        third(2, 0),
        {"Workers": promql.namespace_gauge("spinach_workers_by_version", by="version")},
        names={"version": "Version"},
        missing="No workers",
    )


def _processes() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Slots",
        "Jobs that worker processes run, and could run, at once.",
        third(0, 1),
        [
            query("A", promql.namespace_gauge("spinach_slots_busy"), legend="busy"),
            query("B", promql.namespace_gauge("spinach_slots"), legend="all"),
        ],
        unit="short",
    )
    requests = (
        "sum by (le) "
        f"(rate({_of_workers('spinach_broker_request_duration_seconds_bucket')}{promql.INTERVAL}))"
    )
    yield time_series_panel(
        "Round trips to Redis",
        "How long workers wait for the server: half of the calls, and 99 % of them.",
        third(1, 1),
        [
            query("A", promql.quantile(0.5, requests), legend="50 %"),
            query("B", promql.quantile(0.99, requests), legend="99 %"),
        ],
        unit="s",
    )
    errors = f"sum by (operation) (rate({_of_workers('spinach_broker_errors_total')}{promql.INTERVAL}))"
    failures = (
        f"sum by (service) (rate({_of_workers('spinach_worker_service_failures_total')}{promql.INTERVAL}))"
    )
    yield time_series_panel(
        "Errors of workers",
        "Round trips that failed, by operation, and background threads that had to try again.",
        third(2, 1),
        [
            query("A", _zero_if_workers_report(errors, "operation"), legend="round trip: {{operation}}"),
            query("B", _zero_if_workers_report(failures, "service"), legend="thread: {{service}}"),
        ],
        unit="cps",
    )


def _server() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Memory of Redis",
        "In use, and the limit; a limit of 0 is none. Where keys may be evicted, jobs may be lost.",
        third(0, 2),
        [
            query("A", promql.namespace_gauge("spinach_redis_memory_used_bytes"), legend="used"),
            query("B", promql.namespace_gauge("spinach_redis_memory_max_bytes"), legend="limit"),
        ],
        unit="bytes",
    )
    skew = "spinach_redis_clock_skew_seconds"
    yield time_series_panel(
        "Clock skew",
        "Clock of the exporter or worker minus the server's. Ages and dates here "
        "use only the server's clock.",
        third(1, 2),
        [query("A", f"max by (instance) ({_of_workers(skew)})", legend="{{instance}}")],
        unit="s",
        minimum=None,
    )
    yield time_series_panel(
        "Unacknowledged results",
        "Results that Redis has not received yet. Growing: workers cannot reach it.",
        third(2, 2),
        [query("A", f"sum({_of_workers('spinach_worker_unacknowledged_results')})", legend="results")],
        unit="short",
    )


def _telemetry() -> Iterator[Builder[Panel]]:
    yield time_series_panel(
        "Cost of a poll",
        "How long a poll of the namespace takes for a scrape.",
        third(0, 3),
        [query("A", promql.namespace_gauge("spinach_snapshot_duration_seconds"), legend="seconds")],
        unit="s",
    )
    yield time_series_panel(
        "Commands of a poll",
        "Commands and round trips of a poll for a scrape.",
        third(1, 3),
        [
            query("A", promql.namespace_gauge("spinach_snapshot_commands"), legend="commands"),
            query("B", promql.namespace_gauge("spinach_snapshot_round_trips"), legend="round trips"),
        ],
        unit="short",
    )
    raised = (
        f"sum by (signal) (rate({_of_workers('spinach_telemetry_receiver_errors_total')}{promql.INTERVAL}))"
    )
    unread = f"sum by (reason) (rate({_of_workers('spinach_snapshot_errors_total')}{promql.INTERVAL}))"
    not_read = promql.zero_if_reported(unread, "reason", "spinach_redis_up")
    folded = f'sum by (reason) (rate(spinach_telemetry_overflow_total{{job=~"$job"}}{promql.INTERVAL}))'
    yield time_series_panel(
        "Trouble with metrics",
        "Receivers that raised, reads that failed, label values that count as other.",
        third(2, 3),
        [
            query("A", _zero_if_workers_report(raised, "signal"), legend="receiver of {{signal}}"),
            query("B", not_read, legend="not read: {{reason}}"),
            query("C", _zero_if_workers_report(folded, "reason"), legend="counted as other: {{reason}}"),
        ],
        unit="cps",
    )


def _zero_if_workers_report(trouble: str, label: str) -> str:
    return promql.zero_if_reported(trouble, label, "spinach_worker_slots")
