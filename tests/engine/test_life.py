"""Starting, stopping, several engines, threads, signals of the operating system, the hooks."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from spinach import AsyncioWorkers, Batch, Engine, MemoryBroker, Tasks, ThreadWorkers, signals
from spinach.exc import (
    BrokerUnavailable,
    InvalidJobArguments,
    InvalidJobSignatureError,
    InvalidNamespace,
    UnknownTask,
)
from spinach.job import JobStatus
from tests.engine.conftest import Engines, Recorder
from tests.waiting import wait_until


def threads_of(engine: Engine) -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(engine.namespace)}


def test_a_client_has_no_threads(engines: Engines) -> None:
    """An engine that only schedules starts none."""
    engine = engines()
    engine._tasks.add(lambda: None, name="task")
    engine.schedule("task")
    assert threads_of(engine) == set()


def test_worker_mode_runs_the_named_threads_and_leaves_none(engines: Engines) -> None:
    """The threads have their documented names, and all are gone after a stop."""
    engine = engines()
    engine.start_workers(2, block=False)
    ns = engine.namespace
    assert threads_of(engine) >= {
        f"{ns}-arbiter", f"{ns}-result-notifier", f"{ns}-broker-subscriber", f"{ns}-worker-1",
        f"{ns}-worker-2",
    }  # fmt: skip
    engine.stop_workers()
    wait_until(lambda: threads_of(engine) == set())
    assert engine._broker.get_all_brokers() == []


@pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
def test_an_engine_can_be_started_again(engines: Engines, recorder: Recorder, workers: Any) -> None:
    """Start, stop, start: each time jobs run, under a new worker id; the second start is refused while
    running.
    """
    engine = engines()
    engine._tasks.add(lambda: None, name="task")
    ids = set()
    for round_ in range(1, 4):
        engine.start_workers(1, block=False, workers_class=workers)
        with pytest.raises(RuntimeError, match="run already"):
            engine.start_workers(1, block=False)
        ids.add(engine._broker.worker_id)
        engine.schedule("task")
        wait_until(lambda expected=round_: recorder.of("task").count("job_finished") == expected)
        engine.stop_workers()
        engine.stop_workers()
    assert len(ids) == 3


@pytest.mark.parametrize("number", [0, -1, "5", None, 2.5])
def test_a_bad_number_of_workers_leaves_nothing_behind(engines: Engines, number: Any) -> None:
    """`number` must be positive; after the error no thread and no registration is left."""
    engine = engines()
    with pytest.raises(ValueError, match="number of workers"):
        engine.start_workers(number, block=False)
    assert threads_of(engine) == set()
    engine.start_workers(1, block=False)


def test_running_jobs_finish_on_stop_and_unstarted_ones_stay(engines: Engines, recorder: Recorder) -> None:
    """A graceful stop waits for what runs and hands back the rest, in order."""
    engine = engines()
    running, release = threading.Event(), threading.Event()

    @engine.task(name="slow", max_retries=5)
    def slow(number: int) -> None:
        running.set()
        release.wait(10)

    batch = Batch()
    for number in range(20):
        batch.schedule("slow", number)
    engine.schedule_batch(batch)
    engine.start_workers(1, block=False)
    assert running.wait(10)
    stopper = threading.Thread(target=engine.stop_workers)
    stopper.start()
    release.set()
    stopper.join(15)
    assert not stopper.is_alive()
    finished = recorder.of("slow").count("job_finished")
    assert finished == recorder.of("slow").count("job_started") < 20
    seen: list[int] = []
    signals.job_started.connect(
        receiver := lambda _ns, job: seen.append(job.task_args[0]), sender=engine.namespace
    )
    engine.start_workers(1, block=False, stop_when_queue_empty=True)
    wait_until(lambda: len(seen) == 20 - finished)
    signals.job_started.disconnect(receiver)
    assert seen == list(range(finished, 20))


def test_burst_ends_by_itself(engines: Engines, recorder: Recorder) -> None:
    """`stop_when_queue_empty` returns once the queue is empty and nothing runs; future jobs stay."""
    engine = engines()
    engine._tasks.add(lambda: None, name="task")
    engine.schedule_at("task", datetime.now(timezone.utc) + timedelta(hours=1))
    for _ in range(10):
        engine.schedule("task")
    engine.start_workers(3, stop_when_queue_empty=True)
    assert recorder.of("task").count("job_finished") == 10


def test_burst_waits_for_jobs_blocked_by_a_limit(engines: Engines) -> None:
    """Jobs over their limit are waited for."""
    engine = engines()
    ran: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    running = [0]

    @engine.task(name="limited", max_retries=1, max_concurrency=1)
    def limited(number: int) -> None:
        with lock:
            running[0] += 1
            most.append(running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
            ran.append(number)

    for number in range(6):
        engine.schedule("limited", number)
    engine.start_workers(4, stop_when_queue_empty=True)
    assert sorted(ran) == list(range(6))
    assert max(most) == 1


def test_signals_stop_a_blocking_start_and_handlers_come_back(engines: Engines) -> None:
    """SIGTERM in the main thread stops gracefully, even when the application had a handler of its own."""
    engine = engines()
    called: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: called.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        started = threading.Event()
        engine._tasks.add(started.set, name="task")
        engine.schedule("task")
        killer = threading.Thread(target=lambda: started.wait(10) and os.kill(os.getpid(), signal.SIGTERM))
        killer.start()
        engine.start_workers(1)
        killer.join()
        assert called == []
        assert signal.getsignal(signal.SIGTERM) is mine
        assert threads_of(engine) == set()
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_a_blocking_start_works_outside_the_main_thread(engines: Engines) -> None:
    """There it installs no handlers, and another thread stops it."""
    engine = engines()
    thread = threading.Thread(target=engine.start_workers, args=(1,))
    thread.start()
    wait_until(lambda: f"{engine.namespace}-arbiter" in threads_of(engine))
    engine.stop_workers()
    thread.join(10)
    assert not thread.is_alive()


def test_engines_do_not_hear_each_other(engines: Engines) -> None:
    """Signals carry the namespace as sender; None hears every engine."""
    one, two = engines(f"{engines.namespace}-1"), engines(f"{engines.namespace}-2")
    heard: list[str] = []
    everywhere: list[str] = []

    @signals.job_finished.connect_via(one.namespace)
    def first(namespace: str, job: Any, **_: Any) -> None:
        heard.append(namespace)

    @signals.job_finished.connect_via(None)
    def anyone(namespace: str, **_: Any) -> None:
        everywhere.append(namespace)

    for engine in (one, two):
        engine._tasks.add(lambda: None, name="task")
        engine.start_workers(1, block=False)
        engine.schedule("task")
    wait_until(lambda: {one.namespace, two.namespace} <= set(everywhere))
    assert heard == [one.namespace]
    signals.job_finished.disconnect(first, sender=one.namespace)
    signals.job_finished.disconnect(anyone)


def test_thread_workers_tell_of_each_thread_and_asyncio_workers_once(
    engines: Engines, recorder: Recorder
) -> None:
    """`worker_started` and `worker_terminated` come in pairs."""
    engine = engines()
    engine.start_workers(3, block=False)
    engine.stop_workers()
    engine.start_workers(3, block=False, workers_class=AsyncioWorkers)
    engine.stop_workers()
    assert len(recorder.facts("worker_started")) == len(recorder.facts("worker_terminated")) == 4


def test_an_idle_worker_hears_of_a_job_at_once(redis_engines: Engines) -> None:
    """A job scheduled elsewhere starts without waiting for a poll: far sooner than any timer of the
    worker.
    """
    worker, client = redis_engines(), redis_engines()
    started = threading.Event()
    worker._tasks.add(started.set, name="task")
    client._tasks.add(lambda: None, name="task")
    worker.start_workers(1, block=False)
    for _ in range(20):
        started.clear()
        client.schedule("task")
        assert started.wait(5)


def test_many_jobs_due_at_once_all_run(redis_engines: Engines) -> None:
    """2,500 jobs due in the same second all start, none before its date."""
    engine = redis_engines()
    due = datetime.now(timezone.utc) + timedelta(seconds=1)
    starts: list[datetime] = []
    engine._tasks.add(lambda: starts.append(datetime.now(timezone.utc)), name="due", max_retries=1)
    batch = Batch()
    for _ in range(2500):
        batch.schedule_at("due", due)
    engine.start_workers(4, block=False)
    engine.schedule_batch(batch)
    wait_until(lambda: len(starts) >= 2500)
    assert len(starts) == 2500
    assert min(starts) >= due


def test_asyncio_workers_run_jobs_concurrently(engines: Engines) -> None:
    """Coroutines overlap on one loop, as many as there are slots."""
    import asyncio

    engine = engines()
    running, most = [0], [0]

    @engine.task(name="waits")
    async def waits() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        while most[0] < 20:
            await asyncio.sleep(0.005)
        running[0] -= 1

    engine.start_workers(20, block=False, workers_class=AsyncioWorkers)
    for _ in range(20):
        engine.schedule("waits")
    wait_until(lambda: most[0] == 20 and running[0] == 0)


def test_a_wrapper_encloses_the_attempt(engines: Engines, recorder: Recorder) -> None:
    """A wrapper is entered before `job_started`, left after `job_finished`, and given the exception."""
    engine = engines()
    log: list[Any] = []

    @contextlib.contextmanager
    def wrapper(attempt: Any) -> Iterator[None]:
        log.append(("enter", attempt.job.task_name, threading.get_ident()))
        try:
            yield
        except ValueError as error:
            log.append(("error", str(error)))
            raise
        finally:
            log.append(("exit", attempt.outcome.verdict.value, threading.get_ident()))

    @engine.task(name="raises")
    def raises() -> None:
        log.append(("run", threading.get_ident()))
        raise ValueError("on purpose")

    remove = engine.wrap_attempts(wrapper)
    engine.start_workers(1, block=False)
    engine.schedule("raises")
    wait_until(lambda: len(log) == 4)
    ident = log[1][1]
    assert log == [
        ("enter", "raises", ident),
        ("run", ident),
        ("error", "on purpose"),
        ("exit", "failed", ident),
    ]
    remove()
    engine.schedule("raises")
    wait_until(lambda: recorder.of("raises").count("job_finished") == 2)
    assert len(log) == 5


def test_wrappers_that_fail_harm_nothing(engines: Engines, recorder: Recorder) -> None:
    """Failing on entry, on exit, or swallowing the exception makes no difference to the job."""
    engine = engines()

    def explodes(_attempt: Any) -> Any:
        raise SystemExit("wrapper")

    @contextlib.contextmanager
    def explodes_later(_attempt: Any) -> Iterator[None]:
        yield
        raise RuntimeError("wrapper")

    swallows = lambda _attempt: contextlib.suppress(BaseException)  # noqa: E731
    for wrapper in (explodes, explodes_later, swallows):
        engine.wrap_attempts(wrapper)

    @engine.task(name="raises")
    def raises() -> None:
        raise ValueError("on purpose")

    engine.start_workers(1, block=False)
    engine.schedule("raises")
    wait_until(lambda: recorder.of("raises") == ["job_queued", "job_started", "job_failed", "job_finished"])


def test_an_enqueue_wrapper_adds_headers_that_reach_the_attempt(engines: Engines) -> None:
    """Headers set at enqueue travel with the job, retries included."""
    engine = engines()
    seen: list[Any] = []

    @contextlib.contextmanager
    def inject(jobs: Any) -> Iterator[None]:
        for job in jobs:
            job.headers = {"traceparent": "00-abc", "ünï": "códe"}
        yield

    @engine.task(name="task", max_retries=1)
    def task() -> None:
        from spinach import RetryException

        if len(seen) == 1:
            raise RetryException("again", at=datetime.now(timezone.utc))

    engine.wrap_enqueues(inject)
    signals.job_started.connect(
        receiver := lambda _ns, job: seen.append(job.headers), sender=engine.namespace
    )
    engine.start_workers(1, block=False)
    engine.schedule("task")
    wait_until(lambda: len(seen) == 2)
    signals.job_started.disconnect(receiver)
    assert seen == [{"traceparent": "00-abc", "ünï": "códe"}] * 2


def test_enqueue_wrappers_that_fail_change_nothing_for_the_caller(engines: Engines) -> None:
    """The caller gets its job when a wrapper raises at either end, and its error when one swallows errors."""
    engine = engines()
    engine.task(lambda: None, name="task")
    told: list[BaseException | None] = []

    def explodes(_jobs: Any) -> Any:
        raise RuntimeError("wrapper")

    @contextlib.contextmanager
    def explodes_later(_jobs: Any) -> Iterator[None]:
        yield
        raise RuntimeError("wrapper")

    @contextlib.contextmanager
    def swallows(_jobs: Any) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            told.append(error)

    for wrapper in (explodes, explodes_later, swallows):
        engine.wrap_enqueues(wrapper)
    assert engine.schedule("task").status is JobStatus.QUEUED
    refused = BrokerUnavailable("on purpose")

    def refuse(_jobs: Any) -> None:
        raise refused

    engine.broker.enqueue = refuse  # type: ignore[method-assign]
    with pytest.raises(BrokerUnavailable):
        engine.schedule("task")
    assert told == [refused]


def test_vitals_tell_how_the_workers_fare(engines: Engines) -> None:
    """None before and after; meanwhile slots, busy ones, and every background duty alive."""
    engine = engines()
    assert engine.vitals is None
    release = threading.Event()
    engine.task(lambda: release.wait(15), name="waits")
    engine.start_workers(2, block=False)
    engine.schedule("waits")
    wait_until(lambda: engine.vitals is not None and engine.vitals.busy == 1)
    vitals = engine.vitals
    assert vitals is not None
    assert (vitals.state, vitals.slots, vitals.unacknowledged) == ("running", 2, 0)
    assert {service.name for service in vitals.services if service.alive} == {
        "arbiter", "notifier", "heartbeat", "rescuer", "subscriber", "workers",
    }  # fmt: skip
    assert vitals.heartbeat_at <= time.time()
    assert max(vitals.heartbeat_seconds, vitals.answered_seconds) < 10
    assert all(time.time() - service.last_run_at < 10 for service in vitals.services)
    assert all(service.silent_seconds < 10 for service in vitals.services)
    release.set()
    engine.stop_workers()
    assert engine.vitals is None


def test_stop_listeners_hear_of_each_stop(engines: Engines) -> None:
    """They are called once the workers ended; one that raises harms nothing."""
    engine = engines()
    heard: list[object] = []
    engine.when_stopped(lambda: heard.append(1 / 0))
    remove = engine.when_stopped(lambda: heard.append(engine.vitals))
    engine.start_workers(1, block=False)
    engine.stop_workers()
    assert heard == [None]
    remove()
    engine.start_workers(1, block=False)
    engine.stop_workers()
    assert heard == [None]


def test_announced_facts_stand_in_the_record_of_the_worker(engines: Engines) -> None:
    """What a process announces stands beside what the engine tells, and cannot replace it."""
    engine = engines()
    engine.announce("metrics_url", "http://127.0.0.1:9850")
    engine.announce("slots", "many")
    engine.start_workers(2, block=False)
    (entry,) = engine.broker.get_all_brokers()
    assert (entry["metrics_url"], entry["slots"]) == ("http://127.0.0.1:9850", 2)


class TestBadInput:
    """Each kind of bad input is a clear error before anything is sent."""

    def test_unknown_task(self, engines: Engines) -> None:
        """The message names the task and those that are known."""
        engine = engines()
        engine._tasks.add(lambda: None, name="known")
        with pytest.raises(UnknownTask, match=r'"nope".*known'):
            engine.schedule("nope")

    def test_wrong_signature(self, engines: Engines) -> None:
        """Arguments that do not fit are refused, and name what is missing."""
        engine = engines()
        engine._tasks.add(lambda a, b=1: None, name="task")
        for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"c": 1}), ((1,), {"a": 2})):
            with pytest.raises(InvalidJobSignatureError, match="task"):
                engine.schedule("task", *args, **kwargs)
        assert engine._broker.is_queue_empty("spinach")

    @pytest.mark.parametrize(
        "value", [object(), {1, 2}, b"bytes", float("nan"), float("inf"), datetime.now(timezone.utc)]
    )
    def test_unserialisable_argument(self, engines: Engines, value: Any) -> None:
        """What is not strict JSON is refused, in a batch for all of it."""
        engine = engines()
        engine._tasks.add(lambda a: None, name="task")
        batch = Batch()
        batch.schedule("task", 1)
        batch.schedule("task", value)
        with pytest.raises(InvalidJobArguments, match="JSON"):
            engine.schedule_batch(batch)
        assert engine._broker.is_queue_empty("spinach")

    def test_circular_argument(self, engines: Engines) -> None:
        """A structure that contains itself is refused."""
        engine = engines()
        engine._tasks.add(lambda a: None, name="task")
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(InvalidJobArguments):
            engine.schedule("task", circle)

    @pytest.mark.parametrize("namespace", ["", "a\x00b", "a\nb", "a\x1b[31m", None, 5, "\ud800"])
    def test_bad_namespace(self, namespace: Any) -> None:
        """Empty ones and control characters are refused."""
        with pytest.raises(InvalidNamespace):
            Engine(MemoryBroker(), namespace=namespace)

    @pytest.mark.parametrize("namespace", ["a b", "a/b", "{a}", "100%", "a*[b]?", "ünï", "a:b"])
    def test_odd_namespaces_work(self, engines: Engines, recorder: Recorder, namespace: str) -> None:
        """Whatever the published package accepts works."""
        engine = engines(f"{engines.namespace} {namespace}")
        done = threading.Event()
        engine._tasks.add(done.set, name="task")
        engine.start_workers(1, block=False)
        engine.schedule("task")
        assert done.wait(10)

    def test_reserved_queue(self, engines: Engines) -> None:
        """Queues that start with an underscore belong to Spinach."""
        with pytest.raises(ValueError, match="reserved"):
            engines().start_workers(1, queue="_mine", block=False)

    def test_a_date_that_is_none(self, engines: Engines) -> None:
        """`schedule_at` wants a datetime."""
        engine = engines()
        engine._tasks.add(lambda: None, name="task")
        with pytest.raises(TypeError, match="datetime"):
            engine.schedule_at("task", "tomorrow")  # type: ignore[arg-type]

    def test_unattached_tasks(self) -> None:
        """A registry schedules only once attached."""
        tasks = Tasks()
        with pytest.raises(RuntimeError, match="attach"):
            tasks.schedule("task")


class TestBadServer:
    """A server that cannot be used is a clear error."""

    def test_nobody_listens(self) -> None:
        """Scheduling says that nothing was accepted and where nobody answers."""
        import redis

        from spinach import RedisBroker
        from spinach.exc import BrokerUnavailable, EnqueueUncertain

        client = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
        engine = Engine(RedisBroker(client, enqueue_job_max_retries=1), namespace="down")
        engine._tasks.add(lambda: None, name="task")
        with pytest.raises(BrokerUnavailable, match=r"not accepted.*127\.0\.0\.1:1") as caught:
            engine.schedule("task")
        assert not isinstance(caught.value, EnqueueUncertain)
        assert isinstance(caught.value, redis.ConnectionError)
        with pytest.raises(BrokerUnavailable, match="no connection"):
            engine.start_workers(1, block=False)
        assert threads_of(engine) == set()

    def test_wrong_password(self, make_server: Any) -> None:
        """A refused password is named as such, and not shown."""
        from spinach import RedisBroker
        from spinach.exc import BrokerUnavailable

        server = make_server("valkey")
        server.client().config_set("requirepass", "right")
        for options in ({"password": "wr0ng-secret"}, {}):
            engine = Engine(
                RedisBroker(server.client(**options), enqueue_job_max_retries=0), namespace="auth"
            )
            engine._tasks.add(lambda: None, name="task")
            with pytest.raises(BrokerUnavailable, match=r"(?i)password|auth") as caught:
                engine.schedule("task")
            assert "wr0ng-secret" not in str(caught.value)

    def test_a_queue_of_a_foreign_type(self, redis_engines: Engines) -> None:
        """Scheduling into a key that is no queue names it, and schedules nothing of a batch."""
        from spinach.exc import WrongKeyType

        engine = redis_engines()
        assert redis_engines.server is not None
        client = redis_engines.server.client()
        client.set(f"{engine.namespace}/taken", "a string")
        engine._tasks.add(lambda: None, name="task", queue="taken")
        engine._tasks.add(lambda: None, name="fine", queue="fine")
        with pytest.raises(WrongKeyType):
            engine.schedule("task")
        batch = Batch()
        batch.schedule("fine")
        batch.schedule("task")
        with pytest.raises(WrongKeyType, match="taken"):
            engine.schedule_batch(batch)
        assert engine._broker.is_queue_empty("fine")

    def test_a_client_that_decodes_responses(self, redis_engines: Engines) -> None:
        """`decode_responses=True`, and either protocol, work."""
        for options in (
            {"decode_responses": True},
            {"protocol": 3},
            {"protocol": 3, "decode_responses": True},
        ):
            engine = redis_engines(
                f"{redis_engines.namespace}-{len(options)}-{options.get('protocol')}", **options
            )
            ran: list[Any] = []
            engine._tasks.add(ran.append, name="task", max_retries=1)
            engine.start_workers(1, block=False)
            engine.schedule("task", "ünï")
            engine.schedule_at("task", datetime.now(timezone.utc) + timedelta(milliseconds=50), 2)
            wait_until(lambda found=ran: len(found) == 2)
            engine.stop_workers()
