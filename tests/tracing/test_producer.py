"""Spans around scheduling, and what they put into the headers of jobs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from opentelemetry import baggage, context, propagate
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from spinach import Batch, Engine
from spinach.exc import BrokerUnavailable
from spinach_ops.tracing import instrument_tracing
from spinach_ops.tracing.attributes import SCHEMA_URL
from tests.tracing.conftest import Engines, Traces, attributes, identity, links, parent


def batch_of(number: int, *tasks: str) -> Batch:
    batch = Batch()
    for index in range(number):
        batch.schedule(tasks[index % len(tasks)])
    return batch


@pytest.fixture
def engine(engines: Engines) -> Engine:
    made = engines()
    made.task(lambda *_: None, name="task", max_retries=2)
    made.task(lambda: None, name="other", queue="elsewhere")
    return made


def test_scheduling_is_a_producer_span(engine: Engine, traces: Traces, engines: Engines) -> None:
    """`send {task}`, a child of what is current, whose context is in the job; attributes as documented."""
    traces.watch(engine)
    with traces.tracer.start_as_current_span("request") as request:
        job = engine.schedule("task", "secret")
    span = traces.one("send task")
    assert span.kind is SpanKind.PRODUCER
    assert parent(span) == (request.get_span_context().trace_id, request.get_span_context().span_id)
    assert span.status.status_code is StatusCode.UNSET
    expected: dict[str, Any] = {
        "messaging.system": "spinach",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"{engine.namespace}/spinach",
        "messaging.message.id": str(job.id),
        "spinach.namespace": engine.namespace,
        "spinach.task.name": "task",
        "spinach.job.max_retries": 2,
        "spinach.job.origin": "client",
        "spinach.job.due_at": job.at.isoformat(),
    }
    if engines.server is not None:
        expected |= {"server.address": "127.0.0.1", "server.port": engines.server.port}
    assert attributes(span) == expected
    trace_id, span_id = identity(span)
    assert job.headers == {
        "traceparent": f"00-{trace_id:032x}-{span_id:016x}-{span.context.trace_flags:02x}",  # type: ignore[union-attr]
        "spinach-origin": "client 1",
    }
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.instrumentation_scope.schema_url) == ("spinach", SCHEMA_URL)


@pytest.mark.parametrize(("seconds", "linked"), [(30, False), (90, True)])
def test_a_date_far_off_asks_for_a_link(engine: Engine, traces: Traces, seconds: int, linked: bool) -> None:
    """A job due later than in a minute is linked to; its producer says so in the headers."""
    traces.watch(engine)
    job = engine.schedule_at("task", datetime.now(timezone.utc) + timedelta(seconds=seconds))
    assert ((job.headers or {}).get("spinach-link") == "1") is linked


def test_a_small_batch_has_a_span_for_each_job(engine: Engine, traces: Traces) -> None:
    """One `create` per job, in whose context the job runs, and one `send` that links to them."""
    traces.watch(engine)
    with traces.tracer.start_as_current_span("request") as request:
        jobs = engine.schedule_batch(batch_of(3, "task"))
    creations = traces.named("create task")
    send = traces.one(f"send {engine.namespace}/spinach")
    assert [span.kind for span in (*creations, send)] == [SpanKind.PRODUCER] * 3 + [SpanKind.CLIENT]
    assert links(send) == [(identity(span), "creation") for span in creations]
    assert {parent(span) for span in (*creations, send)} == {
        (request.get_span_context().trace_id, request.get_span_context().span_id)
    }
    assert [attributes(span)["messaging.message.id"] for span in creations] == [str(job.id) for job in jobs]
    assert attributes(send)["messaging.batch.message_count"] == 3
    assert attributes(send)["spinach.job.origin"] == "batch"
    assert "spinach.task.name" not in attributes(send)
    for job, span in zip(jobs, creations, strict=True):
        assert f"{identity(span)[1]:016x}" in (job.headers or {})["traceparent"]
        assert "spinach-link" not in (job.headers or {})


def test_a_batch_of_one_is_a_batch(engine: Engine, traces: Traces) -> None:
    """However small, a batch is not a single job."""
    traces.watch(engine)
    engine.schedule_batch(batch_of(1, "task"))
    assert {span.name for span in traces.exporter.get_finished_spans()} == {
        "create task", f"send {engine.namespace}/spinach",
    }  # fmt: skip


def test_a_batch_over_twenty_is_linked(engine: Engine, traces: Traces) -> None:
    """Twenty children fit into a trace, more do not."""
    traces.watch(engine)
    for number, linked in ((20, False), (21, True)):
        jobs = engine.schedule_batch(batch_of(number, "task"))
        assert {"spinach-link" in (job.headers or {}) for job in jobs} == {linked}


@pytest.mark.parametrize(("number", "options"), [(200, {}), (3, {"create_spans": False})])
def test_a_large_batch_is_one_producer_span(
    engine: Engine, traces: Traces, number: int, options: dict[str, Any]
) -> None:
    """Beyond what a span can link to, or where that is asked for, all jobs carry one context."""
    traces.watch(engine, **options)
    jobs = engine.schedule_batch(batch_of(number, "task"))
    (span,) = traces.exporter.get_finished_spans()
    assert (span.name, span.kind) == (f"send {engine.namespace}/spinach", SpanKind.PRODUCER)
    assert attributes(span)["messaging.batch.message_count"] == number
    assert len({(job.headers or {})["traceparent"] for job in jobs}) == 1


def test_a_batch_for_several_queues_names_none(engine: Engine, traces: Traces) -> None:
    """What is not one destination is left out."""
    traces.watch(engine)
    engine.schedule_batch(batch_of(2, "task", "other"))
    span = traces.one(f"send {engine.namespace}")
    assert "messaging.destination.name" not in attributes(span)
    assert attributes(traces.one("create other"))["messaging.destination.name"] == (
        f"{engine.namespace}/elsewhere"
    )


def test_names_can_be_those_of_destinations(engine: Engine, traces: Traces) -> None:
    """As the conventions have it, where that is wanted."""
    traces.watch(engine, span_name="destination")
    engine.schedule("task")
    assert traces.one(f"send {engine.namespace}/spinach").kind is SpanKind.PRODUCER


def test_a_call_that_fails_is_an_error(engine: Engine, traces: Traces) -> None:
    """The span has the error; the caller gets it unchanged."""
    traces.watch(engine)
    refused = BrokerUnavailable("on purpose")

    def refuse(_jobs: Any) -> None:
        raise refused

    engine.broker.enqueue = refuse  # type: ignore[method-assign]
    with pytest.raises(BrokerUnavailable) as caught:
        engine.schedule("task")
    assert caught.value is refused
    span = traces.one("send task")
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "spinach.exc.BrokerUnavailable"
    assert [event.name for event in span.events] == ["exception"]


def test_only_named_baggage_travels(engine: Engine, traces: Traces) -> None:
    """Baggage may hold secrets of the application: none travels unless it is named."""
    token = context.attach(baggage.set_baggage("tenant", "a", baggage.set_baggage("session", "s3cret")))
    try:
        remove = traces.watch(engine)
        assert "baggage" not in (engine.schedule("task").headers or {})
        remove()
        traces.watch(engine, baggage=("tenant",))
        assert (engine.schedule("task").headers or {})["baggage"] == "tenant=a"
    finally:
        context.detach(token)


def test_headers_stay_small(engine: Engine, traces: Traces) -> None:
    """Beyond 2 KB only the trace context itself travels."""
    token = context.attach(baggage.set_baggage("tenant", "x" * 3000))
    try:
        traces.watch(engine, baggage=("tenant",))
        assert set(engine.schedule("task").headers or {}) == {"traceparent", "spinach-origin"}
    finally:
        context.detach(token)


class Spelled:
    """A propagator that spells a context in its own way, and more beside it."""

    fields: ClassVar[set[str]] = {"their-context", "tracestate", "baggage"}

    def __init__(self, **beside: int) -> None:
        self.beside = {name.replace("_", "-"): "x" * size for name, size in beside.items()}

    def inject(self, carrier: dict[str, str], **_options: Any) -> None:
        carrier.update(self.beside)
        carrier["their-context"] = "1-2-3"

    def extract(self, _carrier: Any, context: Any = None, **_options: Any) -> Any:
        return context


@pytest.mark.parametrize(
    ("beside", "kept"),
    [
        ({"baggage": 1500, "tracestate": 400}, {"their-context", "baggage", "tracestate"}),
        ({"baggage": 1500, "tracestate": 1000}, {"their-context", "tracestate"}),
        ({"baggage": 1500, "foreign": 1500, "tracestate": 1000}, {"their-context", "tracestate"}),
        ({"baggage": 1500, "foreign": 1500, "tracestate": 2040}, {"their-context"}),
    ],
)
def test_the_context_itself_is_left_out_last(
    engine: Engine, traces: Traces, monkeypatch: pytest.MonkeyPatch, beside: dict[str, int], kept: set[str]
) -> None:
    """Beyond 2 KB baggage goes first, then what is no field of the propagator, then the state of vendors."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Spelled(**beside))
    traces.watch(engine, baggage=("tenant",))
    assert set(engine.schedule("task").headers or {}) == kept | {"spinach-origin"}


def test_headers_of_others_are_kept(engine: Engine, traces: Traces) -> None:
    """What another wrapper put into the headers stays."""
    import contextlib

    @contextlib.contextmanager
    def mine(jobs: Any) -> Any:
        jobs[0].headers = {"mine": "1"}
        yield

    engine.wrap_enqueues(mine)
    traces.watch(engine)
    assert (engine.schedule("task").headers or {})["mine"] == "1"


@pytest.mark.parametrize("propagation", ["none", lambda _job: "none"])
def test_propagation_can_be_left_out(engine: Engine, traces: Traces, propagation: Any) -> None:
    """With *none*, for all jobs or for this one, there is a span and no header."""
    traces.watch(engine, propagation=propagation)
    assert engine.schedule("task").headers is None
    assert traces.one("send task")


def test_options_are_checked(engine: Engine) -> None:
    """A value that no option has says what would be one, and leaves the engine untraced."""
    for options in ({"propagation": "parent"}, {"span_name": "queue"}, {"baggage": "tenant"}):
        with pytest.raises(ValueError, match="expected"):
            instrument_tracing(engine, **options)  # type: ignore[arg-type]
    provider = TracerProvider(shutdown_on_exit=False)
    instrument_tracing(engine, tracer_provider=provider)()


def test_the_same_engine_is_traced_once(engine: Engine, traces: Traces) -> None:
    """A second time does nothing, and what it returns takes nothing away; removed, it can be traced again."""
    remove = traces.watch(engine)
    traces.watch(engine)()
    engine.schedule("task")
    assert len(traces.named("send task")) == 1
    remove()
    engine.schedule("task")
    assert len(traces.named("send task")) == 1
    traces.watch(engine)
    engine.schedule("task")
    assert len(traces.named("send task")) == 2


def test_an_old_remover_does_nothing(engine: Engine, traces: Traces) -> None:
    """Called again after the engine was traced anew, it neither ends that nor lets it be traced twice."""
    old = traces.watch(engine)
    old()
    traces.watch(engine)
    old()
    traces.watch(engine)
    engine.schedule("task")
    assert len(traces.named("send task")) == 1


def test_job_attributes_are_those_asked_for(engine: Engine, traces: Traces) -> None:
    """A function may add attributes; one that fails costs only these."""
    remove = traces.watch(engine, job_attributes=lambda job: {"app.first": job.task_args[0]})
    engine.schedule("task", "a")
    assert attributes(traces.one("send task"))["app.first"] == "a"
    engine.schedule("task")
    assert "app.first" not in attributes(traces.named("send task")[1])
    remove()


def test_suppressed_calls_have_no_span(engine: Engine, traces: Traces) -> None:
    """Who asks for no instrumentation gets none."""
    traces.watch(engine)
    with suppress_instrumentation():
        assert engine.schedule("task").headers is None
    assert traces.named("send task") == []
