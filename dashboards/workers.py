"""The dashboard of workers and Redis: are the processes well, is the server, and what does looking cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from . import promql
from .base import framed
from .panels import lines, query, rows
from .style import WARNING, Place, Words, steps

UID: Final = "spinach-workers"
# After so long without a heartbeat workers of the published package are called silent.
_SILENT_SECONDS: Final = 75
_HEIGHT: Final = 7


def workers() -> Dashboard:
    """Return the dashboard."""
    return framed(
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
    yield lines(
        Words(
            "Workers by state", "Registered worker processes; connected are those that listen at this moment."
        ),
        _place(0, 0),
        [
            query("A", promql.of_namespace("spinach_workers", by="state"), legend="{{state}}"),
            query("B", promql.of_namespace("spinach_workers_connected"), legend="connected"),
        ],
        unit="short",
    )
    yield lines(
        Words(
            "Oldest heartbeat",
            f"Of all registered workers. Above {_SILENT_SECONDS} s: one is silent or dead.",
        ),
        _place(8, 0),
        [query("A", promql.of_namespace("spinach_workers_heartbeat_age_max_seconds"), legend="oldest")],
        unit="s",
        line_at=steps("green", (_SILENT_SECONDS, WARNING)),
    )
    yield rows(
        Words("Versions", "Registered workers by version; upstream is the published package. More than one for long: a rollout hangs."),
        _place(16, 0),
        {"Workers": promql.of_namespace("spinach_workers_by_version", by="version")},
        names={"version": "Version"},
        missing="No workers",
    )  # fmt: skip


def _processes() -> Iterator[Builder[Panel]]:
    yield lines(
        Words("Slots", "Jobs that worker processes run, and could run, at once."),
        _place(0, 1),
        [
            query("A", promql.of_namespace("spinach_slots_busy"), legend="busy"),
            query("B", promql.of_namespace("spinach_slots"), legend="all"),
        ],
        unit="short",
    )
    requests = f"sum by (le) (rate({_of_workers('spinach_broker_request_duration_seconds_bucket')}{promql.INTERVAL}))"
    yield lines(
        Words(
            "Round trips to Redis",
            "How long workers wait for the server: half of the calls, and 99 % of them.",
        ),
        _place(8, 1),
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
    yield lines(
        Words("Errors of workers", "Round trips that failed, by operation, and background loops that had to try again."),
        _place(16, 1),
        [
            query("A", _seldom(errors, "operation"), legend="round trip: {{operation}}"),
            query("B", _seldom(failures, "service"), legend="loop: {{service}}"),
        ],
        unit="cps",
    )  # fmt: skip


def _server() -> Iterator[Builder[Panel]]:
    yield lines(
        Words("Memory of Redis", "In use, and the limit; a limit of 0 is none. Where keys may be evicted, jobs may be lost."),
        _place(0, 2),
        [
            query("A", promql.of_namespace("spinach_redis_memory_used_bytes"), legend="used"),
            query("B", promql.of_namespace("spinach_redis_memory_max_bytes"), legend="limit"),
        ],
        unit="bytes",
    )  # fmt: skip
    skew = "spinach_redis_clock_skew_seconds"
    yield lines(
        Words("Clock skew", "Clock of whoever reads minus the server's. Ages and dates here go by the server's clock alone."),
        _place(8, 2),
        [query("A", f"max by (instance) ({_of_workers(skew)})", legend="{{instance}}")],
        unit="s",
        least=None,
    )  # fmt: skip
    yield lines(
        Words(
            "Results not told", "Results of which Redis has not heard yet. Growing: workers cannot reach it."
        ),
        _place(16, 2),
        [query("A", f"sum({_of_workers('spinach_worker_unacknowledged_results')})", legend="results")],
        unit="short",
    )


def _telemetry() -> Iterator[Builder[Panel]]:
    yield lines(
        Words("Cost of a look", "How long reading the namespace takes for a scrape."),
        _place(0, 3),
        [query("A", promql.of_namespace("spinach_snapshot_duration_seconds"), legend="seconds")],
        unit="s",
    )
    yield lines(
        Words("Commands of a look", "Commands and round trips that the server runs for a scrape."),
        _place(8, 3),
        [
            query("A", promql.of_namespace("spinach_snapshot_commands"), legend="commands"),
            query("B", promql.of_namespace("spinach_snapshot_round_trips"), legend="round trips"),
        ],
        unit="short",
    )
    raised = (
        f"sum by (signal) (rate({_of_workers('spinach_telemetry_receiver_errors_total')}{promql.INTERVAL}))"
    )
    unread = f"sum by (reason) (rate({_of_workers('spinach_snapshot_errors_total')}{promql.INTERVAL}))"
    folded = f'sum by (reason) (rate(spinach_telemetry_overflow_total{{job=~"$job"}}{promql.INTERVAL}))'
    yield lines(
        Words("Trouble with metrics", "Receivers that raised, reads that failed, label values that were folded."),
        _place(16, 3),
        [
            query("A", _seldom(raised, "signal"), legend="receiver of {{signal}}"),
            query("B", promql.none_known(unread, "reason", "spinach_redis_up"), legend="not read: {{reason}}"),
            query("C", _seldom(folded, "reason"), legend="folded: {{reason}}"),
        ],
        unit="cps",
    )  # fmt: skip


def _seldom(trouble: str, label: str) -> str:
    return promql.none_known(trouble, label, "spinach_worker_slots")


def _place(x: int, row: int) -> Place:
    return Place(x, row * _HEIGHT, 8, _HEIGHT)
