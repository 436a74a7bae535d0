"""The hooks beyond wrappers: batches are known, origins are told, duties start with nothing around them."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spinach import AsyncioWorkers, Batch, Engine, ThreadWorkers
from spinach.job import Job
from spinach.origin import Origin, mark, mark_recovered, origin_of, recovered_from
from tests.engine.conftest import Engines
from tests.waiting import wait_until


def test_an_enqueue_wrapper_knows_a_batch(engines: Engines) -> None:
    """A batch of one job is told apart from a single job; a wrapper may decline with None."""
    engine = engines()
    engine.task(lambda: None, name="task")
    seen: list[tuple[int, bool]] = []

    def note(jobs: Any) -> None:
        seen.append((len(jobs), jobs.is_batch))

    engine.wrap_enqueues(note)
    engine.schedule("task")
    batch = Batch()
    batch.schedule("task")
    engine.schedule_batch(batch)
    assert seen == [(1, False), (1, True)]


def test_a_mark_counts_for_one_attempt() -> None:
    """An origin is that of the attempt it was written for; moved on by others, the job has none."""
    from spinach.clock import SystemClock, to_datetime

    job = Job("task", "queue", to_datetime(SystemClock().now()), 3)
    assert origin_of(job, 1) is None
    job.headers = {"mine": "1"}
    mark(job, Origin.BATCH)
    assert (origin_of(job, 1), origin_of(job, 2), job.headers["mine"]) == (Origin.BATCH, None, "1")
    job.retries = 1
    mark_recovered(job, "w" * 1000)
    assert origin_of(job, 2) is Origin.RECOVERY
    assert recovered_from(job, 2) == "w" * 100
    assert recovered_from(job, 3) is None
    for foreign, told in (("w" * 1000, "w" * 100), ("\ud800", None), ("d\u00fcrer", None), ("", None)):
        job.headers = {"spinach-origin": "recovery 2", "spinach-recovered-from": foreign}
        assert recovered_from(job, 2) == told
    job.headers = {"spinach-origin": "recovery 2"}
    assert recovered_from(job, 2) is None
    for foreign in ("", "client", "client x", " 1", "nonsense 2"):
        job.headers = {"spinach-origin": foreign}
        assert origin_of(job, 2) is None


def test_a_periodic_job_says_so(engines: Engines) -> None:
    """A job that a timer started is marked."""
    from datetime import timedelta

    engine = engines()
    seen: list[Any] = []
    engine.task(lambda: None, name="tick", periodicity=timedelta(seconds=1))
    engine.wrap_attempts(lambda attempt: seen.append(origin_of(attempt.job, attempt.number)))
    engine.start_workers(1, block=False)
    wait_until(lambda: seen)
    assert seen[0] is Origin.PERIODIC


CURRENT: contextvars.ContextVar[str] = contextvars.ContextVar("CURRENT", default="nothing")


@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
def test_workers_and_duties_start_in_an_empty_context(engines: Engines, workers: Any) -> None:
    """What is current where workers are started is not current in jobs, nor in background duties."""
    engine: Engine = engines()
    seen: dict[str, str] = {}

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        seen[threading.current_thread().name.removeprefix(engine.namespace)] = CURRENT.get()
        CURRENT.set("a duty")
        yield
        seen["left"] = "yes"

    def explodes() -> Any:
        raise RuntimeError("on purpose")

    engine.wrap_services(explodes)
    engine.wrap_services(around)
    engine.task(lambda: seen.update(job=CURRENT.get()), name="task")
    token = CURRENT.set("a request")
    try:
        engine.start_workers(1, block=False, workers_class=workers)
        engine.schedule("task")
        wait_until(lambda: "job" in seen)
        engine.stop_workers()
    finally:
        CURRENT.reset(token)
    assert seen == {
        "-broker-subscriber": "nothing", "-result-notifier": "nothing", "-heartbeat": "nothing",
        "-rescuer": "nothing", "-arbiter": "nothing", "job": "nothing", "left": "yes",
    }  # fmt: skip


def test_a_broker_tells_its_endpoint(engines: Engines) -> None:
    """Host and port of the server; nothing for memory, which has none."""
    endpoint = engines().broker.endpoint
    assert endpoint == (None if engines.server is None else ("127.0.0.1", engines.server.port))


def test_an_interrupt_while_wrappers_are_entered_leaves_nothing_behind(engines: Engines) -> None:
    """What was entered is left again, and the interrupt goes on to the caller."""
    engine = engines()
    engine.task(lambda: None, name="task")
    log: list[str] = []

    @contextlib.contextmanager
    def first(_jobs: Any) -> Iterator[None]:
        log.append("entered")
        try:
            yield
        finally:
            log.append("left")

    def interrupted(_jobs: Any) -> None:
        raise KeyboardInterrupt

    engine.wrap_enqueues(first)
    engine.wrap_enqueues(interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.schedule("task")
    assert log == ["entered", "left"]


def test_a_wrapper_that_takes_itself_away_costs_no_other_one(engines: Engines) -> None:
    """The next wrapper is entered all the same."""
    engine = engines()
    engine.task(lambda: None, name="task")
    entered: list[str] = []
    removals: list[Any] = []

    def once(_attempt: Any) -> None:
        entered.append("once")
        removals.pop()()

    def always(_attempt: Any) -> None:
        entered.append("always")

    removals.append(engine.wrap_attempts(once))
    engine.wrap_attempts(always)
    engine.start_workers(1, block=False)
    engine.schedule("task")
    wait_until(lambda: entered == ["once", "always"])


def test_errors_of_the_broker_can_be_printed() -> None:
    """Whatever the client library's own errors do: logs, debuggers and gatherings print errors with
    `repr`.
    """
    from spinach.brokers.redis import connection

    for kind in (
        connection.RedisUnavailable,
        connection.RedisUncertain,
        connection.RedisNotPermitted,
        connection.ConnectionLost,
    ):
        assert repr(kind("gone")) == f"{kind.__name__}('gone')"
