"""Datadog, with the real tracer in an interpreter of its own: it patches much, and starts threads."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from spinach import Engine
from spinach.contrib.datadog import register_datadog_if_module_patched
from tests.contrib.conftest import drain

needs_ddtrace = pytest.mark.skipif(
    importlib.util.find_spec("ddtrace") is None, reason="ddtrace is not installed (pip install ddtrace)"
)

QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}

PROGRAM = """
import asyncio, json
from ddtrace.trace import TraceFilter, tracer
from spinach import AsyncioWorkers, Engine, MemoryBroker, RetryException, ThreadWorkers
from spinach.contrib.datadog import register_datadog, register_datadog_if_module_patched

spans = []

class Capture(TraceFilter):
    def process_trace(self, trace):
        spans.extend(trace)  # and send nothing

tracer.configure(trace_processors=[Capture()])
engine = Engine(MemoryBroker(), namespace="traced")

@engine.task(name="works")
def works(secret):
    with tracer.trace("inner"):
        pass

@engine.task(name="waits")
async def waits(secret):
    await asyncio.sleep(0)
    with tracer.trace("inner"):
        await asyncio.sleep(0)

@engine.task(name="fails")
def fails():
    raise ValueError("on purpose")

@engine.task(name="again", max_retries=1)
def again():
    raise RetryException("busy")

def drain(workers=ThreadWorkers):
    engine.start_workers(number=3, stop_when_queue_empty=True, workers_class=workers)

def show():
    print(json.dumps([
        {
            "name": span.name, "service": span.service, "resource": span.resource, "type": span.span_type,
            "error": span.error, "tags": span.get_tags(), "metrics": span.get_metrics(),
            "id": span.span_id, "parent": span.parent_id, "trace": span.trace_id,
        }
        for span in spans
    ]))
"""


@pytest.fixture
def spans_of(run_program: Callable[..., Any]) -> Callable[[str], list[dict[str, Any]]]:
    def run(code: str) -> list[dict[str, Any]]:
        spans: list[dict[str, Any]] = run_program(PROGRAM + code + "\nshow()\n", **QUIET)
        return spans

    return run


@needs_ddtrace
def test_an_attempt_is_a_span_with_the_fields_of_its_job(spans_of: Callable[..., Any]) -> None:
    """A span has the task as resource and the job's fields as tags, but not its arguments."""
    (span,) = spans_of("""
register_datadog()
engine.schedule("again")
drain()
""")
    assert (span["name"], span["service"], span["resource"]) == ("spinach.task", "spinach", "again")
    assert span["type"] == "worker"
    assert span["tags"]["spinach.namespace"] == "traced"
    assert span["tags"]["spinach.max_retries"] == "1"
    assert span["tags"]["spinach.outcome"] == "retried"
    assert span["metrics"]["spinach.attempt"] == 1
    assert not [name for name in span["tags"] if "arg" in name]


@needs_ddtrace
@pytest.mark.parametrize("workers", ["ThreadWorkers", "AsyncioWorkers"])
def test_spans_of_the_task_are_children(spans_of: Callable[..., Any], workers: str) -> None:
    """Whatever a task traces belongs to the span of its attempt, in threads and on the event loop."""
    spans = spans_of(f"""
register_datadog(service="jobs")
for number in range(3):
    engine.schedule("works", "hush")
    engine.schedule("waits", "hush")
drain({workers})
""")
    outer = {span["id"]: span for span in spans if span["name"] == "spinach.task"}
    inner = [span for span in spans if span["name"] == "inner"]
    assert len(outer) == len(inner) == 6
    assert {span["parent"] for span in inner} == set(outer)
    assert {span["parent"] for span in outer.values()} == {None}
    assert {span["service"] for span in outer.values()} == {"jobs"}
    assert "hush" not in str(spans)


@needs_ddtrace
def test_a_failure_is_an_error_with_its_traceback(spans_of: Callable[..., Any]) -> None:
    """The span of an attempt that raised carries the exception."""
    (span,) = spans_of("""
register_datadog()
engine.schedule("fails")
drain()
""")
    assert span["error"] == 1
    assert span["tags"]["error.message"] == "on purpose"
    assert "in fails" in span["tags"]["error.stack"]


@needs_ddtrace
def test_other_namespaces_and_ended_tracing_leave_no_span(spans_of: Callable[..., Any]) -> None:
    """A namespace limits tracing to its jobs, and the returned function ends it."""
    spans = spans_of("""
register_datadog(namespace="another")
stop = register_datadog()
stop()
engine.schedule("works", "hush")
drain()
""")
    assert [span["name"] for span in spans] == ["inner"]


@needs_ddtrace
def test_tracing_where_a_module_is_traced(spans_of: Callable[..., Any]) -> None:
    """`register_datadog_if_module_patched` traces jobs exactly where Datadog patched the module."""
    spans = spans_of("""
import ddtrace, flask
assert register_datadog_if_module_patched("flask") is None
ddtrace.patch(flask=True)
assert register_datadog_if_module_patched("flask", service="shop") is not None
engine.schedule("fails")
drain()
""")
    assert [span["service"] for span in spans] == ["shop"]


def test_nothing_happens_where_the_module_is_not_there(engine: Engine) -> None:
    """A module that is not loaded, or not traced, leaves jobs alone, and needs no ddtrace."""
    assert register_datadog_if_module_patched("no_such_module") is None
    assert register_datadog_if_module_patched("json", namespace=engine.namespace) is None
    engine.task(lambda: None, name="job")
    engine.schedule("job")
    drain(engine)
