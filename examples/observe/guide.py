"""What a person is told: where everything is, and what is worth a look. Pure text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from . import settings

# What to look at, and the query that shows it.
GRAPHS: Final = (
    ("jobs in and out", f'sum by (outcome) (rate(spinach_fleet_jobs_total{{spinach_namespace="{settings.NAMESPACE}"}}[1m]))'),
    ("queues that grow and drain", "max by (queue) (spinach_queue_depth)"),
    ("the oldest job of each queue", "max by (queue) (spinach_queue_oldest_job_age_seconds)"),
    ("workers by state", "max by (state) (spinach_workers)"),
    ("99 % of jobs start within", "histogram_quantile(0.99, sum by (queue, le) (rate(spinach_job_queue_wait_seconds_bucket[1m])))"),
    ("99 % of attempts end within; the dots are attempts, their trace_id is in the traces",
     "histogram_quantile(0.99, sum by (task, le) (rate(spinach_job_duration_seconds_bucket[1m])))"),
    ("errors by class", "sum by (error_type) (increase(spinach_job_errors_total[5m]))"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pages:
    """Where Prometheus and its pages for people are."""

    address: str
    targets: str
    alerts: str
    graph: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is, and how to run the tools; None for what is not installed."""

    redis_url: str
    exporter: str
    prometheus: Pages | None
    traces: str | None
    dashboard: str
    ops: Sequence[str]
    top: Sequence[str]


def lines(places: Places) -> Iterator[str]:
    """Yield what to look at."""
    ops, top = shlex.join(places.ops), shlex.join(places.top)
    where = f"--redis {places.redis_url} -n {settings.NAMESPACE}"
    yield "What to look at:"
    yield f"  now, in a terminal   {ops} status {where}"
    yield f"                       {top} {where}"
    yield f"  what is wrong        {ops} doctor {where}"
    yield f"  the namespace        {places.exporter}/metrics"
    yield f"  where workers are    {places.exporter}/sd (Prometheus asks there; each has its own /metrics)"
    if places.prometheus:
        yield f"  scraped by           {places.prometheus.targets}    alerts: {places.prometheus.alerts}"
        for what, query in GRAPHS:
            yield f"  {what}"
            yield f"      {graph(places.prometheus.graph, query)}"
        yield f"  in Grafana           add {places.prometheus.address} as a Prometheus data source, then import {places.dashboard}"
    if places.traces:
        yield f"  traces               {places.traces}"
        yield f"  one trace            grep -A 30 'process order:authorise' {places.traces}: attempts, linked to what sent them"


def graph(page: str, query: str) -> str:
    """Return the address of a graph of the last 5 minutes."""
    return f"{page}?" + urlencode(
        {"g0.expr": query, "g0.tab": 0, "g0.range_input": "5m", "g0.show_exemplars": 1}
    )
