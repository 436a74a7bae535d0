"""What a task may raise, return or do, and what becomes of its job."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from spinach import AbortException, AsyncioWorkers, Batch, RetryException, Tasks, ThreadWorkers, signals
from spinach.error_text import traceback_of
from spinach.exc import UnknownTask
from spinach.job import JobStatus
from tests.engine.conftest import Engines, Recorder
from tests.waiting import wait_until

BOTH_WORKERS = pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])


@BOTH_WORKERS
@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, asyncio.CancelledError]
)
def test_whatever_a_task_raises_ends_as_a_failure(
    engines: Engines, recorder: Recorder, workers: Any, error: type[BaseException]
) -> None:
    """An exception of any kind ends as a dead letter, and the workers go on."""
    engine = engines()

    @engine.task(name="raises")
    def raises() -> None:
        raise error("on purpose")

    @engine.task(name="after")
    def after() -> None: ...

    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("raises")
    engine.schedule("after")
    wait_until(lambda: "job_finished" in recorder.of("after"))
    assert recorder.of("raises") == ["job_queued", "job_started", "job_failed", "job_finished"]
    letter = wait_until(engine._broker.failed_jobs)[0]
    assert letter.error_type.rpartition(".")[2] == error.__name__
    assert "on purpose" in letter.traceback


@BOTH_WORKERS
@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_whatever_a_coroutine_raises_ends_as_a_failure(
    engines: Engines, recorder: Recorder, workers: Any, error: type[BaseException]
) -> None:
    """A coroutine function may raise as freely as a plain one."""
    engine = engines()

    @engine.task(name="raises")
    async def raises() -> None:
        await asyncio.sleep(0)
        raise error("on purpose")

    @engine.task(name="after")
    async def after() -> None: ...

    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("raises")
    engine.schedule("after")
    wait_until(lambda: "job_finished" in recorder.of("after"))
    assert recorder.of("raises") == ["job_queued", "job_started", "job_failed", "job_finished"]


@BOTH_WORKERS
def test_a_returned_coroutine_is_run(engines: Engines, workers: Any) -> None:
    """A plain function that returns a coroutine without awaiting it has it run to its end."""
    engine = engines()
    ran = threading.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        ran.set()

    engine._tasks.add(lambda: work(), name="indirect")  # noqa: PLW0108 - a plain function, on purpose
    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("indirect")
    assert ran.wait(10)


def test_n_retries_give_n_plus_one_executions_under_one_id(engines: Engines, recorder: Recorder) -> None:
    """`max_retries=2` runs three times, keeps the id, and then fails."""
    engine = engines()
    ids = []

    @engine.task(name="flaky", max_retries=2)
    def flaky() -> None:
        raise RetryException("again", at=datetime.now(timezone.utc))

    signals.job_started.connect(receiver := lambda _ns, job: ids.append(job.id), sender=engine.namespace)
    engine.start_workers(2, block=False)
    job = engine.schedule("flaky")
    wait_until(lambda: recorder.facts("job_failed"))
    signals.job_started.disconnect(receiver)
    assert ids == [job.id] * 3
    assert [facts["attempt"] for facts in recorder.facts("job_started")] == [1, 2, 3]
    assert len(recorder.facts("job_schedule_retry")) == 2


def test_abort_ends_the_retries(engines: Engines, recorder: Recorder) -> None:
    """`AbortException` fails at once and sets `retries` to `max_retries`."""
    engine = engines()

    @engine.task(name="hopeless", max_retries=10)
    def hopeless() -> None:
        raise AbortException("never")

    engine.start_workers(1, block=False)
    engine.schedule("hopeless")
    (facts,) = wait_until(lambda: recorder.facts("job_failed"))
    assert facts["job"].retries == 10
    assert not recorder.facts("job_schedule_retry")


def test_a_naive_retry_date_is_utc(engines: Engines, recorder: Recorder) -> None:
    """`RetryException.at` without a zone means UTC."""
    engine = engines()
    at = datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(hours=1)

    @engine.task(name="later", max_retries=1)
    def later() -> None:
        raise RetryException("later", at=at)

    engine.start_workers(1, block=False)
    engine.schedule("later")
    (facts,) = wait_until(lambda: recorder.facts("job_schedule_retry"))
    assert facts["job"].at == at.replace(tzinfo=timezone.utc)
    assert facts["seen_status"] is JobStatus.NOT_SET


def test_failure_signals_are_sent_while_the_exception_is_handled(engines: Engines) -> None:
    """Receivers may ask `sys.exc_info()`, in the worker's thread, and see the final status."""
    engine = engines()
    seen = []

    @engine.task(name="raises")
    def raises() -> None:
        raise KeyError("lost")

    def receiver(_sender: str, job: Any, err: Any) -> None:
        seen.append((sys.exc_info()[0], job.status, threading.current_thread().name, type(err)))

    with signals.job_failed.connected_to(receiver, sender=engine.namespace):
        engine.start_workers(1, block=False)
        engine.schedule("raises")
        wait_until(lambda: seen)
    assert seen == [(KeyError, JobStatus.FAILED, f"{engine.namespace}-worker-1", KeyError)]


def test_receivers_that_raise_harm_nothing(engines: Engines, recorder: Recorder) -> None:
    """A receiver may raise anything, at every signal: the job runs and later receivers are called."""
    engine = engines()

    def bad(_sender: str, **_facts: Any) -> None:
        raise SystemExit("receiver")

    for name in ("job_queued", "job_started", "job_succeeded", "job_finished"):
        getattr(signals, name).connect(bad, sender=engine.namespace)
    ran = threading.Event()
    engine._tasks.add(ran.set, name="runs")
    engine.start_workers(1, block=False)
    engine.schedule("runs")
    assert ran.wait(10)
    wait_until(lambda: recorder.of("runs") == ["job_queued", "job_started", "job_succeeded", "job_finished"])
    wait_until(
        lambda: (
            {facts["signal"] for facts in recorder.facts("receiver_failed")} >= {"job_queued", "job_finished"}
        )
    )


def test_tasks_schedule_tasks(engines: Engines, recorder: Recorder) -> None:
    """A task may schedule jobs on its own engine, even with one worker."""
    engine = engines()

    @engine.task(name="parent")
    def parent(depth: int) -> None:
        if depth:
            engine.schedule("parent", depth - 1)

    engine.start_workers(1, block=False)
    engine.schedule("parent", 5)
    wait_until(lambda: recorder.of("parent").count("job_finished") == 6)


@BOTH_WORKERS
def test_a_fork_in_a_task_reports_once(redis_engines: Engines, tmp_path: Any, workers: Any) -> None:
    """A child that a task forked and that falls out of the function ends, and the job is reported once."""
    engine = redis_engines()
    pids = tmp_path / "pids"

    @engine.task(name="forks")
    def forks() -> None:
        pid = os.fork()
        if pid:
            with pids.open("a") as file:
                file.write(f"{pid}\n")
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0

    @engine.task(name="after")
    def after() -> None: ...

    recorder = Recorder(engine.namespace)
    engine.start_workers(2, block=False, workers_class=workers)
    engine.schedule("forks")
    wait_until(lambda: "job_finished" in recorder.of("forks"))
    engine.schedule("after")
    wait_until(lambda: "job_finished" in recorder.of("after"))
    recorder.close()
    assert recorder.of("forks") == ["job_queued", "job_started", "job_succeeded", "job_finished"]
    assert len(pids.read_text().split()) == 1


def test_unknown_tasks_fail_without_starting(engines: Engines, recorder: Recorder) -> None:
    """A job whose task the worker does not know fails with `UnknownTask`, unstarted, retried when it may
    be.
    """
    client = engines()
    client._tasks.add(lambda: None, name="unknown")
    client._tasks.add(lambda: None, name="unknown-retryable", max_retries=1)
    worker = engines()
    worker.start_workers(1, block=False)
    client.schedule("unknown")
    client.schedule("unknown-retryable")
    wait_until(lambda: recorder.facts("job_failed") and recorder.facts("job_schedule_retry"))
    assert recorder.of("unknown") == ["job_queued", "job_failed"]
    assert "known tasks" in str(recorder.facts("job_failed")[0]["err"])
    wait_until(
        lambda: recorder.of("unknown-retryable") == ["job_queued", "job_schedule_retry", "job_waiting"]
    )


def test_any_number_of_unknown_tasks_holds_nothing_up(engines: Engines, recorder: Recorder) -> None:
    """Jobs of a task that is gone from the code, by the thousand, fail; the job behind them runs."""
    client, worker = engines(), engines()
    client._tasks.add(lambda: None, name="gone")
    for engine in (client, worker):
        engine._tasks.add(lambda: None, name="here")
    batch = Batch()
    for _ in range(3_000):
        batch.schedule("gone")
    batch.schedule("here")
    client.schedule_batch(batch)
    worker.start_workers(1, block=False)
    wait_until(lambda: "job_succeeded" in recorder.of("here"))
    wait_until(lambda: recorder.of("gone").count("job_failed") == 3_000)


def test_arguments_changed_by_the_task_do_not_reach_the_retry(engines: Engines) -> None:
    """A retry gets what the client sent, whatever the first attempt did to its arguments."""
    engine = engines()
    seen: list[Any] = []

    @engine.task(name="greedy", max_retries=1)
    def greedy(items: list[int]) -> None:
        seen.append(list(items))
        items.clear()
        if len(seen) == 1:
            raise RetryException("again", at=datetime.now(timezone.utc))

    engine.start_workers(1, block=False)
    engine.schedule("greedy", [1, 2, 3])
    wait_until(lambda: len(seen) == 2)
    assert seen == [[1, 2, 3], [1, 2, 3]]


@BOTH_WORKERS
def test_a_task_says_why_it_fails_before_its_first_dead_letter(engines: Engines, workers: Any) -> None:
    """The error of an attempt that will be repeated is kept, and its traceback begins in the application."""
    engine = engines()

    @engine.task(name="breaks", max_retries=5)
    def breaks() -> None:
        try:
            int("the cause")
        except ValueError as error:
            raise LookupError("no such key") from error

    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("breaks")
    (group,) = wait_until(engine._broker.failure_groups)
    assert (group.task_name, group.error_type, group.count, group.attempts) == ("breaks", "LookupError", 0, 1)
    assert group.sample_message == "no such key"
    cause, _, error = group.sample_traceback.partition("The above exception was the direct cause")
    for part in (cause, error):
        first_frame = next(line for line in part.splitlines() if line.startswith("  File "))
        assert __file__ in first_frame
        assert "in breaks" in first_frame
    assert "the cause" in cause


def test_notes_and_groups_are_in_a_traceback() -> None:
    """What Python itself would print is kept; an error that only we raised keeps all its frames."""
    inner = ValueError("inner")
    inner.add_note("see the manual")
    text = traceback_of(ExceptionGroup("many", [inner, KeyError("other")]))
    assert "see the manual" in text
    assert "KeyError: 'other'" in text
    with pytest.raises(UnknownTask) as unknown:
        Tasks().get("missing")
    assert "task.py" in traceback_of(unknown.value)
