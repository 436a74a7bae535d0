"""Log records that say which job and trace they belong to."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from spinach import AsyncioWorkers, ThreadWorkers
from spinach_ops.logs import FIELDS, JobContextFilter, JsonFormatter, track_jobs
from tests.tracing.conftest import Engines, Traces, identity
from tests.waiting import wait_until


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the root logger writes, as lines of JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(JobContextFilter())
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def lines(stream: io.StringIO, logger: str) -> list[dict[str, Any]]:
    return [line for text in stream.getvalue().splitlines() if (line := json.loads(text))["logger"] == logger]


@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
def test_a_record_says_which_job_wrote_it(
    engines: Engines, traces: Traces, stream: io.StringIO, workers: Any
) -> None:
    """Records of the application and of the engine carry job and trace, inside the attempt and nowhere
    else.
    """
    engine = engines()
    traces.watch(engine)
    end = track_jobs(engine)
    track_jobs(engine)()
    application = logging.getLogger("application")

    @engine.task(name="task", max_retries=0)
    def task(secret: str) -> None:
        application.info("at %s", "work", extra={"order": 7})
        raise ValueError("on purpose")

    application.info("before")
    engine.start_workers(1, block=False, workers_class=workers)
    job = engine.schedule("task", "s3cret")
    span = traces.one("process task")
    before, at_work = lines(stream, "application")
    trace_id, span_id = identity(span)
    assert not set(before) & set(FIELDS)
    assert at_work == {
        "time": at_work["time"], "level": "info", "logger": "application", "message": "at work", "order": 7,
        "job_id": str(job.id), "task": "task", "queue": "spinach", "spinach_namespace": engine.namespace,
        "attempt": 1, "trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}",
    }  # fmt: skip
    (failed,) = wait_until(lambda: lines(stream, "spinach.execution"))
    assert (failed["job_id"], failed["action"]) == (str(job.id), "job_failed")
    assert "ValueError: on purpose" in failed["exception"]
    engine.stop_workers()
    assert "s3cret" not in stream.getvalue()
    end()


def test_an_old_remover_does_nothing(engines: Engines) -> None:
    """Called again after the engine was tracked anew, it neither ends that nor lets it be tracked twice."""
    engine = engines()
    old = track_jobs(engine)
    old()
    end = track_jobs(engine)
    old()
    track_jobs(engine)
    assert len(engine._hooks.attempts) == 1
    end()
    assert engine._hooks.attempts == []


def test_a_line_is_strict_json(stream: io.StringIO) -> None:
    """Numbers that JSON does not know are texts; other numbers beside them, and what contains itself, stay
    numbers.
    """

    def refuse(word: str) -> None:
        raise AssertionError(word)

    knot: list[Any] = []
    knot.append(knot)
    extra = {
        "nan": float("nan"),
        "deep": {"a": [float("-inf")]},
        "knot": knot,
        "size": 7,
        "ratio": 0.5,
        "on": True,
    }
    logging.getLogger("application").info("numbers", extra=extra)
    line = json.loads(stream.getvalue(), parse_constant=refuse)
    assert (line["nan"], line["deep"], line["knot"]) == ("nan", "{'a': [-inf]}", "[[...]]")
    assert (line["size"], line["ratio"], line["on"]) == (7, 0.5, True)


def test_nothing_of_a_record_is_lost(stream: io.StringIO) -> None:
    """Its stack is there, and so is what was given under a name that the line uses itself."""
    extra = {"time": 1.5, "level": 3, "logger": "mine", "exception": "none", "stack": "small"}
    application = logging.getLogger("application")
    try:
        raise ValueError("on purpose")
    except ValueError:
        application.exception("lost?", extra=extra, stack_info=True)
    (line,) = lines(stream, "application")
    assert "ValueError: on purpose" in line["exception"]
    assert "test_nothing_of_a_record_is_lost" in line["stack"]
    assert {name: line[f"extra_{name}"] for name in extra} == extra
    pickled = logging.makeLogRecord({"name": "application", "msg": "m", "exc_text": "ValueError: a"})
    assert json.loads(JsonFormatter().format(pickled))["exception"] == "ValueError: a"


def test_a_line_is_a_line(stream: io.StringIO) -> None:
    """Whatever is logged, a record is one line of JSON with a date in UTC."""

    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError

    knot: list[Any] = []
    knot.append(knot)
    logging.getLogger("knots").info("knot", extra={"knot": knot, "keys": {(1, 2): 3}})
    assert lines(stream, "knots")[0]["knot"] == "[[...]]"
    stream.truncate(stream.seek(0))
    logging.getLogger("application").info("a\nb\x1b[31m\u2028", extra={"what": Unshowable(), "set": {1}})
    (line,) = lines(stream, "application")
    assert len(stream.getvalue().splitlines()) == 1
    assert line["message"] == "a\nb\x1b[31m\u2028"
    assert (line["what"], line["set"]) == ("<Unshowable that cannot be shown>", "{1}")
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2026-01-01T00:00:00.000Z")
