"""An attempt always ends as a result, whatever happens between the end of the function and its report."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from spinach import AsyncioWorkers, RetryException, ThreadWorkers
from spinach.job import JobStatus
from tests.engine.conftest import Engines, Recorder
from tests.waiting import wait_until

BOTH_WORKERS = pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
WEST = timezone(timedelta(hours=-5))
LAST_DATE_IN_THE_WEST = datetime.max.replace(tzinfo=WEST)


class Unprintable(Exception):
    """Its text, its representation and its attributes raise."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __repr__(self) -> str:
        raise ValueError("no representation")

    def __getattribute__(self, name: str) -> Any:
        if name in ("at", "args", "__notes__"):
            raise RuntimeError("no attribute")
        return super().__getattribute__(name)


class Forgetful(RetryException):
    """Skips the constructor of its base."""

    def __init__(self, code: int) -> None:
        self.code = code


class Secretive(RetryException):
    """Its date cannot be read."""

    @property
    def at(self) -> datetime:  # type: ignore[override]
        raise RuntimeError("no date for you")

    @at.setter
    def at(self, value: Any) -> None: ...


class Odd:
    """Neither a date nor a number."""


def run_one(
    engines: Engines, recorder: Recorder, workers: Any, error: Exception, max_retries: int = 3
) -> list[str]:
    """Run a job that raises, then another one; return the signals of the first."""
    engine = engines()

    @engine.task(name="raises", max_retries=max_retries)
    def raises() -> None:
        raise error

    @engine.task(name="after")
    def after() -> None: ...

    engine.start_workers(1, block=False, workers_class=workers)
    engine.schedule("raises")
    engine.schedule("after")
    wait_until(lambda: "job_finished" in recorder.of("after"))
    wait_until(lambda: "job_finished" in recorder.of("raises"))
    engine.stop_workers()
    assert engine.stopped_cleanly
    assert [job for worker in engine._broker.get_all_brokers() for job in [worker]] == []
    return recorder.of("raises")


@BOTH_WORKERS
@pytest.mark.parametrize(
    "at",
    ["2030-01-01T00:00:00", date(2030, 1, 1), b"soon", Odd(), float("nan"), float("inf"), True, [1]],
    ids=lambda at: type(at).__name__,
)
def test_a_date_that_is_no_date_fails_the_attempt(
    engines: Engines, recorder: Recorder, workers: Any, at: Any
) -> None:
    """`RetryException(at=...)` with something else than a date: that job fails, with the value in its
    message.
    """
    assert run_one(engines, recorder, workers, RetryException("busy", at=at)) == [
        "job_queued", "job_started", "job_failed", "job_finished",
    ]  # fmt: skip


@BOTH_WORKERS
@pytest.mark.parametrize("at", [60, 0.5, timedelta(minutes=1)], ids=repr)
def test_seconds_and_durations_are_a_delay(
    engines: Engines, recorder: Recorder, workers: Any, at: Any
) -> None:
    """A number of seconds or a timedelta is taken as people mean it: that long from now."""
    signals = run_one(engines, recorder, workers, RetryException("busy", at=at))
    assert signals[:3] == ["job_queued", "job_started", "job_schedule_retry"]
    job = recorder.facts("job_schedule_retry")[0]["job"]
    assert isinstance(job.at, datetime)


@BOTH_WORKERS
@pytest.mark.parametrize(
    "at",
    [datetime.max.replace(tzinfo=timezone.utc), LAST_DATE_IN_THE_WEST, datetime.min.replace(tzinfo=WEST)],
    ids=["last", "beyond the last", "first"],
)
def test_a_date_out_of_range_ends_the_attempt(
    engines: Engines, recorder: Recorder, workers: Any, at: datetime
) -> None:
    """A date that UTC cannot represent fails the attempt; the last date there is is a date as any other."""
    signals = run_one(engines, recorder, workers, RetryException("busy", at=at))
    assert signals.count("job_started") == signals.count("job_finished")
    assert {"job_failed", "job_schedule_retry"} & set(signals)
    assert ("job_failed" in signals[:3]) == (at == LAST_DATE_IN_THE_WEST)


@BOTH_WORKERS
@pytest.mark.parametrize("error", [Forgetful(7), Secretive("x")], ids=["skips __init__", "at raises"])
def test_a_subclass_without_a_date_takes_the_usual_backoff(
    engines: Engines, recorder: Recorder, workers: Any, error: Exception
) -> None:
    """A subclass of `RetryException` whose date is missing or cannot be read is retried with the usual
    backoff.
    """
    signals = run_one(engines, recorder, workers, error)
    assert signals[:3] == ["job_queued", "job_started", "job_schedule_retry"]


@BOTH_WORKERS
@pytest.mark.parametrize("max_retries", [0, 2])
def test_an_error_that_cannot_be_printed_is_reported(
    engines: Engines, recorder: Recorder, workers: Any, max_retries: int
) -> None:
    """An exception whose text, representation and attributes raise ends as any other."""
    signals = run_one(engines, recorder, workers, Unprintable(), max_retries)
    assert ("job_failed" if max_retries == 0 else "job_schedule_retry") in signals


class Raising(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if "raises" in record.getMessage():
            raise RuntimeError("a filter of the application")
        return True


@BOTH_WORKERS
@pytest.mark.parametrize("name", ["spinach", "spinach.execution"])
def test_a_log_filter_that_raises_costs_no_result(
    engines: Engines, recorder: Recorder, workers: Any, name: str
) -> None:
    """A filter on our loggers, or a handler, that raises: the job is reported all the same."""
    logger, filter_ = logging.getLogger(name), Raising()
    handler = logging.StreamHandler()
    handler.addFilter(filter_)
    logger.addFilter(filter_)
    logger.addHandler(handler)
    try:
        assert "job_failed" in run_one(engines, recorder, workers, ValueError("raises"), max_retries=0)
    finally:
        logger.removeFilter(filter_)
        logger.removeHandler(handler)


def test_a_text_that_cannot_be_written_holds_back_no_other_result(
    engines: Engines, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Lone surrogates in the class, the message or the module of an error are stored in a form that can be
    written.
    """
    caplog.set_level(logging.CRITICAL, "spinach")  # the report of a test could not carry the text either
    engine = engines()
    odd = type("Odd", (Exception,), {"__module__": "mod\udcff"})
    odd.__qualname__ = "Odd\udc80"

    @engine.task(name="odd")
    def raise_odd() -> None:
        raise odd("text \ud800")

    @engine.task(name="plain", max_retries=1)
    def raise_plain() -> None:
        raise ValueError("plain")

    engine.start_workers(2, block=False)
    engine.schedule("odd")
    for _ in range(5):
        engine.schedule("plain")
    wait_until(lambda: len(recorder.facts("job_waiting")) == 5)
    letters = wait_until(engine._broker.failed_jobs)
    assert [letter.task_name for letter in letters] == ["odd"]
    engine.stop_workers()
    assert engine.stopped_cleanly


def test_a_retry_at_the_end_of_time_holds_back_no_other_result(engines: Engines, recorder: Recorder) -> None:
    """Results that were settled in one batch with an odd one arrive."""
    engine = engines()

    @engine.task(name="late", max_retries=1)
    def late() -> None:
        raise RetryException("later", at=datetime.max.replace(tzinfo=timezone.utc))

    @engine.task(name="soon", max_retries=1)
    def soon() -> None:
        raise RetryException("soon", at=timedelta(days=1))  # type: ignore[arg-type]

    engine.start_workers(2, block=False)
    engine.schedule("late")
    engine.schedule("soon")
    wait_until(lambda: len(recorder.facts("job_waiting")) == 2)
    assert {facts["job"].status for facts in recorder.facts("job_waiting")} == {JobStatus.WAITING}
