"""The messaging metrics of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spinach import Batch, signals
from spinach.exc import BrokerUnavailable
from spinach.execution import Attempt, Environment
from spinach_ops.metrics import otel as otel_metrics
from spinach_ops.metrics.labels import LabelCaps
from spinach_ops.metrics.otel import instrument_otel_metrics
from tests.tracing.conftest import Engines
from tests.waiting import wait_until


class Measured:
    """A provider that can be read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Return attributes and point of each series."""
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return []
        return [
            (dict(point.attributes), point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def measured() -> Iterator[Measured]:
    made = Measured()
    yield made
    made.provider.shutdown()


def test_calls_and_attempts_are_measured(engines: Engines, measured: Measured) -> None:
    """Every job counts once as sent and once per attempt, with the attributes of the conventions and its
    task.
    """
    engine = engines()
    end = instrument_otel_metrics(engine, meter_provider=measured.provider)
    instrument_otel_metrics(engine, meter_provider=measured.provider)()

    @engine.task(name="fails")
    def fails() -> None:
        raise ValueError("on purpose")

    engine.task(lambda: None, name="ok")
    ended: list[str] = []
    receiver = lambda _ns, outcome: ended.append(outcome)  # noqa: E731
    signals.job_finished.connect(receiver, sender=engine.namespace)
    batch = Batch()
    for name in ("ok", "ok", "fails"):
        batch.schedule(name)
    engine.schedule_batch(batch)
    engine.schedule("ok")
    engine.start_workers(1, block=False)
    wait_until(lambda: len(ended) == 4)
    engine.stop_workers()
    end()
    engine.schedule("ok")

    sent = {
        facts["spinach.task.name"]: point.value
        for facts, point in measured.points(otel_metrics.SENT_MESSAGES)
    }
    assert sent == {"ok": 3, "fails": 1}
    calls = measured.points(otel_metrics.OPERATION_DURATION)
    assert sum(point.count for _, point in calls) == 2
    assert {facts.get("spinach.task.name") for facts, _ in calls} == {None, "ok"}
    assert calls[0][1].explicit_bounds == otel_metrics.BUCKETS
    consumed = measured.points(otel_metrics.CONSUMED_MESSAGES)
    assert {(facts["spinach.task.name"], facts.get("error.type")): point.value for facts,
        point in consumed} == {
        ("ok", None): 3, ("fails", "ValueError"): 1,
    }  # fmt: skip
    assert sum(point.count for _, point in measured.points(otel_metrics.PROCESS_DURATION)) == 4
    facts = next(facts for facts, _ in consumed if facts["spinach.task.name"] == "ok")
    assert facts["messaging.system"] == "spinach"
    assert facts["messaging.operation.name"] == "process"
    assert facts["messaging.destination.name"] == f"{engine.namespace}/spinach"
    assert "messaging.message.id" not in facts


def test_a_call_that_fails_is_counted_with_its_error(engines: Engines, measured: Measured) -> None:
    """The caller gets the error unchanged."""
    engine = engines()
    end = instrument_otel_metrics(engine, meter_provider=measured.provider)
    engine.task(lambda: None, name="ok")

    def refuse(_jobs: Any) -> None:
        raise BrokerUnavailable("on purpose")

    engine.broker.enqueue = refuse  # type: ignore[method-assign]
    with pytest.raises(BrokerUnavailable):
        engine.schedule("ok")
    ((facts, point),) = measured.points(otel_metrics.SENT_MESSAGES)
    assert (facts["error.type"], point.value) == ("spinach.exc.BrokerUnavailable", 1)
    end()


def test_error_types_are_bounded(engines: Engines, measured: Measured) -> None:
    """Beyond the cap they are one series; the count stays right."""
    engine = engines()
    end = instrument_otel_metrics(engine, meter_provider=measured.provider, caps=LabelCaps(error_types=2))
    ended: list[str] = []
    receiver = lambda _ns, outcome: ended.append(outcome)  # noqa: E731
    signals.job_finished.connect(receiver, sender=engine.namespace)

    @engine.task(name="fails")
    def fails(number: int) -> None:
        raise type(f"Error{number}", (Exception,), {"__module__": "builtins"})

    for number in range(5):
        engine.schedule("fails", number)
    engine.start_workers(1, block=False)
    wait_until(lambda: len(ended) == 5)
    engine.stop_workers()
    end()
    counts = {
        facts["error.type"]: point.value for facts, point in measured.points(otel_metrics.CONSUMED_MESSAGES)
    }
    assert counts == {"Error0": 1, "Error1": 1, "_OTHER": 3}


def test_queues_and_tasks_are_bounded(engines: Engines, measured: Measured) -> None:
    """Names beyond the caps, which come from anybody's jobs, are one series, in calls and attempts; counts
    stay right.
    """
    engine = engines()
    caps = LabelCaps(queues=2, tasks=3)
    end = instrument_otel_metrics(engine, meter_provider=measured.provider, caps=caps)
    engine.broker.enqueue = lambda jobs: None  # type: ignore[method-assign]
    environment = Environment("ns", engine.broker.clock, lambda _: None, engine._hooks.attempts)
    for number in range(6):
        engine.task(lambda: None, name=f"task-{number}")
        job = engine.schedule(f"task-{number}")
        job.queue = f"queue-{number}"
        with Attempt(job, environment):
            pass
    batch = Batch()
    for number in range(6):
        batch.schedule(f"task-{number}")
    engine.schedule_batch(batch)
    end()
    for name in (otel_metrics.CONSUMED_MESSAGES, otel_metrics.SENT_MESSAGES):
        points = measured.points(name)
        assert len({facts["messaging.destination.name"] for facts, _ in points}) <= 3
        assert {facts["spinach.task.name"] for facts, _ in points} == {"task-0", "task-1", "task-2", "other"}
    assert sum(point.value for _, point in measured.points(otel_metrics.CONSUMED_MESSAGES)) == 6
    assert sum(point.value for _, point in measured.points(otel_metrics.SENT_MESSAGES)) == 12


def test_an_old_remover_does_nothing(engines: Engines, measured: Measured) -> None:
    """Called again after the engine was measured anew, it neither ends that nor lets it be measured twice."""
    engine = engines()
    engine.broker.enqueue = lambda jobs: None  # type: ignore[method-assign]
    engine.task(lambda: None, name="task")
    old = instrument_otel_metrics(engine, meter_provider=measured.provider)
    old()
    end = instrument_otel_metrics(engine, meter_provider=measured.provider)
    old()
    instrument_otel_metrics(engine, meter_provider=measured.provider)()
    engine.schedule("task")
    end()
    ((_, point),) = measured.points(otel_metrics.SENT_MESSAGES)
    assert point.value == 1
