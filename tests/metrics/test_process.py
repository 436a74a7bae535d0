"""The process family: every transition is counted once, in bounded series, and nothing of it touches a
job.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from spinach import AbortException, Engine, MemoryBroker, RetryException, signals
from spinach.brokers.memory import MemoryStore
from spinach.job import Job
from spinach.stats.workers import WorkerInfo
from spinach_ops import instrument
from spinach_ops.metrics import catalog
from spinach_ops.metrics.labels import LabelCaps
from tests.metrics.conftest import MakeEngine, Samples
from tests.waiting import wait_until


def finished(samples: Samples, task: str) -> dict[str, float | None]:
    name = "spinach_jobs_finished_total"
    return {
        outcome: samples(name, queue="spinach", task=task, outcome=outcome)
        for outcome in ("succeeded", "retried", "failed")
    }


def test_each_outcome_is_counted_once(engine: Engine, samples: Samples) -> None:
    """Successes, retries, failures and what raised are told apart; a retry is no new job."""
    tries: list[int] = []

    @engine.task(name="good")
    def good() -> None: ...

    @engine.task(name="bad")
    def bad() -> None:
        raise ValueError("on purpose")

    @engine.task(name="again", max_retries=2)
    def again() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RetryException("later", at=datetime.now(timezone.utc))
        raise AbortException("enough")

    engine.start_workers(2, block=False)
    for name in ("good", "good", "bad", "again"):
        engine.schedule(name)
    wait_until(
        lambda: (finished(samples, "again")["failed"], finished(samples, "good")["succeeded"]) == (1, 2)
    )
    wait_until(lambda: finished(samples, "bad")["failed"] == 1)
    assert finished(samples, "good") == {"succeeded": 2, "retried": 0, "failed": 0}
    assert finished(samples, "bad") == {"succeeded": 0, "retried": 0, "failed": 1}
    assert finished(samples, "again") == {"succeeded": 0, "retried": 1, "failed": 1}
    started = "spinach_jobs_started_total"
    assert [samples(started, queue="spinach", task=task) for task in ("good", "bad", "again")] == [2, 1, 2]
    submitted = "spinach_jobs_submitted_total"
    assert samples(submitted, queue="spinach", task="again", status="queued") == 1
    assert samples(submitted, queue="spinach", task="again", status="waiting") == 0
    errors = "spinach_job_errors_total"
    assert samples(errors, task="bad", error_type="ValueError", outcome="failed") == 1
    assert samples(errors, task="again", error_type="spinach.task.RetryException", outcome="retried") == 1
    assert samples(errors, task="again", error_type="spinach.task.AbortException", outcome="failed") == 1
    assert samples("spinach_job_duration_seconds_count", queue="spinach", task="again") == 2
    assert samples("spinach_job_queue_wait_seconds_count", queue="spinach") == 5


def test_a_delay_that_was_asked_for_is_no_wait(engine: Engine, samples: Samples) -> None:
    """A job with a date counts as waiting, then promoted, and waits in its queue only from that date on."""
    engine.task(lambda: None, name="later")
    engine.start_workers(1, block=False)
    engine.schedule_at("later", datetime.now(timezone.utc) + timedelta(seconds=0.6))
    wait_until(lambda: finished(samples, "later")["succeeded"] == 1)
    names = {"queue": "spinach", "task": "later"}
    assert samples("spinach_jobs_submitted_total", status="waiting", **names) == 1
    assert samples("spinach_jobs_promoted_total", **names) == 1
    waited = samples("spinach_job_queue_wait_seconds_sum", queue="spinach")
    assert waited is not None
    assert waited < 0.5


def test_series_of_attached_tasks_exist_before_they_count(engine: Engine, samples: Samples) -> None:
    """A task that never ran is 0, not unknown, also when it was attached after the engine was
    instrumented.
    """
    engine.task(lambda: None, name="never", queue="quiet")
    for outcome in ("succeeded", "retried", "failed"):
        assert samples("spinach_jobs_finished_total", queue="quiet", task="never", outcome=outcome) == 0
    assert samples("spinach_job_duration_seconds_count", queue="quiet", task="never") == 0


def test_an_unknown_task_counts_as_an_attempt_that_failed(engine: Engine, samples: Samples) -> None:
    """A job nobody can run counts as started and failed, as the broker counts it, with the reason; it took no
    time.
    """
    task = engine.task(lambda: None, name="gone")
    engine.schedule(task)
    engine._tasks.tasks.clear()
    engine.start_workers(1, block=False)
    wait_until(lambda: finished(samples, "gone")["failed"] == 1)
    assert samples("spinach_jobs_started_total", queue="spinach", task="gone") == 1
    assert samples("spinach_job_duration_seconds_count", queue="spinach", task="gone") == 0
    unknown = {"error_type": "spinach.exc.UnknownTask", "outcome": "failed"}
    assert samples("spinach_job_errors_total", task="gone", **unknown) == 1


def test_a_dead_workers_job_counts_as_recovered_or_lost(engine: Engine, samples: Samples) -> None:
    """What a survivor took over counts under its outcome, and not as an attempt that ended here."""
    from spinach.exc import WorkerLost

    engine.task(lambda: None, name="task")
    job = Job("task", "spinach", datetime.now(timezone.utc), 0)
    dead = WorkerInfo("id", "host", 0.0, 0.0, 60.0)
    signals.job_recovered.send(engine.namespace, job=job, worker_info=dead)
    signals.job_failed.send(engine.namespace, job=job, err=WorkerLost("dead"))
    names = {"queue": "spinach", "task": "task"}
    assert samples("spinach_jobs_recovered_total", outcome="requeued", **names) == 1
    assert samples("spinach_jobs_recovered_total", outcome="failed", **names) == 1
    assert finished(samples, "task")["failed"] == 0


def test_slots_state_and_services_of_a_worker(engine: Engine, samples: Samples) -> None:
    """A process that works tells its capacity, its state and its background loops; a client has none of
    them.
    """
    assert samples("spinach_worker_slots") is None
    engine.start_workers(3, block=False)
    assert samples("spinach_worker_slots") == 3
    assert samples("spinach_worker_slots_busy") == 0
    assert samples("spinach_worker_state", state="running") == 1
    assert samples("spinach_worker_state", state="stopping") == 0
    services = ("arbiter", "notifier", "heartbeat", "rescuer", "subscriber")
    for service in services:
        assert samples("spinach_worker_service_last_run_timestamp_seconds", service=service)
        assert samples("spinach_worker_service_failures_total", service=service) == 0
    engine.stop_workers()
    assert samples("spinach_worker_slots") is None


def test_instrumenting_twice_counts_once(engine: Engine) -> None:
    """The second call returns what is there."""
    first, second = instrument(engine), instrument(engine)
    assert first is second
    engine.task(lambda: None, name="task")
    engine.schedule("task")
    assert Samples(first)("spinach_jobs_submitted_total", queue="spinach", task="task", status="queued") == 1
    first.uninstrument()


def test_after_uninstrumenting_nothing_is_counted(engine: Engine) -> None:
    """What was counted stays; a later call instruments anew."""
    instrumentation = instrument(engine)
    engine.task(lambda: None, name="task")
    engine.schedule("task")
    instrumentation.uninstrument()
    engine.schedule("task")
    counted = {"queue": "spinach", "task": "task", "status": "queued"}
    assert Samples(instrumentation)("spinach_jobs_submitted_total", **counted) == 1
    again = instrument(engine)
    assert again is not instrumentation
    again.uninstrument()


def test_engines_share_a_registry_and_stay_apart(make_engine: MakeEngine) -> None:
    """Several engines in one registry are told apart by their namespace, in both families."""
    registry = CollectorRegistry()
    engines = [make_engine(), make_engine()]
    for number, engine in enumerate(engines, 1):
        instrument(engine, registry=registry)
        engine.task(lambda: None, name="task")
        for _ in range(number):
            engine.schedule("task")
    for number, engine in enumerate(engines, 1):
        names = {"spinach_namespace": engine.namespace, "queue": "spinach"}
        submitted = {**names, "task": "task", "status": "queued"}
        assert registry.get_sample_value("spinach_jobs_submitted_total", submitted) == number
        assert registry.get_sample_value("spinach_queue_depth", names) == number


def test_too_many_names_are_folded_and_counted(make_engine: MakeEngine) -> None:
    """Beyond the caps series are counted as `other`, and the overflow shows; the first ones are kept."""
    engine = make_engine()
    instrumentation = instrument(engine, caps=LabelCaps(pairs=2, queues=2, tasks=10, error_types=1))
    samples = Samples(instrumentation)
    for number in range(4):
        engine.task(lambda: None, name=f"task-{number}")
        engine.schedule(f"task-{number}")
    counted = {"queue": "spinach", "status": "queued"}
    assert samples("spinach_jobs_submitted_total", task="task-0", **counted) == 1
    assert samples("spinach_jobs_submitted_total", task="task-3", **counted) is None
    assert samples("spinach_jobs_submitted_total", task="other", **counted) == 2
    for _ in range(3):  # looking again is no more names
        folded = instrumentation.registry.get_sample_value(
            "spinach_telemetry_overflow_total", {"reason": "pairs"}
        )
    assert folded == 2


def test_two_engines_of_one_namespace_count_once(make_engine: MakeEngine) -> None:
    """A client and a worker in one process share their series; taking one off leaves the other's."""
    registry = CollectorRegistry()
    store = MemoryStore()
    client, worker = (Engine(MemoryBroker(store=store), namespace="shared") for _ in range(2))
    first, second = (instrument(engine, registry=registry) for engine in (client, worker))
    for engine in (client, worker):
        engine.task(lambda: None, name="task")
    worker.start_workers(2, block=False)
    client.schedule("task")
    samples = Samples(first)
    wait_until(lambda: finished(samples, "task")["succeeded"] == 1)
    names = {"queue": "spinach", "task": "task"}
    assert samples("spinach_jobs_submitted_total", status="queued", **names) == 1
    assert samples("spinach_jobs_started_total", **names) == 1
    first.uninstrument()
    client.schedule("task")
    wait_until(lambda: finished(samples, "task")["succeeded"] == 2)
    assert samples("spinach_queue_depth", queue="spinach") == 0
    worker.stop_workers()
    second.uninstrument()
    assert samples("spinach_queue_depth", queue="spinach") is None


def test_two_worker_engines_of_one_namespace_are_one_process(make_engine: MakeEngine) -> None:
    """Their slots add up; of the rest the worse one shows."""
    registry = CollectorRegistry()
    store = MemoryStore()
    engines = [Engine(MemoryBroker(store=store), namespace="both") for _ in range(2)]
    for number, engine in enumerate(engines, 1):
        samples = Samples(instrument(engine, registry=registry))
        engine.start_workers(number, queue=f"queue-{number}", block=False)
    assert samples("spinach_worker_slots") == 3
    assert samples("spinach_worker_state", state="running") == 1
    assert samples("spinach_worker_service_failures_total", service="arbiter") == 0
    for engine in engines:
        engine.stop_workers()


def test_another_registry_for_an_instrumented_engine_is_warned_about(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The first registry stays, and the log says so."""
    first = instrument(engine)
    assert instrument(engine, registry=CollectorRegistry()) is first
    assert [record for record in caplog.records if getattr(record, "action", "") == "instrumented_already"]


def test_a_registry_that_has_one_of_the_names_stays_as_it_was(engine: Engine) -> None:
    """The error names the clash, and a later try says the same."""
    registry = CollectorRegistry()
    Gauge("spinach_queue_depth", "Somebody else's.", registry=registry)
    for _ in range(2):
        with pytest.raises(ValueError, match="spinach_queue_depth"):
            instrument(engine, registry=registry)
    assert registry.get_sample_value("spinach_queue_depth") == 0


HOSTILE = ["\x1b[31mred", "tab\tnew\nline", 'quote"back\\slash', "\ud800", "x" * 1000, "{}", "ünï", " "]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_any_name_makes_a_page_that_can_be_read(engine: Engine, samples: Samples, name: str) -> None:
    """Names with control characters, quotes, lone surrogates or of any length never break the page."""
    job = Job(name, name, datetime.now(timezone.utc), 0)
    signals.job_started.send(engine.namespace, job=job, queue_wait=0.0)
    error = type("Odd", (Exception,), {"__module__": name})("on purpose")
    signals.job_failed.send(engine.namespace, job=job, err=error, duration=0.1)
    page = generate_latest(samples._registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    (label,) = {
        sample.labels["task"] for sample in families["spinach_jobs_started"].samples if sample.value == 1
    }
    assert len(label) <= 128
    assert label.isprintable()


def test_receivers_that_raise_are_counted(engine: Engine, samples: Samples) -> None:
    """A receiver of the application that raises shows in the metrics, under its signal."""

    def explodes(*_: Any, **__: Any) -> None:
        raise RuntimeError("on purpose")

    signals.job_queued.connect(explodes, sender=engine.namespace)
    engine.task(lambda: None, name="task")
    engine.schedule("task")
    signals.job_queued.disconnect(explodes)
    assert samples("spinach_telemetry_receiver_errors_total", signal="job_queued") == 1


def test_created_samples_are_only_there_when_asked_for(make_engine: MakeEngine) -> None:
    """The client library's `_created` samples, which Prometheus stores as series, are left out."""
    plain, full = make_engine(), make_engine()
    for engine in (plain, full):
        engine.task(lambda: None, name="task")
    without = generate_latest(instrument(plain).registry).decode()
    created = generate_latest(instrument(full, created=True).registry).decode()
    assert "_created" not in without
    assert "spinach_jobs_started_created" in created


def test_buckets_of_a_histogram_can_be_chosen(engine: Engine) -> None:
    """Buckets are an argument; a name that is no histogram is an error that names those there are."""
    with pytest.raises(ValueError, match=r"nonsense.*spinach_job_duration_seconds"):
        instrument(engine, buckets={"nonsense": (1,)})
    instrumentation = instrument(engine, buckets={"spinach_job_duration_seconds": (1, 2)})
    engine.task(lambda: None, name="task")
    names = {"queue": "spinach", "task": "task"}
    samples = Samples(instrumentation)
    assert samples("spinach_job_duration_seconds_bucket", le="2.0", **names) == 0
    assert samples("spinach_job_duration_seconds_bucket", le="0.005", **names) is None


def test_every_exposed_family_is_in_the_catalog(engine: Engine, samples: Samples) -> None:
    """What is exposed is what the catalog lists: names, kinds, labels, and nothing else."""
    engine.task(lambda: None, name="task", max_retries=1, max_concurrency=1)
    engine.task(lambda: None, name="tick", periodicity=timedelta(hours=1))
    engine.start_workers(1, block=False)
    engine.schedule("task")
    wait_until(lambda: finished(samples, "task")["succeeded"] == 1)
    listed = {metric.base_name: metric for metric in catalog.METRICS}
    for family in samples._registry.collect():
        metric = listed[family.name]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        for sample in family.samples:
            extra = {"le"} if metric.kind == "histogram" else set()
            assert set(sample.labels) - extra == set(metric.labels)
