"""Measures how long a job waits behind jobs that a concurrency limit holds back, and what a call costs.

    python -m benchmarks.blocked_jobs [--blocked N ...] [--jobs N] [--url URL]

For each number of blocked jobs at the head of a queue it starts four threads of workers, lets the limited
task fill its limit, and then schedules jobs of another task one by one. It prints the time until the first of
them starts (it includes the start of the workers, and parking the blocked jobs, once), the median of the
others, and the server's time per script call while they run: half of the calls schedule, half are those of
the worker.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from uuid import uuid4

from redis import Redis

from spinach import Batch, Engine, RedisBroker


def server_seconds(client: Redis) -> tuple[float, int]:
    """Return the seconds that the server spent in scripts, and the number of calls."""
    scripts = client.info("commandstats").get("cmdstat_evalsha", {})
    return scripts.get("usec", 0) / 1e6, scripts.get("calls", 0)


def measure(url: str, blocked: int, jobs: int) -> tuple[float, float, float]:
    """Return seconds until the first job started, median seconds of the others, server seconds per call."""
    client = Redis.from_url(url)
    engine = Engine(RedisBroker(Redis.from_url(url)), namespace=f"benchmark-{uuid4().hex[:8]}")
    release, started = threading.Event(), threading.Event()
    engine.task(release.wait, name="limited", max_retries=1, max_concurrency=1)
    engine.task(started.set, name="free", max_retries=1)
    batch = Batch()
    for _ in range(blocked + 1):
        batch.schedule("limited")
    engine.schedule_batch(batch)

    def seconds_until_start() -> float:
        started.clear()
        began = time.perf_counter()
        engine.schedule("free")
        started.wait()
        return time.perf_counter() - began

    began = time.perf_counter()
    engine.schedule("free")
    engine.start_workers(number=4, block=False)
    started.wait()
    first = time.perf_counter() - began
    while client.hget(f"{engine.namespace}/_current_concurrency", "limited") != b"1":
        time.sleep(0.01)
    before, calls_before = server_seconds(client)
    waits = [seconds_until_start() for _ in range(jobs)]
    after, calls_after = server_seconds(client)
    # Only the job that runs is left, so that the stop puts no blocked jobs back.
    client.delete(f"{engine.namespace}/spinach", f"{engine.namespace}/_parked-jobs-spinach")
    release.set()
    engine.stop_workers()
    engine.broker.flush()
    return first, statistics.median(waits), (after - before) / (calls_after - calls_before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocked", type=int, nargs="+", default=[1, 1_000, 100_000])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--url", default="redis://127.0.0.1:6379")
    options = parser.parse_args()
    print(f"{'blocked jobs':>14} {'first job':>12} {'later jobs':>12} {'server, a call':>15}")
    for blocked in options.blocked:
        first, later, server = measure(options.url, blocked, options.jobs)
        print(f"{blocked:>14,} {first * 1e3:>9.1f} ms {later * 1e3:>9.2f} ms {server * 1e6:>12.0f} us")


if __name__ == "__main__":
    main()
