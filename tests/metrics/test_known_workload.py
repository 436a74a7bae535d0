"""A workload whose numbers are known, with a worker killed in the middle, read through a real Prometheus."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest

from spinach import Batch, Engine
from spinach_ops import instrument, serve
from tests.fleet import Fleet
from tests.prometheus import MakePrometheus, Prometheus, check_page, fetch
from tests.servers import Server
from tests.waiting import wait_until

GOOD, FAILING, RETRIED, DELAYED = 500, 7, 3, 20
THRESHOLD_SECONDS = 3


@contextmanager
def exporter(fleet: Fleet, *options: str) -> Iterator[str]:
    """Run `spinach-ops exporter` on the fleet's namespace; yield its URL."""
    command = [
        sys.executable, "-m", "spinach_ops.commands.main", "exporter", "--listen", "0", "--json", "--cache",
        "0.5s",
        "--redis", f"redis://127.0.0.1:{fleet.server.port}/0", "-n", fleet.namespace, *options,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            assert process.wait(20) == 0


def schedule(engine: Engine) -> None:
    batch = Batch()
    for number in range(GOOD - 1):
        batch.schedule("safe", f"good-{number}")
    batch.schedule("echo_slow", "good-slow")  # its first attempt hangs until its worker is killed
    for number in range(FAILING):
        batch.schedule("once", f"failing-{number}", fails=True)
    for number in range(RETRIED):
        batch.schedule("flaky", f"retried-{number}", 1, 1)
    at = datetime.now(timezone.utc) + timedelta(seconds=1.5)
    for number in range(DELAYED):
        batch.schedule_at("safe", at, f"delayed-{number}")
    engine.schedule_batch(batch)


def target(*urls: str) -> str:
    return f"static_configs: [{{targets: {json.dumps([url.removeprefix('http://') for url in urls])}}}]"


def by_outcome(prometheus: Prometheus, metric: str) -> dict[str, float]:
    """Return a counter of processes by outcome, those that are gone included."""
    return prometheus.values(f"sum by (outcome) (last_over_time({metric}[10m]))", "outcome")


def fleet_by_outcome(prometheus: Prometheus) -> dict[str, float]:
    """Return the fleet's counter by outcome; every process that is scraped tells the same."""
    each = "max by (queue, task, outcome) (spinach_fleet_jobs_total)"
    return prometheus.values(f"sum by (outcome) ({each})", "outcome")


@pytest.mark.slow
def test_a_known_workload_is_counted_exactly(
    valkey_server: Server, make_fleet: Callable[..., Fleet], make_prometheus: MakePrometheus
) -> None:
    """500 good, 7 failing, 3 retried, 20 delayed jobs and a killed worker: every figure is exact, in both
    families.
    """
    fleet = make_fleet(valkey_server)
    workers = [fleet.ours(threshold=THRESHOLD_SECONDS, metrics=True) for _ in range(2)]
    engine = fleet.engine()
    instrument(engine, namespace_metrics=False)
    client = serve(engine, port=0)
    records = {record["pid"]: record["metrics_url"] for record in engine.broker.get_all_brokers()}
    pages = [records[worker.pid].removesuffix("/metrics") for worker in workers]
    with exporter(fleet) as exported:
        prometheus = make_prometheus(
            {
                "exporter": target(exported),
                "workers": f'http_sd_configs: [{{url: "{exported}/sd", refresh_interval: 1s}}]',
                "client": target(client.url),
            }
        )
        wait_until(lambda: len(prometheus.query('up{job="workers"} == 1')) == 2, "both workers are scraped")
        schedule(engine)
        others = GOOD - 1 + RETRIED + DELAYED
        wait_until(
            lambda: fleet_by_outcome(prometheus).get("succeeded") == others,
            "all but the one that hangs succeed",
        )
        prometheus.wait_for("max(spinach_running_jobs)", 1)
        # The killed one is asked for the last time when all else is done.
        prometheus.wait_for("sum(spinach_jobs_finished_total)", GOOD - 1 + RETRIED * 2 + DELAYED + FAILING)
        for page in (*pages, exported, client.url):
            check_page(fetch(f"{page}/metrics"))
        (hung,) = fleet.lines("start", tag="good-slow")
        next(worker for worker in workers if worker.pid == hung["pid"]).kill()
        prometheus.wait_for("max(spinach_workers_connected)", 1)
        fleet_jobs = {
            "enqueued": GOOD + FAILING + RETRIED + DELAYED,
            "promoted": DELAYED + RETRIED,
            "started": GOOD + FAILING + RETRIED + DELAYED + RETRIED + 1,
            "succeeded": GOOD + RETRIED + DELAYED,
            "retried": RETRIED,
            "failed": FAILING,
            "recovered": 1,
        }
        wait_until(lambda: fleet_by_outcome(prometheus) == fleet_jobs, "the fleet's counters are exact")
        processes = {"succeeded": GOOD + RETRIED + DELAYED, "retried": RETRIED, "failed": FAILING}
        wait_until(
            lambda: by_outcome(prometheus, "spinach_jobs_finished_total") == processes,
            "the processes' counters are exact",
        )
        value = prometheus.value
        assert value("sum(last_over_time(spinach_jobs_started_total[10m]))") == fleet_jobs["started"]
        assert by_outcome(prometheus, "spinach_jobs_recovered_total") == {"requeued": 1, "failed": 0}
        assert prometheus.values("sum by (status) (spinach_jobs_submitted_total)", "status") == {
            "queued": GOOD + FAILING + RETRIED, "waiting": DELAYED,
        }  # fmt: skip
        assert prometheus.values("sum by (error_type) (last_over_time(spinach_job_errors_total[10m]))",
            "error_type") == {
            "ValueError": FAILING, "spinach.task.RetryException": RETRIED,
        }  # fmt: skip
        attempts = fleet_jobs["started"] - 1  # the killed one never ended
        assert value("sum(last_over_time(spinach_job_duration_seconds_count[10m]))") == attempts
        assert value("max(spinach_fleet_job_duration_seconds_count)") == attempts
        assert value('max(spinach_workers_lost_total{reason="silent"})') == 1
        assert value("max(spinach_dead_letters)") == FAILING
        assert value('max(spinach_queue_depth{queue="spinach"})') == 0
        assert value("max(spinach_scheduled_jobs)") == 0
        assert value("max(spinach_fleet_counters_exact)") == 1
        prometheus.wait_for('max(spinach_workers{state="live"})', 1)
    client.close()
