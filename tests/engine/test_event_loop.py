"""What a job does to its event loop reaches no other job."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import logging
import sys
import threading
from typing import Any

import pytest

from spinach import AsyncioWorkers, Engine, ThreadWorkers
from spinach_ops.web.health import liveness
from tests.engine.conftest import Engines, Recorder
from tests.waiting import wait_until

BOTH_WORKERS = pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def exits_in_child() -> None:
    async def child() -> None:
        sys.exit(3)

    await asyncio.create_task(child())


async def leaves_exiting_child() -> None:
    async def child() -> None:
        sys.exit(3)

    asyncio.create_task(child())  # noqa: RUF006 - the fault
    await asyncio.sleep(0.05)


async def interrupts_in_child() -> None:
    async def child() -> None:
        raise KeyboardInterrupt

    await asyncio.gather(child(), asyncio.sleep(0.01))


async def exits_itself() -> None:
    sys.exit(1)


async def cancels_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(1)


async def stops_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.02)
    raise ValueError("after the stop")


async def exits_in_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit)
    asyncio.get_running_loop().call_later(0.01, sys.exit)
    await asyncio.sleep(0.05)
    raise ValueError("after the exit")


async def closes_loop() -> None:
    asyncio.get_running_loop().close()


FAULTS = [
    exits_in_child, leaves_exiting_child, interrupts_in_child, exits_itself, cancels_all, stops_loop,
    exits_in_callback, closes_loop,
]  # fmt: skip


@BOTH_WORKERS
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_only_the_job_at_fault_fails(engines: Engines, recorder: Recorder, workers: Any, fault: Any) -> None:
    """A job that exits, stops the loop or cancels other tasks fails; those beside and behind it succeed."""
    engine = engines()
    engine._tasks.add(fault, name="fault")

    @engine.task(name="innocent")
    async def innocent() -> None:
        await asyncio.sleep(0.15)

    engine.start_workers(4, block=False, workers_class=workers)
    for task in ["innocent", "innocent", "fault", "innocent", "innocent", "innocent"]:
        engine.schedule(task)
    wait_until(lambda: recorder.of("innocent").count("job_finished") == 5)
    wait_until(lambda: "job_finished" in recorder.of("fault"))
    assert recorder.of("innocent").count("job_succeeded") == 5
    assert "job_failed" in recorder.of("fault")
    engine.stop_workers()
    assert engine.stopped_cleanly
    assert [thread for thread in threading.enumerate() if thread.name.startswith(engine.namespace)] == []


async def breaks_loop() -> None:
    """Do what a faulty extension module may do: close the files that the loop is made of."""
    loop: Any = asyncio.get_running_loop()
    for part in (loop._selector, loop._ssock, loop._csock):
        part.close()
    await asyncio.sleep(30)


def test_a_loop_that_dies_is_replaced(
    engines: Engines, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs on it fail with that reason; those that wait, and later ones, run on a new loop."""
    engine = engines()
    engine._tasks.add(breaks_loop, name="fault")
    begun = threading.Event()

    @engine.task(name="beside", max_retries=1)
    async def beside() -> None:
        if not begun.is_set():
            begun.set()
            await asyncio.sleep(30)

    @engine.task(name="after")
    async def after() -> None: ...

    engine.start_workers(2, block=False, workers_class=AsyncioWorkers)
    engine.schedule("beside")
    assert begun.wait(20)
    engine.schedule("fault")
    for _ in range(5):
        engine.schedule("after")
    wait_until(lambda: recorder.of("after").count("job_succeeded") == 5)
    wait_until(lambda: "job_failed" in recorder.of("fault"))
    wait_until(lambda: "job_succeeded" in recorder.of("beside"))
    assert "job_schedule_retry" in recorder.of("beside")
    engine.stop_workers()
    assert engine.stopped_cleanly
    (line,) = [each for each in caplog.records if getattr(each, "action", "") == "loop_died"]
    assert line.levelno == logging.CRITICAL


def test_a_blocked_loop_is_told(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine that blocks stops every job of the worker: the log says so once, and the health check."""
    monkeypatch.setattr("spinach.runtime.supervisor._SILENCE_SECONDS", 1.0)
    monkeypatch.setattr("spinach.worker.aio._MOVE_SECONDS", 0.05)
    monkeypatch.setattr("spinach_ops.web.health._SHORTEST_SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(type(engines().broker), "heartbeat_seconds", 0.05)
    engine = engines()
    release = threading.Event()

    @engine.task(name="blocks")
    async def blocks() -> None:
        release.wait(30)

    engine.start_workers(2, block=False, workers_class=AsyncioWorkers)
    try:
        wait_until(lambda: _workers_check(engine).ok)
        engine.schedule("blocks")
        wait_until(lambda: not _workers_check(engine).ok)
        wait_until(lambda: _lines(caplog) == 1)
        wait_until(lambda: engine.broker.snapshot().workers[0].state == "blocked")
        release.set()
        wait_until(lambda: engine.broker.snapshot().workers[0].state == "live")
        wait_until(lambda: _workers_check(engine).ok)
    finally:
        release.set()
        engine.stop_workers()
    assert _lines(caplog) == 1


def _workers_check(engine: Engine) -> Any:
    (check,) = [check for check in liveness(engine.vitals).checks if check.name == "workers"]
    return check


def _lines(caplog: pytest.LogCaptureFixture) -> int:
    return sum(getattr(record, "action", "") == "loop_blocked" for record in caplog.records)


@BOTH_WORKERS
def test_tasks_that_a_job_leaves_are_cancelled(
    engines: Engines, recorder: Recorder, workers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What `create_task` started and nobody awaited ends with its job, with a warning."""
    engine = engines()
    seen: list[str] = []

    async def forgotten() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    @engine.task(name="leaves")
    async def leaves() -> None:
        asyncio.create_task(forgotten())  # noqa: RUF006 - the fault
        await asyncio.sleep(0)

    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("leaves")
    wait_until(lambda: "job_finished" in recorder.of("leaves"))
    assert seen == ["cancelled"]
    assert "job_succeeded" in recorder.of("leaves")
    assert "1 of its asyncio tasks" in caplog.text


@BOTH_WORKERS
def test_timeouts_and_groups_work_as_ever(engines: Engines, recorder: Recorder, workers: Any) -> None:
    """A job may cancel its own tasks: `timeout`, `wait_for`, a task group, its own handle."""
    engine = engines()

    @engine.task(name="own")
    async def own() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        except TimeoutError:
            pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(5), 0.01)
        with pytest.raises(ExceptionGroup):
            await in_a_group()
        handle = asyncio.create_task(asyncio.sleep(5))
        await asyncio.sleep(0)
        handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle
        assert await asyncio.to_thread(lambda: 7) == 7

    async def fail() -> None:
        raise ValueError("on purpose")

    async def in_a_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5))
            group.create_task(fail())

    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("own")
    wait_until(lambda: "job_finished" in recorder.of("own"))
    assert "job_succeeded" in recorder.of("own")


@BOTH_WORKERS
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_context_variables_do_not_reach_the_next_job(engines: Engines, workers: Any, kind: str) -> None:
    """A context variable, or the precision of decimals, is as new for each job."""
    engine = engines()
    seen: list[tuple[str, int]] = []

    def note() -> None:
        seen.append((variable.get(), decimal.getcontext().prec))
        variable.set("leaked")
        decimal.getcontext().prec = 5

    async def note_later() -> None:
        note()

    engine._tasks.add(note if kind == "plain" else note_later, name="note")
    engine.start_workers(1, block=False, workers_class=workers)
    for _ in range(3):
        engine.schedule("note")
    wait_until(lambda: len(seen) == 3)
    assert set(seen) == {("unset", 28)}


@BOTH_WORKERS
def test_other_awaitables_are_awaited_and_generators_fail(
    engines: Engines, recorder: Recorder, workers: Any
) -> None:
    """A returned awaitable is awaited; a returned generator, whose body never ran, fails the attempt."""
    engine = engines()
    ran = threading.Event()

    class Later:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            ran.set()

    engine._tasks.add(Later, name="later")
    engine._tasks.add(lambda: (number for number in range(3)), name="generator")
    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("later")
    engine.schedule("generator")
    wait_until(lambda: "job_finished" in recorder.of("generator"))
    assert ran.is_set()
    assert "job_failed" in recorder.of("generator")
