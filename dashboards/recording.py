"""The recording rules: ratios over the windows of burn rates, and how fast queues grow and drain. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .objectives import Objective, Objectives
from .prometheus_rules import (
    COUNTERS_EXACT,
    NAMESPACE_AND_QUEUE,
    Group,
    Rule,
    gauge,
    increase,
    increase_from_zero,
)

SHORT_WINDOWS: Final = ("5m", "30m", "1h")
LONG_WINDOWS: Final = ("2h", "6h", "1d", "3d")
# The time of an error budget. Its query is too expensive for every minute.
BUDGET_WINDOW: Final = "30d"
_BUDGET_INTERVAL: Final = "10m"
# A window of hours changes little in a minute, and its query costs the most.
_LONG_INTERVAL: Final = "2m"
_JOB_LABELS: Final = f"{NAMESPACE_AND_QUEUE}, task, outcome"
_WAIT_LABELS: Final = f"{NAMESPACE_AND_QUEUE}, le"
_JOBS: Final = "spinach_fleet_jobs_total"
_ENDED: Final = 'outcome=~"succeeded|failed"'

GROWTH: Final = "spinach:queue_growth_per_second"
DRAIN: Final = "spinach:queue_drain_seconds"
# The share of jobs that may start late, or fail: one minus the objective.
START_BUDGET: Final = "spinach:start_budget_ratio"
FAILURE_BUDGET: Final = "spinach:failure_budget_ratio"


def recording(objectives: Objectives) -> Iterator[Group]:
    """Yield the groups of recording rules."""
    yield Group("spinach-queues", tuple(_queue_rules()))
    yield Group("spinach-ratios-short", tuple(_ratios(objectives, SHORT_WINDOWS)))
    yield Group("spinach-ratios-long", tuple(_ratios(objectives, LONG_WINDOWS)), interval=_LONG_INTERVAL)
    yield Group(
        "spinach-ratios-budget", tuple(_ratios(objectives, (BUDGET_WINDOW,))), interval=_BUDGET_INTERVAL
    )
    yield Group("spinach-budgets", tuple(_budgets(objectives)))


def _queue_rules() -> Iterator[Rule]:
    # `and`: an exporter that is gone has samples in the window for minutes; they are out of date.
    yield Rule(
        GROWTH, f"max by ({NAMESPACE_AND_QUEUE}) (deriv(spinach_queue_depth[10m]) and spinach_queue_depth)"
    )
    yield Rule(DRAIN, f"{gauge('spinach_queue_depth', NAMESPACE_AND_QUEUE)} / (-{GROWTH} > 0)")


def _budgets(objectives: Objectives) -> Iterator[Rule]:
    for selector, objective in queue_matchers(objectives):
        depth = f"spinach_queue_depth{{{selector}}}" if selector else "spinach_queue_depth"
        known = f"0 * {gauge(depth, NAMESPACE_AND_QUEUE)}"
        yield Rule(START_BUDGET, f"{known} + {1 - objective.start_ratio:.6g}")
        yield Rule(FAILURE_BUDGET, f"{known} + {1 - objective.success_ratio:.6g}")


def _ratios(objectives: Objectives, windows: tuple[str, ...]) -> Iterator[Rule]:
    for window in windows:
        yield Rule(f"spinach:failure_ratio:{window}", _failure_ratio(window))
        for selector, objective in queue_matchers(objectives):
            yield Rule(f"spinach:wait_slow_ratio:{window}", _slow_ratio(selector, objective, window))


def queue_matchers(objectives: Objectives) -> Iterator[tuple[str, Objective]]:
    """Yield each objective with a matcher of its queues; together the matchers match every queue once."""
    others = "".join(f',queue!="{_quoted(name)}"' for name in objectives.queues).lstrip(",")
    yield others, objectives.default
    for name, objective in objectives.queues.items():
        yield f'queue="{_quoted(name)}"', objective


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def ended(window: str, matcher: str = "") -> str:
    """Return how many jobs ended for good in a window, by queue."""
    return _jobs(_and(_ENDED, matcher), window)


def started(window: str, matcher: str = "") -> str:
    """Return how many jobs were started in a window, by queue."""
    return _jobs(_and('outcome="started"', matcher), window)


def _jobs(matchers: str, window: str) -> str:
    return increase(f"{_JOBS}{{{matchers}}}", window, NAMESPACE_AND_QUEUE, _JOB_LABELS)


def _failure_ratio(window: str) -> str:
    # Count new series from 0: a new task that fails from its first job must not be missed.
    failed, every = (
        increase_from_zero(f"{_JOBS}{{{outcome}}}", window, NAMESPACE_AND_QUEUE, _JOB_LABELS)
        for outcome in ('outcome="failed"', _ENDED)
    )
    return f"(\n{failed}\n/\n({every} > 0)\n) and {COUNTERS_EXACT}"


def _slow_ratio(queue: str, objective: Objective, window: str) -> str:
    # The edge 60 is written 60 or 60.0, depending on the exporting library.
    edge = f"{objective.start_within_seconds:g}".replace(".", "\\\\.") + "(\\\\.0)?"
    soon = _waits("spinach_fleet_queue_wait_seconds_bucket", _and(f'le=~"{edge}"', queue), window)
    every = _waits("spinach_fleet_queue_wait_seconds_count", queue, window)
    return f"(\n  1 - {soon}\n  / ({every} > 0)\n) and {COUNTERS_EXACT}"


def _waits(metric: str, matchers: str, window: str) -> str:
    return increase(f"{metric}{{{matchers}}}", window, NAMESPACE_AND_QUEUE, _WAIT_LABELS)


def _and(first: str, second: str) -> str:
    return f"{first},{second}" if second else first
