"""Whoever watches, fails or hangs, no job is failed, delayed beyond its own slot, repeated or lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest

from spinach import Engine, signals
from spinach.stats import NamespaceSnapshot
from spinach_ops import instrument, serve
from tests.fleet import Fleet
from tests.metrics.conftest import MakeEngine
from tests.metrics.test_known_workload import exporter
from tests.prometheus import fetch
from tests.servers import Server
from tests.waiting import wait_until

JOBS = 200


class Counted:
    """A task that counts its runs by argument."""

    def __init__(self, engine: Engine) -> None:
        self.runs: dict[int, int] = {}
        self._engine = engine
        engine._tasks.add(self.run, name="counted")

    def run(self, number: int) -> None:
        self.runs[number] = self.runs.get(number, 0) + 1

    def schedule(self, jobs: int = JOBS) -> None:
        for number in range(jobs):
            self._engine.schedule("counted", number)

    def ran_once(self, jobs: int = JOBS) -> bool:
        return self.runs == dict.fromkeys(range(jobs), 1)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_receivers_that_raise(engine: Engine, error: type[BaseException]) -> None:
    """Whatever receivers of all signals raise, every job runs once and succeeds."""

    def explodes(*_: Any, **__: Any) -> None:
        raise error("on purpose")

    every = [getattr(signals, name) for name in signals.__all__ if name.islower()]
    for each in every:
        each.connect(explodes, sender=engine.namespace)
    task = Counted(engine)
    registry = instrument(engine).registry
    engine.start_workers(3, block=False)
    task.schedule()
    wait_until(task.ran_once)
    name = {
        "spinach_namespace": engine.namespace,
        "queue": "spinach",
        "task": "counted",
        "outcome": "succeeded",
    }
    wait_until(lambda: registry.get_sample_value("spinach_jobs_finished_total", name) == JOBS)
    engine.stop_workers()
    assert engine.stopped_cleanly
    for each in every:
        each.disconnect(explodes)
    assert engine.broker.failed_jobs() == []


def test_a_receiver_that_hangs_costs_one_slot(engine: Engine) -> None:
    """A receiver runs in the thread of its job: that job waits for it, the others do not, and none is
    repeated.
    """
    release, hanging = threading.Event(), threading.Event()

    def hangs(_: str, job: Any) -> None:
        if job.task_args == (0,):
            hanging.set()
            release.wait(30)

    signals.job_started.connect(hangs, sender=engine.namespace)
    task = Counted(engine)
    engine.start_workers(3, block=False)
    task.schedule()
    wait_until(hanging.is_set)
    wait_until(lambda: len(task.runs) == JOBS - 1)
    assert 0 not in task.runs
    release.set()
    wait_until(task.ran_once)
    signals.job_started.disconnect(hangs)
    engine.stop_workers()
    assert engine.stopped_cleanly


def test_scrapers_that_hang(engine: Engine) -> None:
    """Clients that ask and never read, or never ask, while jobs run."""
    task = Counted(engine)
    server = serve(engine, port=0)
    engine.start_workers(2, block=False)
    with contextlib.ExitStack() as clients:
        for sent in [b"", b"GET /metrics HTTP/1.0\r\n\r\n"] * 10:
            client = socket.create_connection(("127.0.0.1", server.port))
            clients.enter_context(contextlib.closing(client))
            client.sendall(sent)
        task.schedule()
        wait_until(task.ran_once)
        engine.stop_workers()
        assert engine.stopped_cleanly
    server.close()


def test_a_look_at_the_broker_that_hangs(engine: Engine) -> None:
    """While a scrape waits for a broker that does not answer it, jobs run, and the workers stop at once."""
    release, asked = threading.Event(), threading.Event()
    look = engine.broker.snapshot

    def hangs(**options: Any) -> NamespaceSnapshot:
        asked.set()
        release.wait(30)
        return look(**options)

    engine.broker.snapshot = hangs  # type: ignore[method-assign]
    task = Counted(engine)
    server = serve(engine, port=0)
    engine.start_workers(2, block=False)
    pages: list[str] = []
    header = {"X-Prometheus-Scrape-Timeout-Seconds": "1.0"}
    scraper = threading.Thread(target=lambda: pages.append(fetch(f"{server.url}/metrics", **header)))
    scraper.start()
    wait_until(asked.is_set)
    task.schedule()
    wait_until(task.ran_once)
    scraper.join(20)
    assert f'spinach_redis_up{{spinach_namespace="{engine.namespace}"}} 0.0' in pages[0]
    assert "spinach_jobs_started_total{" in pages[0]
    assert "spinach_queue_depth{" not in pages[0]
    engine.stop_workers()
    assert engine.stopped_cleanly
    release.set()
    server.close()


def test_a_collector_of_the_application_that_raises(engine: Engine) -> None:
    """The page fails and says so in the log; jobs and health go on."""

    class Broken:
        def collect(self) -> Any:
            raise RuntimeError("on purpose")

        def describe(self) -> list[Any]:
            return []

    instrument(engine).registry.register(Broken())  # type: ignore[arg-type]
    task = Counted(engine)
    server = serve(engine, port=0)
    engine.start_workers(2, block=False)
    task.schedule()
    with pytest.raises(urllib.error.HTTPError, match="500"):
        fetch(f"{server.url}/metrics")
    assert fetch(f"{server.url}/readyz")
    wait_until(task.ran_once)
    server.close()


def test_hooks_that_raise_on_both_sides(make_engine: MakeEngine) -> None:
    """Wrappers of attempts and of enqueue calls that raise when they are called, entered or left."""

    class Explodes:
        def __init__(self, where: str) -> None:
            self.where = where

        def __call__(self, _: object) -> Explodes:
            self._explode("call")
            return self

        def __enter__(self) -> None:
            self._explode("enter")

        def __exit__(self, *_: object) -> None:
            self._explode("exit")

        def _explode(self, where: str) -> None:
            if where == self.where:
                raise RuntimeError("on purpose")

    engine = make_engine()
    for where in ("call", "enter", "exit"):
        engine.wrap_attempts(Explodes(where))  # type: ignore[arg-type]
        engine.wrap_enqueues(Explodes(where))  # type: ignore[arg-type]
    task = Counted(engine)
    engine.start_workers(2, block=False)
    task.schedule()
    wait_until(task.ran_once)
    engine.stop_workers()
    assert engine.stopped_cleanly


@pytest.mark.slow
def test_an_exporter_that_is_killed_or_suspended(
    valkey_server: Server, make_fleet: Callable[..., Fleet]
) -> None:
    """Nothing of the fleet depends on it."""
    fleet = make_fleet(valkey_server)
    fleet.ours(metrics=True)
    engine = fleet.engine()
    with exporter(fleet) as url:
        assert "spinach_queue_depth" in fetch(f"{url}/metrics")
        assert fetch(f"{url}/readyz")
    tags = [f"job-{number}" for number in range(100)]
    for tag in tags:
        engine.schedule("once", tag)
    fleet.wait_for_ends(tags)
    assert set(fleet.starts().values()) == {1}


@pytest.mark.slow
def test_a_server_that_hangs_and_comes_back(
    make_server: Callable[..., Server], make_fleet: Callable[..., Fleet]
) -> None:
    """While the server is suspended the page is served, says so, and keeps the process's own numbers; then
    all is back.
    """
    server = make_server("valkey")
    fleet = make_fleet(server)
    fleet.ours(metrics=True, client={"socket_timeout": 5})
    engine = fleet.engine()
    (record,) = engine.broker.get_all_brokers()
    page = record["metrics_url"]
    engine.schedule("safe", "before")
    fleet.wait_for_ends(["before"])
    up = 'spinach_redis_up{{spinach_namespace="{}"}} {}'.format
    wait_until(lambda: up(fleet.namespace, "1.0") in fetch(page), "the namespace is read")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        header = {"X-Prometheus-Scrape-Timeout-Seconds": "1.0"}
        wait_until(lambda: up(fleet.namespace, "0.0") in fetch(page, **header), "the outage shows")
        assert 'spinach_jobs_started_total{queue="spinach"' in fetch(page, **header)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    engine.schedule("safe", "after")
    fleet.wait_for_ends(["before", "after"])
    wait_until(lambda: up(fleet.namespace, "1.0") in fetch(page), "the namespace is read again")
    assert fleet.starts() == {"before": 1, "after": 1}
