"""The sampler that keeps linked traces together."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    ParentBasedTraceIdRatio,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from spinach import Batch, RetryException
from spinach_ops.tracing import LinkedSampler
from spinach_ops.tracing.samplers import drops_children_of_unsampled
from tests.tracing.conftest import Engines, Traces, identity, links, parent
from tests.waiting import wait_until


def link(sampled: bool, **attributes: str) -> Link:
    return Link(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(int(sampled))), attributes)


@pytest.mark.parametrize("root", [ALWAYS_ON, ALWAYS_OFF])
@pytest.mark.parametrize("sampled", [True, False])
def test_a_linked_root_follows_its_link(root: Any, sampled: bool) -> None:
    """Whatever the other sampler would say, both halves are kept or neither."""
    tracer = TracerProvider(sampler=LinkedSampler(root), shutdown_on_exit=False).get_tracer("test")
    span = tracer.start_span(
        "process task", kind=SpanKind.CONSUMER, links=[link(sampled, **{"spinach.link": "creation"})]
    )
    assert span.is_recording() is sampled
    if sampled:
        assert span.get_span_context().trace_flags.sampled
    span.end()


@pytest.mark.parametrize("sampled", [True, False])
def test_others_are_left_to_the_other_sampler(sampled: bool) -> None:
    """Roots without our links, and children, are decided on as without it."""
    for root, expected in ((ALWAYS_ON, True), (ALWAYS_OFF, False)):
        tracer = TracerProvider(sampler=LinkedSampler(root), shutdown_on_exit=False).get_tracer("test")
        for options in ({}, {"links": [link(sampled)]}, {"links": [link(sampled, other="1")]}):
            span = tracer.start_span("request", kind=SpanKind.CONSUMER, **options)  # type: ignore[arg-type]
            assert span.is_recording() is expected
            span.end()
    assert LinkedSampler(ALWAYS_ON).get_description() == "LinkedSampler{AlwaysOnSampler}"


def test_stories_are_whole(engines: Engines) -> None:
    """Of a large batch and of retried jobs, at a ratio of one half, every attempt is kept if and only if its
    send was.
    """
    traces = Traces(sampler=LinkedSampler(ParentBased(TraceIdRatioBased(0.5))))
    engine = engines()
    done: list[int] = []
    seen: set[int] = set()

    @engine.task(name="task", max_retries=3)
    def task(number: int) -> None:
        if number not in seen:
            seen.add(number)
            raise RetryException("again", at=datetime.now(timezone.utc))
        done.append(number)

    traces.watch(engine)
    engine.start_workers(2, block=False)
    for round_ in range(8):
        batch = Batch()
        for number in range(30):
            batch.schedule("task", round_ * 100 + number)
        engine.schedule_batch(batch)
    for number in range(100_000, 100_020):
        engine.schedule("task", number)
    wait_until(lambda: len(done) == 8 * 30 + 20)
    engine.stop_workers()
    kept = {identity(span) for span in traces.exporter.get_finished_spans()}
    attempts = traces.named("process task")
    roots = [span for span in attempts if parent(span) is None]
    assert roots
    assert all(any(earlier in kept for earlier, _ in links(span)) for span in roots)
    batches = traces.named(f"send {engine.namespace}/spinach")
    sends = traces.named("send task")
    assert len(attempts) == 2 * (len(sends) + len(traces.named("create task")))
    assert len(batches) < 8 or len(sends) < 20
    traces.close()


@pytest.mark.parametrize(
    ("sampler", "known"),
    [
        (ParentBased(ALWAYS_ON), True),
        (ParentBasedTraceIdRatio(0.01), True),
        (LinkedSampler(ParentBased(TraceIdRatioBased(0.01))), True),
        (ALWAYS_OFF, False),
        (ParentBased(ALWAYS_ON, local_parent_not_sampled=ALWAYS_ON), False),
        (LinkedSampler(LinkedSampler(ParentBased(ALWAYS_ON))), False),
    ],
)
def test_the_usual_samplers_are_known(sampler: Any, known: bool) -> None:
    """Of those that follow the parent it is known that they drop children of what was not sampled; of no
    other.
    """
    assert drops_children_of_unsampled(sampler) is known
