"""Real processes, a real server and a real collector: what an operator would see."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from spinach import Batch, Engine
from spinach_ops.tracing import instrument_tracing
from tests.servers import Server
from tests.tracing.collector import Collector, Received, collector
from tests.tracing.conftest import Engines
from tests.waiting import wait_until

__all__ = ["collector"]

REPOSITORY = Path(__file__).resolve().parents[2]

APPLICATION = """
    import os
    import time
    from datetime import datetime, timezone

    import redis
    from opentelemetry import trace

    from spinach import Engine, RedisBroker, RetryException

    RedisBroker.broker_dead_threshold_seconds = 2
    engine = Engine(RedisBroker(redis.Redis.from_url(os.environ["URL"])), namespace=os.environ["NAMESPACE"])


    @engine.task(name="ok", max_retries=3)
    def ok(secret=None):
        with trace.get_tracer("application").start_as_current_span("inner"):
            engine.schedule("follows")


    @engine.task(name="follows")
    def follows():
        pass


    @engine.task(name="again", max_retries=3)
    def again(path):
        if not os.path.exists(path):
            open(path, "w").close()
            raise RetryException("later", at=datetime.now(timezone.utc))


    @engine.task(name="fails")
    def fails():
        raise ValueError("on purpose")


    @engine.task(name="hangs", max_retries=3)
    def hangs(path):
        if not os.path.exists(path):
            open(path, "w").close()
            time.sleep(600)
"""


class Workers:
    """Processes of `spinach worker --trace`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        (folder / "shop.py").write_text(textwrap.dedent(APPLICATION))
        self.environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"worker-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "spinach_ops.worker.cli", "worker", "shop:engine", "--trace",
                    *arguments],
                cwd=self.folder, env={**self.environment, **environment},
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def log(self) -> str:
        return "\n".join(
            path.read_text(errors="replace") for path in sorted(self.folder.glob("worker-*.log"))
        )

    def close(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(20)


@pytest.fixture
def unwatched(valkey_server: Server, tmp_path: Path) -> Iterator[Workers]:
    """Workers without a collector."""
    made = Workers(tmp_path, URL=valkey_server.url, NAMESPACE="unwatched")
    yield made
    made.close()


@pytest.fixture
def client(redis_engines: Engines, collector: Collector) -> Iterator[Engine]:
    """An engine of this process, traced to the collector."""
    provider = TracerProvider(resource=Resource.create({"service.name": "client"}), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{collector.endpoint}/v1/traces"), schedule_delay_millis=50)
    )
    engine = redis_engines()
    for name, retries in (("ok", 3), ("again", 3), ("fails", 0), ("hangs", 3)):
        engine.task(lambda *_: None, name=name, max_retries=retries)
    remove = instrument_tracing(engine, tracer_provider=provider)
    yield engine
    remove()
    provider.shutdown()


@pytest.fixture
def workers(valkey_server: Server, client: Engine, collector: Collector, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(
        tmp_path, URL=valkey_server.url, NAMESPACE=client.namespace,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_BSP_SCHEDULE_DELAY="50",
    )  # fmt: skip
    yield made
    made.close()


def wait_for(collector: Collector, workers: Workers, name: str, count: int = 1) -> list[Received]:
    """Return the spans of a name once the collector has so many."""
    try:
        wait_until(lambda: sum(span.name == name for span in collector.spans()) >= count, name)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{workers.log()[-4000:]}\n{collector.spans()}") from None
    return [span for span in collector.spans() if span.name == name]


@pytest.mark.slow
def test_a_collector_gets_the_whole_story(
    client: Engine, workers: Workers, collector: Collector, tmp_path: Path
) -> None:
    """Through OTLP arrive parents, links, attributes and errors of clients, workers and the tasks' own
    spans.
    """
    worker = workers.start("--threads", "2")
    job = client.schedule("ok", "secret")
    client.schedule("again", str(tmp_path / "again"))
    client.schedule("fails")
    batch = Batch()
    for _ in range(3):
        batch.schedule("ok")
    client.schedule_batch(batch)

    runs = wait_for(collector, workers, "process ok", 4)
    (send,) = wait_for(collector, workers, "send ok")
    (run,) = [span for span in runs if span.attributes["messaging.message.id"] == str(job.id)]
    assert (run.trace, run.parent, run.kind) == (send.trace, send.id, "SPAN_KIND_CONSUMER")
    assert run.links == [(send.trace, send.id, "creation")]
    assert (send.scope.split(" ")[0], send.kind) == ("spinach", "SPAN_KIND_PRODUCER")
    assert send.resource["service.name"] == "client"
    assert run.resource["service.name"] == client.namespace
    assert run.attributes.keys() >= {
        "server.address",
        "server.port",
        "messaging.client.id",
        "spinach.job.queue_wait",
    }
    assert run.attributes["messaging.destination.name"] == f"{client.namespace}/spinach"
    assert (run.attributes["spinach.job.attempt"], run.attributes["spinach.job.outcome"]) == (
        "1",
        "succeeded",
    )
    assert "secret" not in collector.log.read_text(errors="replace")

    inner = [span for span in wait_for(collector, workers, "inner", 4) if span.parent == run.id]
    assert len(inner) == 1
    assert inner[0].id in {span.parent for span in wait_for(collector, workers, "send follows", 4)}

    creations = wait_for(collector, workers, "create ok", 3)
    (together,) = wait_for(collector, workers, f"send {client.namespace}/spinach")
    assert together.attributes["messaging.batch.message_count"] == "3"
    assert {link[1] for link in together.links} == {span.id for span in creations}
    assert {span.parent for span in runs} == {send.id, *(span.id for span in creations)}

    first, second = sorted(
        wait_for(collector, workers, "process again", 2),
        key=lambda span: span.attributes["spinach.job.attempt"],
    )
    assert second.parent == ""
    assert second.links == [first.links[0], (first.trace, first.id, "previous")]
    assert [span.status for span in (first, second)] == ["STATUS_CODE_UNSET"] * 2

    (failed,) = wait_for(collector, workers, "process fails")
    assert (failed.status, failed.attributes["error.type"]) == ("STATUS_CODE_ERROR", "ValueError")
    assert "exception" in failed.events

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


@pytest.mark.slow
def test_a_recovered_job_links_to_what_scheduled_it(
    client: Engine, workers: Workers, collector: Collector, tmp_path: Path
) -> None:
    """The attempt of a killed worker never ends; the next one is a root that says whose job it was."""
    started = tmp_path / "started"
    client.schedule("hangs", str(started))
    victim = workers.start()
    wait_until(started.exists, "the job starts")
    (dead,) = [entry["id"] for entry in client.broker.get_all_brokers()]
    victim.kill()
    workers.start()
    (run,) = wait_for(collector, workers, "process hangs")
    (send,) = wait_for(collector, workers, "send hangs")
    assert run.parent == ""
    assert run.trace != send.trace
    assert run.links == [(send.trace, send.id, "creation")]
    assert run.attributes["spinach.job.origin"] == "recovery"
    assert run.attributes["spinach.job.recovered_from"] == dead
    assert run.attributes["spinach.job.attempt"] == "2"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "known are otlp, console and none"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999", "max_export_batch_size must be less than or equal"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "max_queue_size must be a positive integer"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1", "OTEL_SPAN_LINK_COUNT_LIMIT must be"),
        ("OTEL_PROPAGATORS", "bogus", "Propagator bogus not found"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "bogus", "OTEL_PYTHON_TRACER_PROVIDER is 'bogus'; installed are"),
    ],
)
def test_a_variable_that_cannot_be_used_is_said_at_once(
    unwatched: Workers, variable: str, value: str, told: str
) -> None:
    """`spinach worker --trace` ends with exit code 2 and says what to do."""
    assert unwatched.start(**{variable: value}).wait(30) == 2
    log = unwatched.log()
    (line,) = [line for line in log.splitlines() if line.startswith("spinach worker: error: --trace: ")]
    assert told in line
    assert "Traceback" not in log


def test_a_missing_exporter_is_said_at_once(unwatched: Workers, tmp_path: Path) -> None:
    """Without the extra, the message names it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
    )
    unwatched.environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    assert unwatched.start().wait(30) == 2
    assert "pip install 'spinach-ops[otel]'" in unwatched.log()


@pytest.mark.slow
def test_a_collector_that_is_away_stops_no_worker(unwatched: Workers, redis_engines: Engines) -> None:
    """Jobs run, and the worker ends in time, when nobody takes its spans."""
    client = redis_engines()
    client.task(lambda: None, name="follows")
    client.schedule("follows")
    process = unwatched.start(
        "--burst", NAMESPACE=client.namespace,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="60",
    )  # fmt: skip
    assert process.wait(30) == 0
    assert "1 done" in unwatched.log()
