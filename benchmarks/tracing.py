"""Measures what tracing costs per job: without a provider, and Spinach's own share at 100 % sampling.

    python -m benchmarks.tracing [jobs per round]

One process measures everything in rounds that take turns, because the speed of a machine changes from
minute to minute. *Bare* is a span with the same content written by hand around nothing: attributes, link,
inject or extract, attach and detach. Spinach's own share is the rest.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind

from spinach import Engine, MemoryBroker
from spinach.execution import Attempt, Environment
from spinach.job import Job
from spinach_ops.tracing import instrument_tracing

ROUNDS = 15


class Jobs:
    """One engine whose broker does nothing, so that only what surrounds it is measured."""

    def __init__(self, provider: Any = None, *, instrumented: bool) -> None:
        self.engine = Engine(MemoryBroker(), namespace="benchmark")
        self.engine.task(lambda: None, name="shop:send_receipt", max_retries=3)
        self.engine.broker.enqueue = lambda jobs: None  # type: ignore[method-assign]
        if instrumented:
            instrument_tracing(self.engine, tracer_provider=provider)
        self.environment = Environment(
            "benchmark", self.engine.broker.clock, lambda _: None, self.engine._hooks.attempts
        )
        self.texts: list[str] = []

    def send(self, number: int) -> None:
        schedule = self.engine.schedule
        for _ in range(number):
            schedule("shop:send_receipt")

    def prepare(self, number: int) -> list[Job]:
        """Return jobs as a worker reads them, headers included."""
        text = self.engine.schedule("shop:send_receipt").serialize()
        return [Job.deserialize(text) for _ in range(number)]

    def process(self, jobs: list[Job]) -> None:
        environment = self.environment
        for job in jobs:
            with Attempt(job, environment):
                pass


class Bare:
    """The same spans, written by hand."""

    def __init__(self, provider: TracerProvider, like: Jobs) -> None:
        self.tracer = provider.get_tracer("bare")
        recorded: list[Any] = []

        class Recorder(SpanProcessor):
            def on_end(self, span: Any) -> None:
                recorded.append(span)

        own = TracerProvider(shutdown_on_exit=False)
        own.add_span_processor(Recorder())
        jobs = Jobs(own, instrumented=True)
        job = jobs.prepare(1)
        jobs.process(job)
        sent, processed = (dict(span.attributes) for span in recorded)
        self.sent = sent
        self.at_end = {"spinach.job.outcome": processed.pop("spinach.job.outcome")}
        self.processed = processed
        self.link = {"spinach.link": "creation"}
        self.headers = {"traceparent": (job[0].headers or {})["traceparent"]}

    def send(self, number: int) -> None:
        for _ in range(number):
            span = self.tracer.start_span("send task", kind=SpanKind.PRODUCER, attributes=self.sent.copy())
            current = trace.set_span_in_context(span)
            carrier: dict[str, str] = {}
            propagate.inject(carrier, context=current)
            token = context.attach(current)
            context.detach(token)
            span.end()

    def process(self, number: int) -> None:
        for _ in range(number):
            parent = propagate.extract(self.headers, context=Context())
            links = [Link(trace.get_current_span(parent).get_span_context(), self.link)]
            span = self.tracer.start_span(
                "process task",
                context=parent,
                kind=SpanKind.CONSUMER,
                attributes=self.processed.copy(),
                links=links,
            )
            token = context.attach(trace.set_span_in_context(span, parent))
            context.detach(token)
            span.set_attribute("spinach.job.outcome", "succeeded")
            span.end()


def measure(number: int) -> dict[str, float]:
    """Return microseconds per job in the fastest round: other processes only ever add time."""
    full = TracerProvider(shutdown_on_exit=False)
    one_percent = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.01)), shutdown_on_exit=False)
    plain = Jobs(instrumented=False)
    idle = Jobs(instrumented=True)
    traced, rare = Jobs(full, instrumented=True), Jobs(one_percent, instrumented=True)
    bare = Bare(full, traced)
    cases: dict[str, Callable[[], Callable[[], None]]] = {}
    for name, jobs in (("plain", plain), ("idle", idle), ("traced", traced), ("1 %", rare)):
        cases[f"send {name}"] = lambda jobs=jobs: lambda: jobs.send(number)  # type: ignore[misc]
        cases[f"process {name}"] = lambda jobs=jobs: _processing(jobs, number)  # type: ignore[misc]
    cases["send bare"] = lambda: lambda: bare.send(number)
    cases["process bare"] = lambda: lambda: bare.process(number)
    took: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, prepare in cases.items():
            run = prepare()
            gc.collect()
            began = time.perf_counter()
            run()
            took[name].append((time.perf_counter() - began) / number * 1e6)
    return {name: min(values) for name, values in took.items()}


def _processing(jobs: Jobs, number: int) -> Callable[[], None]:
    prepared = jobs.prepare(number)
    return lambda: jobs.process(prepared)


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    print(
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}, {ROUNDS} rounds of {number} jobs, microseconds per job"
    )
    found = measure(number)
    print(f"{'':34}{'send':>8}{'process':>9}{'together':>10}")

    def show(name: str, value: Callable[[str], float]) -> None:
        send, process = value("send"), value("process")
        print(f"{name:34}{send:8.2f}{process:9.2f}{send + process:10.2f}")

    show("engine alone, without its broker", lambda half: found[f"{half} plain"])
    show("instrumented, no provider", lambda half: found[f"{half} idle"] - found[f"{half} plain"])
    show("1 % sampled, in total", lambda half: found[f"{half} 1 %"] - found[f"{half} plain"])
    show("100 % sampled, in total", lambda half: found[f"{half} traced"] - found[f"{half} plain"])
    show("a bare span of equal content", lambda half: found[f"{half} bare"])
    show(
        "Spinach's own share at 100 %",
        lambda half: found[f"{half} traced"] - found[f"{half} plain"] - found[f"{half} bare"],
    )


if __name__ == "__main__":
    main()
