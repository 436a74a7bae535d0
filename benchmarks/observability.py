"""Measures what instrumentation adds to a job that does nothing, beside the bare engine in the same run.

    python -m benchmarks.observability [--jobs N] [--rounds N]

It measures the part of a worker that receivers are in: attempt, signals, outcome. The figures are medians
over interleaved rounds; their difference is the cost.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone

from spinach import Engine, MemoryBroker
from spinach.execution import Attempt, Environment
from spinach.job import Job, JobStatus
from spinach_ops import instrument


def make_engine(name: str) -> Engine:
    """Return an engine with one task that does nothing."""
    engine = Engine(MemoryBroker(), namespace=name)
    engine.task(lambda: None, name="nothing", max_retries=1)
    return engine


def make_run(engine: Engine, jobs: int) -> Callable[[], float]:
    """Return a function that runs `jobs` attempts and returns the microseconds of one."""
    environment = Environment(engine.namespace, engine.broker.clock, lambda _: None, engine._hooks.attempts)
    function = engine.tasks["nothing"].func
    made = [Job("nothing", "spinach", datetime.now(timezone.utc), 1) for _ in range(jobs)]

    def run() -> float:
        for job in made:
            job.status = JobStatus.RUNNING
        began = time.perf_counter()
        for job in made:
            with Attempt(job, environment):
                function()
        return (time.perf_counter() - began) / jobs * 1e6

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    engines = {name: make_engine(name) for name in ("bare", "metrics", "both")}
    instrument(engines["metrics"], tracing=False)
    instrument(engines["both"])  # without a tracer provider, which has to cost very little
    runs = {name: make_run(engine, options.jobs) for name, engine in engines.items()}
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            figures[name].append(run())
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, median in medians.items():
        print(f"{name:10} {median:7.2f} us per job, {median - medians['bare']:+6.2f} us")


if __name__ == "__main__":
    main()
