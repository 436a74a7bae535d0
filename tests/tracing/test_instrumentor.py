"""Tracing without code: the instrumentor, and the real command that loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spinach import Engine
from spinach_ops.instrumentor import SpinachInstrumentor
from tests.fleet import wait_until
from tests.servers import Server
from tests.tracing.collector import Collector, collector
from tests.tracing.conftest import Engines, Traces, attributes

__all__ = ["collector"]

REPOSITORY = Path(__file__).resolve().parents[2]


def test_engines_made_meanwhile_are_traced(engines: Engines, traces: Traces) -> None:
    """With the options given, until it is taken away; then engines are made as before."""
    untouched, before = Engine.__init__, engines()
    instrumentor = SpinachInstrumentor()
    instrumentor.instrument(
        tracer_provider=traces.provider, job_attributes=lambda job: {"app.task": job.task_name}
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
    """`opentelemetry-instrument python app.py`: an application that knows nothing of tracing is traced to a collector."""
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
