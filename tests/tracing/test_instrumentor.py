"""Tracing without code: the instrumentor, and the real command that loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spinach import Engine
from spinach_ops.instrumentor import SpinachInstrumentor
from spinach_ops.metrics.otel import instrument_otel_metrics
from tests.servers import Server
from tests.tracing.collector import Collector, collector
from tests.tracing.conftest import Engines, Traces, attributes
from tests.waiting import wait_until

__all__ = ["collector"]

REPOSITORY = Path(__file__).resolve().parents[2]


def test_engines_made_meanwhile_are_traced(engines: Engines, traces: Traces) -> None:
    """With the options given, until it is taken away; then engines are made as before."""
    untouched, before = Engine.__init__, engines()
    instrumentor = SpinachInstrumentor()
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instrumentor.instrument(
        tracer_provider=traces.provider,
        meter_provider=meters,
        job_attributes=lambda job: {"app.task": job.task_name},
    )
    meanwhile = engines()
    for engine in (before, meanwhile):
        engine.task(lambda: None, name="task")
        engine.schedule("task")
    assert attributes(traces.one("send task"))["app.task"] == "task"
    instrumentor.uninstrument()
    assert Engine.__init__ is untouched
    after = engines()
    after.task(lambda: None, name="task")
    for engine in (meanwhile, after):
        engine.schedule("task")
    assert len(traces.named("send task")) == 1
    data = reader.get_metrics_data()
    assert data is not None
    names = {metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    assert names == {"messaging.client.operation.duration", "messaging.client.sent.messages"}
    meters.shutdown()


def test_an_engine_is_made_whatever_a_provider_does(
    engines: Engines, traces: Traces, caplog: pytest.LogCaptureFixture
) -> None:
    """A meter provider that raises costs the metrics of that engine, not the engine nor its traces; told
    once.
    """

    class Spoilt(NoOpMeterProvider):
        def get_meter(self, *_args: Any, **_options: Any) -> Any:
            raise RuntimeError("on purpose")

    instrumentor = SpinachInstrumentor()
    instrumentor.instrument(tracer_provider=traces.provider, meter_provider=Spoilt())
    try:
        with caplog.at_level("WARNING", "spinach_ops.tracing"):
            first, second = engines(), engines()
    finally:
        made = [record for record in caplog.records if record.name == "spinach_ops.tracing"]
        for engine in (first, second):
            engine.task(lambda: None, name="task")
            engine.schedule("task")
        instrumentor.uninstrument()
    assert len(traces.named("send task")) == 2
    assert [record.args for record in made] == [("measure an engine", "RuntimeError")]
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    remove = instrument_otel_metrics(first, meter_provider=meters)
    assert len(first._hooks.attempts) == 1
    remove()
    assert first._hooks.attempts == []
    meters.shutdown()


def test_options_are_checked_at_once(engines: Engines) -> None:
    """An option that has no such value is refused when it is given, not with each engine."""
    untouched = Engine.__init__
    for options in ({"propagation": "parent"}, {"span_name": "queue"}, {"baggage": "tenant"}):
        with pytest.raises(ValueError, match="expected"):
            SpinachInstrumentor()._instrument(**options)
    assert Engine.__init__ is untouched
    assert engines()._hooks.attempts == []


PROGRAM = """
import os

import redis

from spinach import Engine, RedisBroker

engine = Engine(RedisBroker(redis.Redis.from_url(os.environ["URL"])), namespace=os.environ["NAMESPACE"])


@engine.task(name="task")
def task():
    pass


job = engine.schedule("task")
engine.start_workers(1, stop_when_queue_empty=True)
"""


@pytest.mark.slow
def test_the_real_command_traces_client_and_worker(
    valkey_server: Server, redis_engines: Engines, collector: Collector, tmp_path: Path
) -> None:
    """`opentelemetry-instrument python app.py`: an application that knows nothing of tracing is traced to a
    collector.
    """
    (tmp_path / "app.py").write_text(PROGRAM)
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    if not command.exists():
        pytest.skip("opentelemetry-instrument is not installed (pip install opentelemetry-distro)")
    done = subprocess.run(
        [str(command), sys.executable, "app.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={
            **os.environ,
            "URL": valkey_server.url,
            "NAMESPACE": redis_engines().namespace,
            "PYTHONPATH": str(REPOSITORY),
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    wait_until(lambda: len(collector.spans()) >= 2, f"two spans\n{done.stderr[-1000:]}")
    send, process = sorted(collector.spans(), key=lambda span: span.name, reverse=True)
    assert (send.name, process.name) == ("send task", "process task")
    assert (process.trace, process.parent) == (send.trace, send.id)
    assert process.resource["service.name"] == "shop"
