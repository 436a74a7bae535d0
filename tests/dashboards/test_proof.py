"""The proof: a mixed load, scraped by a real Prometheus, which answers every expression of every dashboard.

One run for all tests of this module: load for some seconds, one worker killed on the way, everything drained.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dashboards.expressions import queries_in, variable_queries_in
from examples.observe.settings import KILLED_WORKER, NAMESPACE, ORDERS_QUEUE, WORKERS
from examples.shared.child_process import ChildProcess, command_of, free_port
from spinach_ops.metrics.catalog import METRICS
from tests.dashboards.helpers import FILES, FOLDER, filled, load
from tests.prometheus import Prometheus, binary, fetch, running
from tests.servers import running as running_server
from tests.waiting import wait_until

# One process runs them all: they share one run.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("proof")]

LOAD_SECONDS = 12.0
KILL_AFTER_SECONDS = 4.0
INTERVAL = "8s"
# Their jobs all end within the load and some seconds; those of `order:authorise` are retried for as long as
# it takes.
DRAINED = ("order:charge", "order:remind", "order:deliver", "mail:send", "report:build")
# What is known from workers alone.
FROM_WORKERS = {"Jobs in and out A", "Failure ratio A", "Slots busy A", "Queues C", "Time in the queue A"}
# What fires in a minute when nothing has to last.
FIRING = {"SpinachDeadLettersGrowing", "SpinachWorkerDead"}


@dataclass(frozen=True, slots=True)
class Proof:
    """What the run left: a Prometheus with its samples, and what the load says it scheduled."""

    prometheus: Prometheus
    began: float
    scheduled: dict[str, int]

    def samples(self, expr: str) -> list[float]:
        """Return every value that an expression had during the run, numbers only."""
        given = urllib.parse.urlencode({"query": expr, "start": self.began, "end": time.time(), "step": "1s"})
        with urllib.request.urlopen(f"{self.prometheus.url}/api/v1/query_range?{given}", timeout=30) as reply:
            series: list[dict[str, Any]] = json.load(reply)["data"]["result"]
        values = [float(value) for one in series for _, value in one["values"]]
        return [value for value in values if math.isfinite(value)]

    def total(self, outcome: str, task: str) -> float:
        """Return what Redis counted, as Prometheus has it."""
        selector = (
            f'spinach_fleet_jobs_total{{spinach_namespace="{NAMESPACE}",outcome="{outcome}",task="{task}"}}'
        )
        # Every worker serves what stands in Redis, and so does the exporter: each says the same.
        return self.prometheus.value(f"sum(max by (queue, task) ({selector}))") or 0.0


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    binary("prometheus")
    folder = tmp_path_factory.mktemp("proof")
    rules = hasty_rules(folder)
    with contextlib.ExitStack() as started:
        server = started.enter_context(running_server("valkey", tmp_path_factory.mktemp("valkey")))
        exporter = start_exporter(folder, server.url, started)
        jobs = {
            "exporter": f"static_configs: [{{targets: ['{exporter}']}}]",
            "workers": f"http_sd_configs: [{{url: 'http://{exporter}/sd', refresh_interval: 1s}}]",
            "processes": f"http_sd_configs: [{{url: 'http://{exporter}/sd', refresh_interval: 1s}}], "
            + _dropped(),
        }
        prometheus = started.enter_context(running(folder, jobs, rules))
        workers = {
            worker.name: start_worker(worker.name, worker.queue, worker.threads, folder, server.url, started)
            for worker in WORKERS
        }
        wait_until(
            lambda: prometheus.value('count(spinach_worker_slots{job="processes"})') == len(WORKERS),
            "all workers are scraped",
        )
        began = time.time()
        scheduled = run_load(folder, server.url, workers[KILLED_WORKER])
        wait_until(lambda: is_drained(prometheus, scheduled), "all jobs have ended", 60)
        # Growth is measured over minutes: it takes seconds to see that a queue which grew before now drains.
        wait_until(lambda: prometheus.query("spinach:queue_drain_seconds"), "a queue is seen to drain")
        yield Proof(prometheus, began, scheduled)


def hasty_rules(folder: Path) -> list[str]:
    """Return files of the rules, all evaluated every second, with alerts that fire at once."""
    found = []
    for path in sorted((FOLDER / "rules").glob("*.yml")):
        hasty = folder / path.name
        hasty.write_text(
            re.sub(r" +(?:for|interval): .*\n", "", path.read_text(encoding="utf-8")), encoding="utf-8"
        )
        found.append(str(hasty))
    return found


def _dropped() -> str:
    """Return what makes Prometheus keep of workers what they count themselves."""
    names = "|".join(f"{metric.name}.*" for metric in METRICS if metric.family == "namespace")
    return f"metric_relabel_configs: [{{source_labels: [__name__], regex: '{names}', action: drop}}]"


def start_exporter(folder: Path, url: str, started: contextlib.ExitStack) -> str:
    address = f"127.0.0.1:{free_port()}"
    command = [
        *command_of("spinach-ops", "spinach_ops.commands.main"),
        "exporter",
        "--listen",
        address,
        "--redis",
        url,
    ]
    child = ChildProcess("exporter", [*command, "--namespace", NAMESPACE, "--cache", "0.5s"], folder)
    started.callback(child.stop)
    child.await_answer(f"http://{address}/healthz")
    return address


def start_worker(
    name: str, queue: str, threads: int, folder: Path, url: str, started: contextlib.ExitStack
) -> ChildProcess:
    command = [*command_of("spinach", "spinach_ops.worker.cli"), "worker", "examples.observe.app:engine"]
    command += ["--queue", queue, "--threads", str(threads), "--metrics-port", "0"]
    child = ChildProcess(name, command, folder, {"SPINACH_REDIS_URL": url})
    started.callback(child.stop)
    return child


def run_load(folder: Path, url: str, victim: ChildProcess) -> dict[str, int]:
    """Run the load, kill a worker meanwhile; return what was scheduled, by task."""
    with (folder / "load.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.observe.load"], env={**os.environ, "SPINACH_REDIS_URL": url},
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    with contextlib.ExitStack() as ending:
        ending.callback(process.kill)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > KILL_AFTER_SECONDS, "the time to kill")
        victim.kill()
        wait_until(lambda: time.monotonic() - began > LOAD_SECONDS, "the load's time")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, (folder / "load.log").read_text()
    found: dict[str, int] = json.loads(output)
    return found


def is_drained(prometheus: Prometheus, scheduled: dict[str, int]) -> bool:
    """Whether every job of the tasks that end soon has ended, as scraped."""
    each = 'max by (task, outcome) (spinach_fleet_jobs_total{job="exporter",outcome=~"succeeded|failed"})'
    ended = prometheus.values(f"sum by (task) ({each})", "task")
    return all(ended.get(task, 0) >= scheduled[task] for task in DRAINED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_expression_has_data(proof: Proof, path: Path) -> None:
    """Every expression of a dashboard gives data under a mixed load: panels, annotations and variables."""
    dashboard = load(path)
    empty = [
        query.where
        for query in queries_in(dashboard)
        if not proof.samples(filled(query.expr, interval=INTERVAL, span="1m", namespace=NAMESPACE))
    ]
    assert empty == []
    for name, selector, label in variable_queries_in(dashboard):
        given = urllib.parse.urlencode({"match[]": filled(selector, namespace=NAMESPACE)})
        values = json.loads(fetch(f"{proof.prometheus.url}/api/v1/label/{label}/values?{given}"))["data"]
        assert values, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_columns_of_tables_meet_in_rows(proof: Proof, path: Path) -> None:
    """All columns of a table have the same labels, and each of those a heading: else rows would not merge."""
    for panel in load(path)["panels"]:
        if panel["type"] != "table":
            continue
        headings = panel["transformations"][-1]["options"]["renameByName"]
        for target in panel["targets"]:
            expr = filled(target["expr"], interval="1m", span="1m", namespace=NAMESPACE)
            for one in proof.prometheus.query(expr):
                assert set(one["metric"]) <= headings.keys(), target["expr"]
                assert len(panel["targets"]) == 1 or set(one["metric"]) == {"queue"}, target["expr"]


def test_panels_fall_back_to_the_workers(proof: Proof) -> None:
    """Where nothing reads Redis, panels that workers know enough for show what workers count."""
    path = next(path for path in FILES if path.stem == "spinach-overview")
    found = {
        query.where
        for query in queries_in(load(path))
        if not query.where.startswith("annotation")
        and proof.samples(filled(query.expr, interval=INTERVAL, namespace=NAMESPACE, job=["processes"]))
    }
    assert found >= FROM_WORKERS


def test_one_queue_can_be_chosen(proof: Proof) -> None:
    """With one queue chosen, panels that depend on queues show that one alone."""
    path = next(path for path in FILES if path.stem == "spinach-overview")
    for query in queries_in(load(path)):
        if query.where.startswith("Queues") and not query.where.endswith("D"):
            expr = filled(query.expr, interval="1m", namespace=NAMESPACE, queue=[ORDERS_QUEUE])
            assert set(proof.prometheus.values(expr, "queue")) == {ORDERS_QUEUE}


def test_totals_are_those_of_the_load(proof: Proof) -> None:
    """Totals in Prometheus equal what the load counted itself, although a worker was killed on the way."""
    assert proof.scheduled
    for task, count in proof.scheduled.items():
        assert proof.total("enqueued", task) == count, task
    for task in set(DRAINED) - {"order:deliver"}:
        assert proof.total("succeeded", task) == proof.scheduled[task], task
        assert proof.total("failed", task) == 0, task
    assert proof.total("failed", "order:deliver") == proof.scheduled["order:deliver"]
    every = 'sum(max by (queue, task) (spinach_fleet_jobs_total{outcome="failed"}))'
    assert proof.prometheus.value("max(spinach_dead_letters)") == proof.prometheus.value(every)


def test_workers_count_the_same(proof: Proof) -> None:
    """Where no worker was killed, what workers count equals what Redis counts."""
    for task in ("mail:send", "report:build"):
        counted = f'sum(spinach_jobs_finished_total{{job="processes",outcome="succeeded",task="{task}"}})'
        proof.prometheus.wait_for(counted, proof.scheduled[task])  # scraped a second later, maybe
        assert proof.total("succeeded", task) == proof.scheduled[task]


def test_killed_worker_is_seen(proof: Proof) -> None:
    """A killed worker is counted as lost, and its jobs are recovered."""
    wait_until(
        lambda: proof.prometheus.value("sum(max by (reason) (spinach_workers_lost_total))") == 1,
        "one worker is lost",
    )
    assert min(proof.samples("max(spinach_workers_connected)")) == len(WORKERS) - 1


def test_rules_see_what_happened(proof: Proof) -> None:
    """Every recording rule has data, and of the alerts those fire that this run gives reason for."""
    wait_until(
        lambda: proof.prometheus.values('ALERTS{alertstate="firing"}', "alertname").keys() >= FIRING,
        "alerts fire",
    )
    text = (FOLDER / "rules" / "recording.yml").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"record: (\S+)", text) if not proof.samples(name)] == []
    assert "SpinachExporterDown" not in proof.prometheus.values("ALERTS", "alertname")
    assert proof.prometheus.query('ALERTS{alertname="SpinachQueueStuck"}') == []
