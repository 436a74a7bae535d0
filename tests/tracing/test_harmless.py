"""Telemetry that fails, hangs or is missing changes nothing about jobs, and tracing leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from spinach import AbortException, AsyncioWorkers, Batch, Engine, RetryException, ThreadWorkers, signals
from spinach.execution import Attempt, Environment
from spinach_ops.tracing import instrument_tracing, tracers
from spinach_ops.tracing import provider as otlp
from spinach_ops.tracing.tracers import bounded_flush_of
from tests.tracing.conftest import Engines, Traces, attributes, identity, parent
from tests.waiting import wait_until


class Finished:
    """Hears how attempts of one engine ended."""

    def __init__(self, engine: Engine) -> None:
        self.outcomes: list[str] = []
        self._receiver = lambda _ns, outcome: self.outcomes.append(outcome)
        signals.job_finished.connect(self._receiver, sender=engine.namespace, weak=False)

    def close(self) -> None:
        signals.job_finished.disconnect(self._receiver)


class Raises:
    """A part of telemetry that raises at one point."""

    def __init__(self, point: str, error: BaseException) -> None:
        self.point = point
        self.error = error

    def maybe(self, point: str) -> None:
        if point == self.point:
            raise self.error

    def provider(self) -> TracerProvider:
        outer = self

        class Spoilt(Sampler):
            def should_sample(self, *args: Any, **options: Any) -> Any:
                outer.maybe("sampler")
                return ALWAYS_ON.should_sample(*args, **options)

            def get_description(self) -> str:
                return "Spoilt"

        class Processor(SpanProcessor):
            def on_start(self, span: Any, parent_context: Any = None) -> None:
                outer.maybe("on_start")

            def on_end(self, span: Any) -> None:
                outer.maybe("on_end")

            def force_flush(self, timeout_millis: int = 0) -> bool:
                outer.maybe("force_flush")
                return True

        provider = TracerProvider(sampler=Spoilt(), shutdown_on_exit=False)
        provider.add_span_processor(Processor())
        return provider

    def propagator(self) -> Any:
        outer, real = self, propagate.get_global_textmap()

        class Propagator:
            @property
            def fields(self) -> set[str]:
                outer.maybe("fields")
                return real.fields

            def inject(self, carrier: Any, **options: Any) -> None:
                outer.maybe("inject")
                real.inject(carrier, **options)
                if outer.point == "inject nonsense":
                    carrier.update({"a": b"\xff", 3: "x", "c": None, "d": "\ud800"})

            def extract(self, carrier: Any, **options: Any) -> Any:
                outer.maybe("extract")
                return real.extract(carrier, **options)

        return Propagator()


POINTS = ["sampler", "on_start", "on_end", "force_flush", "fields", "inject", "inject nonsense", "extract"]


@pytest.mark.parametrize(
    "error", [RuntimeError("on purpose"), SystemExit("on purpose")], ids=["error", "exit"]
)
@pytest.mark.parametrize("point", POINTS)
def test_telemetry_that_raises_touches_no_job(
    engines: Engines,
    point: str,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever it raises, jobs are scheduled, run and retried as ever, once each; it is told once per
    kind.
    """
    engine = engines()
    raises = Raises(point, error)
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", raises.propagator())
    finished = Finished(engine)
    remove = instrument_tracing(engine, tracer_provider=raises.provider())
    ran: list[int] = []

    @engine.task(name="task", max_retries=1)
    def task(number: int) -> None:
        ran.append(number)
        if number == 2 and ran.count(2) == 1:
            raise RetryException("again", at=datetime.now(timezone.utc))

    engine.schedule("task", 1)
    engine.schedule("task", 2)
    batch = Batch()
    batch.schedule("task", 3)
    batch.schedule("task", 4)
    engine.schedule_batch(batch)
    with caplog.at_level(logging.WARNING, "spinach_ops.tracing"):
        engine.start_workers(1, block=False)
        wait_until(lambda: len(finished.outcomes) == 5)
        engine.stop_workers()
    assert sorted(ran) == [1, 2, 2, 3, 4]
    assert sorted(finished.outcomes) == ["retried", "succeeded", "succeeded", "succeeded", "succeeded"]
    told = [
        record.args[0] for record in caplog.records if record.name == "spinach_ops.tracing" and record.args
    ]  # type: ignore[index]
    assert len(told) == len(set(told))
    remove()
    finished.close()
    assert context_api.get_current() == {}


class Hangs(SpanExporter):
    """Exports nothing until the test ends, whatever it was told about time."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def export(self, spans: Any) -> SpanExportResult:
        self.entered.set()
        self.released.wait(60)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:
        self.released.wait(60)
        return True

    def shutdown(self) -> None:
        self.released.set()


def test_an_exporter_that_hangs_delays_neither_jobs_nor_the_stop(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs run on; a stop waits for the flush no longer than it said, whatever the processor does."""
    monkeypatch.setattr(tracers, "FLUSH_SECONDS", 0.5)
    engine, exporter = engines(), Hangs()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=10))
    remove = instrument_tracing(engine, tracer_provider=provider)
    finished = Finished(engine)
    engine.task(lambda: None, name="task")
    engine.start_workers(2, block=False)
    engine.schedule("task")
    assert exporter.entered.wait(10)
    for _ in range(200):
        engine.schedule("task")
    wait_until(lambda: len(finished.outcomes) == 201)
    began = time.monotonic()
    engine.stop_workers()
    assert time.monotonic() - began < 5
    exporter.released.set()
    remove()
    finished.close()
    provider.shutdown()


def test_engines_wait_for_one_provider_once(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many engines stop, a provider that hangs is waited for once, and is asked by one thread at a
    time.
    """
    monkeypatch.setattr(tracers, "FLUSH_SECONDS", 1.0)
    asked, released = [], threading.Event()

    class Provider(TracerProvider):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            asked.append(timeout_millis)
            return released.wait(60)

    provider = Provider(shutdown_on_exit=False)
    made = [engines() for _ in range(4)]
    removers = [instrument_tracing(engine, tracer_provider=provider) for engine in made]
    for engine in made:
        engine.task(lambda: None, name="task")
        engine.schedule("task")
    began = time.monotonic()
    for engine in made:
        engine._hooks.call_stop_listeners()
    assert 1.0 <= time.monotonic() - began < 2.0
    assert asked == [1000]
    assert bounded_flush_of(provider).remaining_of(5.0) <= 4.0
    released.set()
    wait_until(lambda: bounded_flush_of(provider).run(lambda: asked.append(0), 5.0))
    assert asked == [1000, 0]
    for remove in removers:
        remove()


def test_a_worker_ends_within_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a flush has used up, the shutdown of a provider made by `--trace` does not take again."""
    monkeypatch.setattr(otlp, "SHUTDOWN_SECONDS", 1.0)
    exporter = Hangs()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    provider.get_tracer("application").start_span("span").end()
    began = time.monotonic()
    assert not bounded_flush_of(provider).run(provider.force_flush, 1.0)
    otlp.shut_down(provider)
    assert time.monotonic() - began < 1.8
    exporter.released.set()


def test_duties_ask_for_no_instrumentation(engines: Engines, traces: Traces) -> None:
    """What a worker polls in the background is no trace of anybody's; jobs are instrumented as ever."""
    engine = engines()
    traces.watch(engine)
    suppressed: dict[str, bool] = {}

    @contextlib.contextmanager
    def note() -> Any:
        suppressed[threading.current_thread().name] = tracers.is_suppressed(context_api.get_current())
        yield

    @engine.task(name="task")
    def task() -> None:
        suppressed["job"] = tracers.is_suppressed(context_api.get_current())

    engine.wrap_services(note)
    engine.start_workers(1, block=False)
    engine.schedule("task")
    traces.one("process task")
    engine.stop_workers()
    assert suppressed.pop("job") is False
    assert set(suppressed.values()) == {True}
    assert len(suppressed) == 5


def test_what_a_receiver_schedules_in_a_duty_is_traced(engines: Engines, traces: Traces) -> None:
    """A receiver of a signal that a background duty sends does not poll: its jobs have spans, unless it wants
    none.
    """
    engine = engines()
    traces.watch(engine)

    def follow_up(_ns: Any, job: Any) -> None:
        engine.schedule("seen")
        with suppress_instrumentation():
            engine.schedule("unseen")

    @engine.task(name="task", max_retries=1)
    def task() -> None:
        if not traces.named("send seen"):
            raise RetryException("again", at=datetime.now(timezone.utc) + timedelta(seconds=2))

    for name in ("seen", "unseen"):
        engine.task(lambda: None, name=name)
    signals.job_waiting.connect(follow_up, sender=engine.namespace)
    try:
        engine.start_workers(1, block=False)
        engine.schedule("task")
        assert parent(traces.one("send seen")) is None
        assert parent(traces.one("process seen")) == identity(traces.one("send seen"))
        traces.some("process unseen", 1)
    finally:
        signals.job_waiting.disconnect(follow_up)
        engine.stop_workers()
    assert traces.named("send unseen") == []


def test_a_stop_flushes_and_never_shuts_down(engines: Engines) -> None:
    """What was batched is exported when the workers stop; the provider goes on to work for its owner."""
    engine, traces = engines(), Traces()
    batched = Traces()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(batched.exporter, schedule_delay_millis=3_600_000))
    remove = instrument_tracing(engine, tracer_provider=provider)
    finished = Finished(engine)
    engine.task(lambda: None, name="task")
    engine.start_workers(1, block=False)
    engine.schedule("task")
    wait_until(lambda: finished.outcomes)
    engine.stop_workers()
    assert {span.name for span in batched.exporter.get_finished_spans()} == {"send task", "process task"}
    provider.get_tracer("application").start_span("later").end()
    provider.force_flush()
    assert [span.name for span in batched.exporter.get_finished_spans()][-1] == "later"
    remove()
    finished.close()
    provider.shutdown()
    traces.close()


def test_nothing_happens_without_a_provider(engines: Engines) -> None:
    """No headers, no context, no error; a provider that makes no spans is the same."""
    for provider in (None, trace.NoOpTracerProvider()):
        engine = engines()
        current: list[Any] = []
        engine.task(lambda current=current: current.append(context_api.get_current()), name="task")
        remove = instrument_tracing(engine, tracer_provider=provider)
        assert engine.schedule("task").headers is None
        engine.start_workers(1, block=False)
        wait_until(lambda current=current: current)
        assert current == [{}]
        engine.stop_workers()
        remove()


def test_the_global_provider_may_come_later(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that configures OpenTelemetry after it made its engine is traced from then on."""
    engine, traces = engines(), Traces()
    engine.task(lambda: None, name="task")
    remove = instrument_tracing(engine)
    assert engine.schedule("task").headers is None
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", traces.provider)
    assert "traceparent" in (engine.schedule("task").headers or {})
    remove()
    traces.close()


def test_a_provider_that_cannot_be_had_is_told_once(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A global provider that cannot be loaded is asked for once, not with every job, and jobs are not
    traced.
    """
    asked: list[int] = []

    def fails() -> Any:
        asked.append(1)
        raise StopIteration

    monkeypatch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "bogus")
    monkeypatch.setattr(trace, "get_tracer_provider", fails)
    engine = engines()
    engine.task(lambda: None, name="task")
    remove = instrument_tracing(engine)
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            assert engine.schedule("task").headers is None
    assert len(asked) == 1
    told = [record for record in caplog.records if record.exc_info]
    assert [(record.name, record.levelname) for record in told] == [("spinach_ops.tracing", "WARNING")]
    remove()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
def test_nothing_is_left_behind(redis_engines: Engines, workers: Any) -> None:
    """After 10,000 attempts that end in every way there is no context, no open span, and no more objects than
    before.
    """
    engine, traces = redis_engines(), Traces()
    traces.exporter.export = lambda spans: SpanExportResult.SUCCESS  # type: ignore[method-assign, assignment]
    traces.watch(engine)
    finished = Finished(engine)
    at_start: list[Any] = []
    errors = [None, ValueError, AbortException, RetryException, KeyboardInterrupt, asyncio.CancelledError,
        GeneratorExit]  # fmt: skip

    async def coroutine(number: int) -> None:
        at_start.append(trace.get_current_span().get_span_context().span_id)
        context_api.attach(context_api.set_value("left by the application", number))
        error = errors[number % len(errors)]
        if error is not None:
            raise error("on purpose")

    def plain(number: int) -> None:
        error = errors[number % len(errors)]
        if error is not None:
            raise error("on purpose")

    engine.task(coroutine, name="coroutine", max_retries=0)
    engine.task(plain, name="plain", max_retries=0)
    engine.wrap_attempts(lambda _: at_start.append(context_api.get_current()))
    logging.getLogger("spinach").setLevel(logging.CRITICAL)
    sizes = []
    try:
        engine.start_workers(8, block=False, workers_class=workers)
        for part in range(1, 6):
            batch = Batch()
            for number in range(2000):
                batch.schedule("plain" if number % 2 else "coroutine", number)
            engine.schedule_batch(batch)
            wait_until(lambda part=part: len(finished.outcomes) == part * 2000)
            wait_until(lambda: not traces.processor.open, "no span is open")
            contexts = [each for each in at_start if isinstance(each, dict)]
            at_start.clear()
            gc.collect()
            sizes.append(len(gc.get_objects()))
        engine.stop_workers()
    finally:
        logging.getLogger("spinach").setLevel(logging.NOTSET)
        finished.close()
        traces.close()
    # The wrapper stands inside ours: it sees the attempt's own span and nothing of the attempts before.
    assert contexts
    assert all("left by the application" not in each for each in contexts)
    assert sizes[-1] - sizes[1] < 5_000
    assert context_api.get_current() == {}


def test_the_application_may_leave_a_mess(engines: Engines, traces: Traces) -> None:
    """A function that attaches a context and forgets to detach it does not spoil the next attempt."""
    engine = engines()
    traces.watch(engine)

    @engine.task(name="task")
    def task() -> None:
        context_api.attach(trace.set_span_in_context(traces.tracer.start_span("forgotten")))

    engine.start_workers(1, block=False)
    engine.schedule("task")
    traces.some("process task", 1)
    engine.schedule("task")
    spans = traces.some("process task", 2)
    assert [attributes(span)["spinach.job.outcome"] for span in spans] == ["succeeded"] * 2
    assert {span.parent.span_id if span.parent else None for span in spans} == {
        span.context.span_id if span.context else None for span in traces.named("send task")
    }


def test_no_value_spoils_the_batch(
    engines: Engines, traces: Traces, caplog: pytest.LogCaptureFixture
) -> None:
    """Texts that are no UTF-8, and numbers beyond 64 bits, in errors or attributes: every span can still be
    encoded.
    """
    caplog.set_level(logging.CRITICAL)  # the engine logs the error, and no report of a test may hold it
    engine = engines()
    spoilt = type("Spoilt", (Exception,), {"__module__": "app\ud800"})
    values = {"app.\ud800": "\ud800", "app.many": ["\udfff", 2**70], "app.size": 2**70, "app.on": True}
    traces.watch(engine, job_attributes=lambda _job: values)

    @engine.task(name="task")
    def task() -> None:
        raise spoilt("a\ud800b")

    engine.broker.enqueue = lambda jobs: None  # type: ignore[method-assign]
    environment = Environment("ns", engine.broker.clock, lambda _: None, engine._hooks.attempts)
    with Attempt(engine.schedule("task"), environment):
        task()
    span = traces.one("process task")
    encode_spans(traces.exporter.get_finished_spans()).SerializeToString()
    assert span.status.description == "app\\ud800.Spoilt: a\\ud800b"
    facts = dict(span.events[0].attributes or {})
    assert facts["exception.message"] == "a\\ud800b"
    assert (attributes(span)["app.\\ud800"], attributes(span)["app.many"]) == (
        "\\ud800",
        ("\\udfff", str(2**70)),
    )
    assert (attributes(span)["app.size"], attributes(span)["app.on"]) == (str(2**70), True)


def test_names_are_cut_to_size(engines: Engines, traces: Traces) -> None:
    """A queue's name of a megabyte takes 1 KB of a span."""
    engine = engines()
    traces.watch(engine, span_name="destination")
    engine.task(lambda: None, name="task")

    def rename(jobs: Any) -> None:
        jobs[0].queue = "q" * 1_000_000

    engine.broker.enqueue = lambda jobs: None  # type: ignore[method-assign]
    engine._hooks.enqueues.insert(0, rename)
    engine.schedule("task")
    (span,) = traces.exporter.get_finished_spans()
    assert len(span.name) <= len("send ") + 1024
    assert len(attributes(span)["messaging.destination.name"]) == 1024
