"""Spans around attempts: parent, links, attributes and status, for every way a job comes to be attempted."""

from __future__ import annotations

import asyncio
import inspect
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, StaticSampler
from opentelemetry.trace import SpanKind, StatusCode

from spinach import AbortException, AsyncioWorkers, Batch, Engine, RetryException, ThreadWorkers
from spinach.job import Job
from spinach_ops.tracing import LinkedSampler, producer
from tests.tracing.conftest import Engines, Traces, attributes, identity, links, parent
from tests.waiting import wait_until


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture
def engine(engines: Engines) -> Engine:
    return engines()


def run(engine: Engine, workers: Any = ThreadWorkers, number: int = 1) -> None:
    engine.start_workers(number, block=False, workers_class=workers)


@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
def test_a_first_attempt_is_a_child_of_its_send(engine: Engine, traces: Traces, workers: Any) -> None:
    """It has the send span as parent and, too, as link; attributes and outcome as documented."""
    traces.watch(engine)
    engine.task(lambda *_: None, name="task", max_retries=2)
    run(engine, workers)
    job = engine.schedule("task", "secret")
    span, send = traces.one("process task"), traces.one("send task")
    assert span.kind is SpanKind.CONSUMER
    assert parent(span) == identity(send)
    assert links(span) == [(identity(send), "creation")]
    assert span.status.status_code is StatusCode.UNSET
    found = attributes(span)
    assert found.pop("spinach.job.queue_wait") >= 0
    for name in ("server.address", "server.port"):
        assert (name in found) == (engine.broker.endpoint is not None)
        found.pop(name, None)
    assert found == {
        "messaging.system": "spinach",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"{engine.namespace}/spinach",
        "messaging.message.id": str(job.id),
        "messaging.client.id": engine.broker.worker_id,
        "spinach.namespace": engine.namespace,
        "spinach.task.name": "task",
        "spinach.job.attempt": 1,
        "spinach.job.max_retries": 2,
        "spinach.job.origin": "client",
        "spinach.job.due_at": job.at.isoformat(),
        "spinach.job.outcome": "succeeded",
    }


@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_what_the_function_does_belongs_to_its_attempt(
    engine: Engine, traces: Traces, workers: Any, kind: str
) -> None:
    """Spans the function makes, and jobs it schedules, are children of the attempt's span."""
    traces.watch(engine)
    engine.task(lambda: None, name="next")

    def plain() -> None:
        with traces.tracer.start_as_current_span("inner"):
            engine.schedule("next")

    async def coroutine() -> None:
        await asyncio.sleep(0)
        with traces.tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)
            engine.schedule("next")

    engine.task(plain if kind == "plain" else coroutine, name="task")
    run(engine, workers)
    engine.schedule("task")
    inner, process = traces.one("inner"), traces.one("process task")
    assert parent(inner) == identity(process)
    assert parent(traces.one("send next")) == identity(inner)
    assert parent(traces.one("process next")) == identity(traces.one("send next"))


def test_jobs_of_a_batch_are_children_of_their_creations(engine: Engine, traces: Traces) -> None:
    """Each attempt belongs to the span of its own job."""
    traces.watch(engine)
    engine.task(lambda: None, name="task")
    batch = Batch()
    for _ in range(3):
        batch.schedule("task")
    run(engine)
    engine.schedule_batch(batch)
    spans = traces.some("process task", 3)
    creations = {
        attributes(span)["messaging.message.id"]: identity(span) for span in traces.named("create task")
    }
    for span in spans:
        assert parent(span) == creations[attributes(span)["messaging.message.id"]]
        assert attributes(span)["spinach.job.origin"] == "batch"


def test_jobs_of_a_large_batch_link_to_its_span(engine: Engine, traces: Traces) -> None:
    """Two hundred jobs are two hundred traces, each linked to the one that scheduled them."""
    traces.watch(engine)
    engine.task(lambda: None, name="task")
    batch = Batch()
    for _ in range(200):
        batch.schedule("task")
    run(engine)
    engine.schedule_batch(batch)
    spans = traces.some("process task", 200)
    send = identity(traces.one(f"send {engine.namespace}/spinach"))
    assert {parent(span) for span in spans} == {None}
    assert len({identity(span)[0] for span in spans} | {send[0]}) == 201
    assert all(links(span) == [(send, "creation")] for span in spans)


def test_a_job_due_later_begins_a_trace(
    engine: Engine, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to tear a trace over hours, it links to what scheduled it."""
    monkeypatch.setattr(producer, "MAX_CHILD_DELAY_SECONDS", 0.1)
    traces.watch(engine)
    engine.task(lambda: None, name="task")
    run(engine)
    engine.schedule_at("task", now() + timedelta(seconds=0.6))
    span, send = traces.one("process task"), traces.one("send task")
    assert parent(span) is None
    assert identity(span)[0] != identity(send)[0]
    assert links(span) == [(identity(send), "creation")]


def test_a_retry_links_to_its_creation_and_the_attempt_before(engine: Engine, traces: Traces) -> None:
    """Each later attempt is a root with both links; one that the task asked for is no error."""
    traces.watch(engine)
    seen: list[int] = []

    @engine.task(name="task", max_retries=5)
    def task() -> None:
        seen.append(1)
        if len(seen) < 3:
            raise RetryException("again", at=now())

    run(engine)
    engine.schedule("task")
    first, second, third = traces.some("process task", 3)
    send = identity(traces.one("send task"))
    assert (parent(first), parent(second), parent(third)) == (send, None, None)
    assert links(second) == [(send, "creation"), (identity(first), "previous")]
    assert links(third) == [(send, "creation"), (identity(second), "previous")]
    told = [attributes(span) for span in (first, second, third)]
    assert [facts["spinach.job.outcome"] for facts in told] == ["retried", "retried", "succeeded"]
    assert [facts["spinach.job.origin"] for facts in told] == ["client", "retry", "retry"]
    assert [facts["spinach.job.attempt"] for facts in told] == [1, 2, 3]
    assert {span.status.status_code for span in (first, second, third)} == {StatusCode.UNSET}
    assert first.events == ()
    assert "error.type" not in told[0]


class Unpayable(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "retries", "outcome"),
    [
        (Unpayable("no money"), 0, "failed"),
        (Unpayable("no money"), 3, "retried"),
        (AbortException("no money"), 3, "failed"),
        (RetryException("no money"), 0, "failed"),
        (KeyboardInterrupt("no money"), 0, "failed"),
        (asyncio.CancelledError("no money"), 0, "failed"),
    ],
)
@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
def test_an_attempt_that_raised_is_an_error(
    engine: Engine, traces: Traces, error: BaseException, retries: int, outcome: str, workers: Any
) -> None:
    """Whether or not there is another attempt: status, type, and the exception as an event."""
    traces.watch(engine)

    @engine.task(name="task", max_retries=retries)
    async def task() -> None:
        raise error

    run(engine, workers)
    engine.schedule("task")
    span = traces.one("process task")
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == f"{kind}: no money"
    assert attributes(span)["error.type"] == kind
    assert attributes(span)["spinach.job.outcome"] == outcome
    (event,) = span.events
    facts = dict(event.attributes or {})
    assert (event.name, facts["exception.type"], facts["exception.message"]) == (
        "exception",
        kind,
        "no money",
    )
    assert "in task" in str(facts["exception.stacktrace"])


def test_a_dead_letter_asks_for_a_link(engine: Engine, traces: Traces) -> None:
    """Put back into its queue after days, a job must not become a child of what scheduled it."""
    traces.watch(engine)

    @engine.task(name="task")
    def task() -> None:
        raise ValueError("on purpose")

    run(engine)
    engine.schedule("task")
    (letter,) = wait_until(engine.broker.failed_jobs)
    headers = Job.deserialize(letter.raw).headers or {}
    assert headers["spinach-link"] == "1"
    assert headers["traceparent"]


@pytest.mark.parametrize("error", [RuntimeError("on purpose"), SystemExit("on purpose")])
def test_functions_of_the_application_that_fail_harm_nothing(
    engine: Engine, traces: Traces, error: BaseException
) -> None:
    """What they were asked for is left out, or as it is by default."""

    def fails(_job: Any) -> Any:
        raise error

    traces.watch(engine, propagation=fails, job_attributes=fails)
    engine.task(lambda: None, name="task")
    run(engine)
    engine.schedule("task")
    assert parent(traces.one("process task")) == identity(traces.one("send task"))
    assert not traces.processor.open


def test_a_function_may_return_nonsense(engine: Engine, traces: Traces) -> None:
    """A tie that does not exist is as if nothing had been said."""
    traces.watch(engine, propagation=lambda _job: "parent")
    engine.task(lambda: None, name="task")
    run(engine)
    engine.schedule("task")
    assert parent(traces.one("process task")) == identity(traces.one("send task"))


def test_errors_are_cut_to_size(engine: Engine, traces: Traces) -> None:
    """A message of a megabyte takes 1 KB of a span, a traceback 16 KB."""
    traces.watch(engine)

    @engine.task(name="task")
    def task() -> None:
        raise ValueError("x" * 1_000_000)

    run(engine)
    engine.schedule("task")
    span = traces.one("process task")
    facts = dict(span.events[0].attributes or {})
    assert len(str(facts["exception.message"])) <= 1024
    assert len(str(facts["exception.stacktrace"])) <= 16_384
    assert len(span.status.description or "") <= 1024 + len("ValueError: ")


def test_messages_of_errors_can_be_left_out(engine: Engine, traces: Traces) -> None:
    """With `record_exceptions=False` the type is all that is told."""
    traces.watch(engine, record_exceptions=False)

    @engine.task(name="task")
    def task() -> None:
        raise ValueError("a secret")

    run(engine)
    engine.schedule("task")
    span = traces.one("process task")
    assert (span.status.description, span.events) == ("ValueError", ())
    assert attributes(span)["error.type"] == "ValueError"


def test_an_exception_is_an_event_while_nobody_takes_logs(
    engine: Engine, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for as log records without a logger provider, or with one that drops them, exceptions stay
    events.
    """
    from opentelemetry import _logs

    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs")
    traces.watch(engine)

    @engine.task(name="task")
    def task() -> None:
        raise ValueError("on purpose")

    run(engine)
    engine.schedule("task")
    traces.one("process task")
    monkeypatch.setattr(_logs, "get_logger", lambda name, **_options: _logs.NoOpLogger(name))
    engine.schedule("task")
    for span in traces.some("process task", 2):
        assert [event.name for event in span.events] == ["exception"]


@pytest.mark.parametrize(("opted", "events"), [("logs", 0), ("logs/dup", 1)])
def test_exceptions_can_be_log_records(
    engine: Engine, traces: Traces, monkeypatch: pytest.MonkeyPatch, opted: str, events: int
) -> None:
    """As the environment asks: as a log record of the span, instead of an event or beside it."""
    from opentelemetry import _logs

    if "event_name" not in inspect.signature(_logs.LogRecord.__init__).parameters:
        pytest.skip("this release of opentelemetry-api has no events among its log records")
    emitted: list[Any] = []

    class Logger:
        def emit(self, record: Any) -> None:
            emitted.append(record)

    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", opted)
    monkeypatch.setattr(_logs, "get_logger", lambda *_args, **_options: Logger())
    traces.watch(engine)

    @engine.task(name="task")
    def task() -> None:
        raise ValueError("on purpose")

    run(engine)
    engine.schedule("task")
    span = traces.one("process task")
    assert len(span.events) == events
    (record,) = emitted
    assert (record.trace_id, record.span_id) == identity(span)
    assert record.event_name == "exception"
    assert record.attributes["exception.message"] == "on purpose"


def test_a_periodic_run_is_a_root(engine: Engine, traces: Traces) -> None:
    """Nobody scheduled it, so it has neither parent nor link."""
    traces.watch(engine)
    engine.task(lambda: None, name="tick", periodicity=timedelta(seconds=1))
    run(engine)
    span = traces.some("process tick", 1)[0]
    assert (parent(span), links(span)) == (None, [])
    assert attributes(span)["spinach.job.origin"] == "periodic"


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"traceparent": ""},
        {"traceparent": "00-abc"},
        {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
        {"traceparent": "x" * 1_000_000},
        {"traceparent": "ff-" + "1" * 32 + "-" + "2" * 16 + "-01"},
        {"Traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
        {"tracestate": "=,=,="},
        {"baggage": "%ff=;;"},
        {"spinach-previous": "\x1b[31m", "spinach-link": "\x00", "spinach-origin": "retry 1"},
    ],
)
def test_headers_that_say_nothing_give_a_root(engines: Engines, traces: Traces, headers: Any) -> None:
    """Missing, malformed or foreign headers: a root without links, and no error, whatever span is current
    there.
    """
    client, worker = engines(), engines()
    worker.wrap_attempts(lambda _attempt: traces.tracer.start_as_current_span("ambient"))
    traces.watch(worker, baggage=("tenant",))

    def spoil(jobs: Any) -> None:
        jobs[0].headers = headers

    client.wrap_enqueues(spoil)
    for engine in (client, worker):
        engine.task(lambda: None, name="task", max_retries=1)
    client.schedule("task")
    run(worker)
    span = traces.one("process task")
    assert (parent(span), links(span)) == (None, [])
    assert attributes(span)["spinach.job.outcome"] == "succeeded"


def test_a_malformed_tracestate_costs_only_itself(engines: Engines, traces: Traces) -> None:
    """The context itself is still good."""
    client, worker = engines(), engines()
    traces.watch(worker)
    traceparent = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"

    def spoil(jobs: Any) -> None:
        jobs[0].headers = {"traceparent": traceparent, "tracestate": "x" * 5000}

    client.wrap_enqueues(spoil)
    for engine in (client, worker):
        engine.task(lambda: None, name="task", max_retries=1)
    client.schedule("task")
    run(worker)
    assert parent(traces.one("process task")) == (int("1" * 32, 16), int("2" * 16, 16))


def test_headers_lost_on_the_way_give_a_root(engine: Engine, traces: Traces) -> None:
    """An old worker that retries a job drops its headers; the next attempt knows nothing, and says so."""
    traces.watch(engine)

    def drop(attempt: Any) -> Any:
        attempt.job.headers = None if attempt.number == 2 else attempt.job.headers

    @engine.task(name="task", max_retries=5)
    def task() -> None:
        if len(traces.named("process task")) == 0:
            raise RetryException("again", at=now())

    engine._hooks.attempts.insert(0, drop)
    run(engine)
    engine.schedule("task")
    second = traces.some("process task", 2)[1]
    assert (parent(second), links(second)) == (None, [])
    assert "spinach.job.origin" not in attributes(second)


@pytest.mark.parametrize(("propagation", "is_child", "is_linked"),
    [("child", True, True), ("link", False, True), ("none", False, False)])  # fmt: skip
def test_the_tie_can_be_chosen(
    engine: Engine, traces: Traces, propagation: Any, is_child: bool, is_linked: bool
) -> None:
    """Child, link or nothing for every attempt, or what a function says of a job."""
    engine.task(lambda: None, name="task")
    for chosen in (propagation, lambda _job: propagation):
        traces.exporter.clear()
        remove = traces.watch(engine, propagation=chosen)
        engine.schedule("task")
        run(engine)
        span, send = traces.one("process task"), traces.one("send task")
        assert (parent(span) == identity(send)) is is_child
        assert bool(links(span)) is is_linked
        engine.stop_workers()
        remove()


def test_named_baggage_reaches_the_function(engine: Engine, traces: Traces) -> None:
    """What may travel is there, in children and in traces of their own alike."""
    from opentelemetry import context

    seen: list[Any] = []
    engine.task(lambda: seen.append(baggage.get_all()), name="task")
    for propagation in ("child", "link"):
        remove = traces.watch(engine, propagation=propagation, baggage=("tenant",))
        token = context.attach(baggage.set_baggage("tenant", "a"))
        engine.schedule("task")
        context.detach(token)
        run(engine)
        wait_until(lambda: seen)
        assert seen.pop() == {"tenant": "a"}
        engine.stop_workers()
        remove()


@pytest.mark.parametrize(
    "sampler",
    [ParentBased(ALWAYS_ON), LinkedSampler(ParentBased(ALWAYS_ON)),
        ParentBased(ParentBased(ALWAYS_ON), remote_parent_sampled=ParentBased(ALWAYS_ON))],
)  # fmt: skip
def test_an_unsampled_job_stays_unsampled(engine: Engine, sampler: Any) -> None:
    """The worker follows the decision of the client, and so does what the function makes."""
    client, worker = Traces(sampler=ALWAYS_OFF), Traces(sampler=sampler)
    done: list[Any] = []

    def task() -> None:
        with worker.tracer.start_as_current_span("inner"):
            done.append(trace.get_current_span().get_span_context().trace_flags.sampled)

    engine.task(task, name="task")
    remove = client.watch(engine)
    job = engine.schedule("task")
    remove()
    assert (job.headers or {})["traceparent"].endswith(("-00", "-02"))
    worker.watch(engine)
    run(engine)
    wait_until(lambda: done)
    engine.stop_workers()
    assert done == [False]
    assert worker.exporter.get_finished_spans() == ()
    client.close()
    worker.close()


def test_an_unsampled_trace_is_passed_on(engine: Engine) -> None:
    """What an unsampled request schedules, alone or in a batch, is of its trace and not sampled, retries
    included.
    """
    traces = Traces(sampler=LinkedSampler(ParentBased(ALWAYS_ON)))
    off = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("application")
    seen: list[tuple[int, str | None]] = []

    @engine.task(name="task", max_retries=2)
    def task() -> None:
        span = trace.get_current_span().get_span_context()
        seen.append((span.trace_id, span.trace_flags.sampled))
        if len(seen) < 3:
            raise RetryException("again", at=now())

    traces.watch(engine)
    with off.start_as_current_span("request") as request:
        single = engine.schedule("task")
        batch = Batch()
        batch.schedule("task")
        (together,) = engine.schedule_batch(batch)
    expected = f"00-{request.get_span_context().trace_id:032x}-{request.get_span_context().span_id:016x}"
    for job, origin in ((single, "client 1"), (together, "batch 1")):
        assert (job.headers or {})["traceparent"].startswith(expected)
        assert (job.headers or {})["spinach-origin"] == origin
    run(engine)
    wait_until(lambda: len(seen) == 4)
    engine.stop_workers()
    assert {sampled for _, sampled in seen} == {False}
    assert seen[0][0] == request.get_span_context().trace_id
    assert traces.exporter.get_finished_spans() == ()
    traces.close()


class KeepsAll(ParentBased):
    """Describes itself as what it is not: a sampler that follows the parent."""

    def should_sample(self, *args: Any, **options: Any) -> Any:
        return ALWAYS_ON.should_sample(*args, **options)


class Off(StaticSampler):
    """Likewise: one that drops everything."""

    def should_sample(self, *args: Any, **options: Any) -> Any:
        return ALWAYS_ON.should_sample(*args, **options)


def test_a_sampler_that_decides_for_itself_is_asked(engine: Engine) -> None:
    """One that keeps children of unsampled parents, anywhere, keeps them, whatever it calls itself."""
    off = Off(Decision.DROP)
    for number, sampler in enumerate(
        (KeepsAll(ALWAYS_OFF), LinkedSampler(KeepsAll(ALWAYS_OFF)),
            ParentBased(ALWAYS_OFF, remote_parent_not_sampled=off), ALWAYS_ON,
            ParentBased(ALWAYS_ON, remote_parent_not_sampled=ALWAYS_ON),
            ParentBased(ALWAYS_ON, local_parent_not_sampled=ParentBased(ALWAYS_ON),
                        remote_parent_not_sampled=ALWAYS_ON))
    ):  # fmt: skip
        client, worker = Traces(sampler=ALWAYS_OFF), Traces(sampler=sampler)
        engine.task(lambda: None, name=f"task-{number}")
        remove = client.watch(engine)
        engine.schedule(f"task-{number}")
        remove()
        remove = worker.watch(engine)
        run(engine)
        assert worker.one(f"process task-{number}").parent is not None
        engine.stop_workers()
        remove()
        client.close()
        worker.close()
