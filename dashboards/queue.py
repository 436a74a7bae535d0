"""The dashboard of queues: does work pile up, how long do jobs wait, who serves the queue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel, ValueMappingResult

from . import promql
from .base import framed
from .panels import lines, query, states
from .style import FINE, OLD_SECONDS, WARNING, Place, Words, age_steps

UID: Final = "spinach-queue"
_BY_QUEUE: Final = "{{queue}}"
_HEIGHT: Final = 7


def queue() -> Dashboard:
    """Return the dashboard."""
    return framed(
        UID, "Spinach / Queue", "Queues one by one: depth, age, wait, flow, who serves them.", panels()
    )


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels, row by row."""
    yield from _backlog()
    yield from _flow()
    yield from _service()


def _gauge(metric: str) -> str:
    return f"max by (queue) ({metric}{{{promql.QUEUE}}})"


def _backlog() -> Iterator[Builder[Panel]]:
    yield lines(
        Words("Depth", "Jobs that are ready and wait for a worker."),
        _place(0, 0),
        [query("A", _gauge("spinach_queue_depth"), legend=_BY_QUEUE)],
        unit="short",
    )
    yield lines(
        Words(
            "Oldest job",
            f"How long the first job has been ready. The lines: {OLD_SECONDS} s, within which jobs should start, and its fivefold.",
        ),
        _place(8, 0),
        [query("A", _gauge("spinach_queue_oldest_job_age_seconds"), legend=_BY_QUEUE)],
        unit="s",
        line_at=age_steps(),
    )
    waits = promql.wait_buckets()
    yield lines(
        Words(
            "Wait", "Within how long half, 95 % and 99 % of the jobs started from the moment they were due."
        ),
        _place(16, 0),
        [
            query("A", promql.quantile(0.5, waits), legend="50 %"),
            query("B", promql.quantile(0.95, waits), legend="95 %"),
            query("C", promql.quantile(0.99, waits), legend="99 %"),
        ],
        unit="s",
    )


def _flow() -> Iterator[Builder[Panel]]:
    yield lines(
        Words(
            "In minus out", "By how many jobs per second a queue grows over 10 minutes. Below zero it drains."
        ),
        _place(0, 1),
        [query("A", promql.queue_growth(), legend=_BY_QUEUE)],
        unit="cps",
        least=None,
    )
    yield lines(
        Words("Drained in", "At the pace of the last 10 minutes. A gap: the queue does not shrink."),
        _place(8, 1),
        [query("A", promql.queue_drain_seconds(), legend=_BY_QUEUE)],
        unit="s",
    )
    yield lines(
        Words("Started by task", "Jobs per second that were started, by task."),
        _place(16, 1),
        [query("A", promql.started_rate(by="task"), legend="{{task}}")],
        unit="cps",
    )


def _service() -> Iterator[Builder[Panel]]:
    yield lines(
        Words(
            "Workers", "Live worker processes that serve the queue. 0 with jobs waiting: nothing will happen."
        ),
        _place(0, 2),
        [query("A", _gauge("spinach_queue_workers"), legend=_BY_QUEUE)],
        unit="short",
    )
    yield lines(
        Words(
            "Slots",
            "Jobs its workers can run at once. Workers of several queues count in each: do not add up.",
        ),
        _place(8, 2),
        [query("A", _gauge("spinach_queue_reachable_slots"), legend=_BY_QUEUE)],
        unit="short",
    )
    yield states(
        Words("Paused", "Whether workers were told to leave the queue alone."),
        _place(16, 2),
        query("A", _gauge("spinach_queue_paused"), legend=_BY_QUEUE),
        {
            "0": ValueMappingResult(text="open", color=FINE, index=0),
            "1": ValueMappingResult(text="paused", color=WARNING, index=1),
        },
    )


def _place(x: int, row: int) -> Place:
    return Place(x, row * _HEIGHT, 8, _HEIGHT)
