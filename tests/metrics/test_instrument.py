"""`instrument`: one call for metrics and spans together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from spinach import Engine
from spinach_ops import instrument, serve
from tests.waiting import wait_until

Spans = InMemorySpanExporter
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def spans() -> Spans:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: Spans) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


def run_one(engine: Engine) -> None:
    engine.task(lambda: None, name="task")
    ended: list[bool] = []
    engine.wrap_attempts(lambda _: ended.append(True))
    engine.start_workers(1, block=False)
    engine.schedule("task")
    wait_until(lambda: ended)
    engine.stop_workers()


def test_one_call_counts_and_traces(engine: Engine, provider: TracerProvider, spans: Spans) -> None:
    """With a provider a job leaves its counts and its two spans; taken off, it leaves nothing more."""
    instrumentation = instrument(engine, tracer_provider=provider)
    run_one(engine)
    names = sorted(span.name for span in spans.get_finished_spans())
    assert names == ["process task", "send task"]
    counted = {"spinach_namespace": engine.namespace, "queue": "spinach", "task": "task"}
    assert instrumentation.registry.get_sample_value("spinach_jobs_started_total", counted) == 1
    instrumentation.uninstrument()
    engine.schedule("task")
    assert len(spans.get_finished_spans()) == 2


def test_spans_can_be_added_later(engine: Engine, provider: TracerProvider, spans: Spans) -> None:
    """An engine that is only counted, since it was served first, is traced from a later call on; all comes
    off together.
    """
    server = serve(engine, port=0)
    instrumentation = instrument(engine, tracer_provider=provider)
    run_one(engine)
    assert sorted(span.name for span in spans.get_finished_spans()) == ["process task", "send task"]
    counted = {"spinach_namespace": engine.namespace, "queue": "spinach", "task": "task"}
    assert instrumentation.registry.get_sample_value("spinach_jobs_started_total", counted) == 1
    instrumentation.uninstrument()
    engine.schedule("task")
    assert len(spans.get_finished_spans()) == 2
    server.close()


def test_spans_can_be_left_out(engine: Engine, provider: TracerProvider, spans: Spans) -> None:
    """`tracing=False` counts and traces nothing."""
    instrument(engine, tracing=False, tracer_provider=provider)
    run_one(engine)
    assert spans.get_finished_spans() == ()


def test_slow_buckets_lead_to_the_span(engine: Engine, provider: TracerProvider, spans: Spans) -> None:
    """Both histograms of jobs carry the trace and span of an attempt as exemplar, in OpenMetrics."""
    registry = instrument(engine, tracer_provider=provider, namespace_metrics=False).registry
    run_one(engine)
    (attempt,) = (span for span in spans.get_finished_spans() if span.name == "process task")
    assert attempt.context is not None
    expected = {"trace_id": f"{attempt.context.trace_id:032x}", "span_id": f"{attempt.context.span_id:016x}"}
    page = generate_latest(registry).decode()
    found = {
        family.name: [sample.exemplar.labels for sample in family.samples if sample.exemplar]
        for family in text_string_to_metric_families(page)
    }
    assert found["spinach_job_duration_seconds"] == [expected]
    assert found["spinach_job_queue_wait_seconds"] == [expected]


def test_a_span_that_is_not_sampled_is_no_exemplar(engine: Engine) -> None:
    """It could not be looked at."""
    registry = instrument(
        engine, tracer_provider=TracerProvider(sampler=ALWAYS_OFF), namespace_metrics=False
    ).registry
    run_one(engine)
    assert "trace_id" not in generate_latest(registry).decode()


@pytest.mark.parametrize(
    "option", [{"propagation": "telepathy"}, {"buckets": {"nonsense": (1,)}}, {"baggage": "tenant"}]
)
def test_a_wrong_option_leaves_nothing_behind(
    engine: Engine, provider: TracerProvider, spans: Spans, option: dict[str, object]
) -> None:
    """The error names the value, and the engine is as it was."""
    with pytest.raises(ValueError, match=r"expected|no histogram"):
        instrument(engine, tracer_provider=provider, **option)  # type: ignore[arg-type]
    run_one(engine)
    assert spans.get_finished_spans() == ()
    assert engine._hooks.enqueues == []


def test_a_variable_that_opentelemetry_refuses_stops_nobody() -> None:
    """Where its packages cannot even be loaded, jobs are counted and not traced, and the log says why; asked
    for, it is an error.
    """
    code = (
        "import logging; logging.basicConfig()\n"
        "from spinach import Engine, MemoryBroker\n"
        "from spinach_ops import instrument, serve\n"
        "engine = Engine(MemoryBroker(), namespace='x')\n"
        "serve(engine, port=0).close()\n"
        "other = Engine(MemoryBroker(), namespace='y')\n"
        "instrument(other)\n"
        "third = Engine(MemoryBroker(), namespace='z')\n"
        "try: instrument(third, propagation='link')\n"
        "except ValueError as error: print('refused', error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OTEL_PROPAGATORS": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Jobs are not traced") == 1
    assert "refused Propagator nonsense not found" in done.stdout
