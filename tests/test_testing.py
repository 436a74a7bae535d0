"""The helpers for users' own tests: due jobs run in the test's thread, time passes when a test says so."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spinach import AbortException, Engine, MemoryBroker, RetryException, signals
from spinach.clock import to_datetime
from spinach.exc import UnknownTask
from spinach.job import JobStatus
from spinach.retry import Verdict
from spinach.testing import FakeClock, run_due_jobs, run_until_idle, scheduled_jobs
from tests.engine.conftest import Engines, engines

__all__ = ["engines"]

DOCUMENT = Path(__file__).parent.parent / "docs/testing.md"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine(clock: FakeClock) -> Engine:
    return Engine(MemoryBroker(clock=clock), namespace="tests")


def test_due_jobs_run_in_this_thread_on_any_broker(engines: Engines) -> None:
    """Each due job of each queue runs here, in order, those that they schedule for now included."""
    engine = engines()
    seen: list[Any] = []

    @engine.task(name="parent")
    def parent(number: int) -> None:
        seen.append((number, threading.current_thread()))
        engine.schedule("child", number)

    @engine.task(name="child", queue="other")
    async def child(number: int) -> None:
        seen.append((number, threading.current_thread()))

    engine.schedule("parent", 1)
    engine.schedule("parent", 2)
    assert [job.task_args for job in scheduled_jobs(engine)] == [(1,), (2,)]
    attempts = run_due_jobs(engine)
    assert [attempt.job.task_name for attempt in attempts] == ["parent", "parent", "child", "child"]
    assert {attempt.outcome.verdict for attempt in attempts if attempt.outcome} == {Verdict.SUCCEEDED}
    assert seen == [(number, threading.current_thread()) for number in (1, 2, 1, 2)]
    assert scheduled_jobs(engine) == []
    assert engine.broker.get_all_brokers() == []
    assert run_due_jobs(engine) == []


def test_a_failure_is_stored_as_by_a_worker_on_any_broker(engines: Engines) -> None:
    """What fails for good is a dead letter, what is retried waits, and both are counted."""
    engine = engines()

    @engine.task(name="fails")
    def fails() -> None:
        raise KeyError("lost")

    @engine.task(name="retried", max_retries=1)
    def retried() -> None:
        raise KeyError("again")

    engine.schedule("fails")
    engine.schedule("retried")
    attempts = run_due_jobs(engine, raise_errors=False)
    outcomes = [attempt.outcome for attempt in attempts if attempt.outcome]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.FAILED, Verdict.RETRIED]
    assert [type(outcome.error) for outcome in outcomes] == [KeyError, KeyError]
    (letter,) = engine.broker.failed_jobs()
    assert (letter.task_name, letter.error_type) == ("fails", "KeyError")
    (waiting,) = scheduled_jobs(engine)
    assert (waiting.task_name, waiting.retries, waiting.status) == ("retried", 1, JobStatus.WAITING)
    counters = engine.broker.snapshot().counters or {}
    assert {(task, name): count for (_, task, name), count in counters.items() if name != "enqueued"} == {
        ("fails", "started"): 1, ("fails", "failed"): 1, ("retried", "started"): 1, ("retried", "retried"): 1,
    }  # fmt: skip


def test_an_error_is_raised_once_it_is_stored(engine: Engine) -> None:
    """By default the first error is raised; its job is retried or kept all the same, later jobs stay."""

    @engine.task(name="fails", max_retries=5)
    def fails() -> None:
        raise ValueError("no")

    engine.schedule("fails")
    engine.schedule("fails")
    with pytest.raises(ValueError, match="no"):
        run_due_jobs(engine)
    assert [job.status for job in scheduled_jobs(engine)] == [JobStatus.QUEUED, JobStatus.WAITING]
    assert engine.broker.get_all_brokers() == []


def test_asking_for_a_retry_is_no_error(engine: Engine, clock: FakeClock) -> None:
    """`RetryException` is raised only once no retry is left; `AbortException` is an error."""

    @engine.task(name="polls", max_retries=1)
    def polls() -> None:
        raise RetryException("not yet")

    @engine.task(name="hopeless", max_retries=9)
    def hopeless() -> None:
        raise AbortException("never")

    engine.schedule("polls")
    assert len(run_due_jobs(engine)) == 1
    with pytest.raises(RetryException):
        run_until_idle(engine, clock)
    engine.schedule("hopeless")
    with pytest.raises(AbortException):
        run_until_idle(engine, clock)


@pytest.mark.parametrize("raise_errors", [True, False])
def test_an_interrupt_is_always_raised(engine: Engine, raise_errors: bool) -> None:
    """Control-C in a task ends the test, whatever becomes of errors."""

    @engine.task(name="interrupted")
    def interrupted() -> None:
        raise KeyboardInterrupt

    engine.schedule("interrupted")
    with pytest.raises(KeyboardInterrupt):
        run_due_jobs(engine, raise_errors=raise_errors)


def test_time_passes_when_the_test_says_so(engine: Engine, clock: FakeClock) -> None:
    """A job with a date runs once the clock reaches it; a periodic task once per period."""
    engine.task(lambda: None, name="later")
    engine.task(lambda: None, name="hourly", periodicity=timedelta(hours=1))
    engine.schedule_at("later", to_datetime(clock.now() + 60))
    assert run_due_jobs(engine) == []
    assert [job.status for job in scheduled_jobs(engine)] == [JobStatus.WAITING]
    clock.advance(61)
    assert [attempt.job.task_name for attempt in run_due_jobs(engine)] == ["later"]
    clock.advance(3600)
    assert [attempt.job.task_name for attempt in run_due_jobs(engine)] == ["hourly"]


def test_until_idle_runs_retries_and_future_jobs(engine: Engine, clock: FakeClock) -> None:
    """The clock goes from date to date until no job is left; an error that is retried is not raised."""
    began = clock.now()

    @engine.task(name="flaky", max_retries=2)
    def flaky() -> None:
        if len(seen) < 2:
            seen.append(clock.now())
            raise ValueError("not yet")
        engine.schedule_at("last", to_datetime(clock.now() + 86_400))

    seen: list[float] = []
    engine.task(lambda: None, name="last")
    engine.schedule("flaky")
    attempts = run_until_idle(engine, clock)
    assert [attempt.number for attempt in attempts] == [1, 2, 3, 1]
    assert clock.now() - began > 86_400
    assert scheduled_jobs(engine) == []


def test_endless_work_is_an_error(engine: Engine, clock: FakeClock) -> None:
    """A job that schedules itself ends the call after `limit` attempts, with or without a date."""

    @engine.task(name="endless")
    def endless(seconds: int) -> None:
        engine.schedule_at("endless", to_datetime(clock.now() + seconds), seconds)

    engine.schedule("endless", 0)
    with pytest.raises(RuntimeError, match="after 20 attempts"):
        run_due_jobs(engine, limit=20)
    engine.broker.flush()
    engine.schedule("endless", 60)
    with pytest.raises(RuntimeError, match="after 20 attempts"):
        run_until_idle(engine, clock, limit=20)


def test_a_clock_of_nobody_is_an_error(engine: Engine) -> None:
    """`run_until_idle` needs the clock that the broker follows."""
    engine.task(lambda: None, name="later")
    engine.schedule_at("later", to_datetime(engine.broker.clock.now() + 60))
    with pytest.raises(RuntimeError, match="does not follow this clock"):
        run_until_idle(engine, FakeClock())


def test_unknown_tasks(engine: Engine) -> None:
    """A job whose task is not attached is refused, as by a worker: an error, or a dead letter."""
    store = engine.broker._store  # type: ignore[attr-defined]
    client = Engine(MemoryBroker(store=store), namespace="tests")
    client.task(lambda: None, name="theirs")
    engine.task(lambda: None, name="ours")
    client.schedule("theirs")
    with pytest.raises(UnknownTask, match="theirs"):
        run_due_jobs(engine)
    client.schedule("theirs")
    assert run_due_jobs(engine, raise_errors=False) == []
    assert [letter.task_name for letter in engine.broker.failed_jobs()] == ["theirs", "theirs"]


def test_signals_and_hooks_are_those_of_a_worker(engine: Engine, clock: FakeClock) -> None:
    """Attempts are wrapped and signalled, so that integrations can be tested, too."""
    seen: list[str] = []

    @contextmanager
    def wrapper(attempt: Any) -> Iterator[None]:
        seen.append("in")
        yield
        seen.append(attempt.outcome.verdict.value)

    engine.wrap_attempts(wrapper)
    engine.task(lambda: seen.append("runs"), name="runs")
    engine.schedule_at("runs", to_datetime(clock.now() + 1))
    clock.advance(1)
    with (
        signals.job_promoted.connected_to(lambda _ns, **_facts: seen.append("promoted"), sender="tests"),
        signals.job_succeeded.connected_to(lambda _ns, **_facts: seen.append("signal"), sender="tests"),
    ):
        run_due_jobs(engine)
    assert seen == ["promoted", "in", "runs", "signal", "succeeded"]


def test_more_jobs_than_one_page_are_an_error(engine: Engine) -> None:
    """`scheduled_jobs` returns all or says that it cannot."""
    engine.task(lambda: None, name="many")
    for _ in range(201):
        engine.schedule("many")
    with pytest.raises(RuntimeError, match="more than 200"):
        scheduled_jobs(engine)


def test_running_workers_are_refused(engine: Engine) -> None:
    """While workers of the engine run, the jobs are theirs."""
    engine.start_workers(1, block=False)
    try:
        with pytest.raises(RuntimeError, match="stop_workers"):
            run_due_jobs(engine)
    finally:
        engine.stop_workers()


def test_the_document_shows_what_works() -> None:
    """Every block of Python in docs/testing.md runs, in order, as one program; its tests pass."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # the document's own code
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) >= 2
    for test in tests:
        test()
