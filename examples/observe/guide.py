"""What `make observe` prints: all addresses, and queries to try. Pure text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from . import settings

# What a graph shows, and its query.
_NAMESPACE: Final = f'spinach_namespace="{settings.NAMESPACE}"'
GRAPHS: Final = (
    ("jobs in and out", f'sum by (outcome) (rate(spinach_fleet_jobs_total{{{_NAMESPACE}}}[1m]))'),
    ("queues that grow and drain", "max by (queue) (spinach_queue_depth)"),
    ("the oldest job of each queue", "max by (queue) (spinach_queue_oldest_job_age_seconds)"),
    ("workers by state", "max by (state) (spinach_workers)"),
    ("99 % of jobs start within",
     "histogram_quantile(0.99, sum by (queue, le) (rate(spinach_job_queue_wait_seconds_bucket[1m])))"),
    ("99 % of attempts end within; the dots are attempts, their trace_id is in the traces",
     "histogram_quantile(0.99, sum by (task, le) (rate(spinach_job_duration_seconds_bucket[1m])))"),
    ("errors by class", "sum by (error_type) (increase(spinach_job_errors_total[5m]))"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PrometheusPages:
    """The addresses of Prometheus and of its pages."""

    address: str
    targets: str
    alerts: str
    graph: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """All addresses, and the command lines of the tools; None for a program that is not installed."""

    redis_url: str
    exporter: str
    prometheus: PrometheusPages | None
    traces: str | None
    dashboard: str
    ops: Sequence[str]
    top: Sequence[str]


def lines(addresses: Addresses) -> Iterator[str]:
    """Yield the lines to print."""
    ops, top = shlex.join(addresses.ops), shlex.join(addresses.top)
    where = f"--redis {addresses.redis_url} -n {settings.NAMESPACE}"
    yield "Where to look:"
    yield f"  now, in a terminal   {ops} status {where}"
    yield f"                       {top} {where}"
    yield f"  what is wrong        {ops} doctor {where}"
    yield f"  the namespace        {addresses.exporter}/metrics"
    yield f"  where workers are    {addresses.exporter}/sd (Prometheus asks there; each has its own /metrics)"
    if addresses.prometheus:
        pages = addresses.prometheus
        yield f"  scraped by           {pages.targets}    alerts: {pages.alerts}"
        for what, query in GRAPHS:
            yield f"  {what}"
            yield f"      {graph(pages.graph, query)}"
        yield f"  in Grafana           add {pages.address} as a Prometheus data source, then import "
        yield f"                       {addresses.dashboard}"
    if addresses.traces:
        yield f"  traces               {addresses.traces}"
        yield f"  one trace            grep -A 30 'process order:authorise' {addresses.traces}"


def graph(page: str, query: str) -> str:
    """Return the address of a graph of the last 5 minutes."""
    return f"{page}?" + urlencode(
        {"g0.expr": query, "g0.tab": 0, "g0.range_input": "5m", "g0.show_exemplars": 1}
    )
