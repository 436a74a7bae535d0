"""Replies that never arrive: what was applied is not applied twice, and nothing is forgotten."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from spinach import Batch, Engine, RedisBroker
from spinach.brokers.redis import scripts
from spinach.brokers.redis.enqueue import CHUNK_JOBS
from spinach.exc import BrokerUnavailable, EnqueueUncertain
from tests.apps.journal import Journal
from tests.apps.tasks import make_tasks
from tests.checker import read_places, violations
from tests.fleet import Fleet
from tests.proxy import Proxy
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]


def mark_of(script: scripts.Script) -> bytes:
    return script.sha.encode()


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet) -> Fleet:
    fleet = make_fleet(valkey_server)
    for script in (scripts.ENQUEUE, scripts.EXCHANGE, scripts.SETTLE):  # so that what is cut was applied
        fleet.redis.script_load(script.text)
    return fleet


@pytest.fixture
def proxy(valkey_server: Server) -> Iterator[Proxy]:
    proxy = Proxy(valkey_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def engine(fleet: Fleet, proxy: Proxy) -> Iterator[Engine]:
    """A client whose requests go through the proxy."""
    client = proxy.client(socket_timeout=2)
    engine = Engine(RedisBroker(client), namespace=fleet.namespace)
    engine.attach_tasks(make_tasks(Journal(str(fleet.journal_path), "client")))
    yield engine
    client.close()


def cuts(chance: random.Random, number: int, share: float) -> str:
    return "".join("c" if chance.random() < share else "." for _ in range(number))


def test_enqueueing_whose_reply_is_lost_adds_one_job(fleet: Fleet, proxy: Proxy, engine: Engine) -> None:
    """A schedule call that is repeated after a lost reply adds one job, not two."""
    proxy.cut_replies(mark_of(scripts.ENQUEUE), "c.cc.ccc.")
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    now = [engine.schedule("safe", f"now-{i}") for i in range(2)]
    dated = engine.schedule_at("safe", later, "dated")
    assert proxy.cuts == 6
    places = read_places(fleet)
    assert places.queued == {str(job.id): 1 for job in now}
    assert places.future == {str(dated.id): 1}


def test_a_batch_whose_reply_is_lost_is_added_once(fleet: Fleet, proxy: Proxy, engine: Engine) -> None:
    """A batch that spans several requests is added once, in order, whichever replies are lost."""
    proxy.cut_replies(mark_of(scripts.ENQUEUE), "c.c.c.")
    batch = Batch()
    for index in range(12_000):
        batch.schedule("safe", f"{index}")
    jobs = engine.schedule_batch(batch)
    assert proxy.cuts == 3
    texts = fleet.redis.lrange(fleet.key("spinach"), 0, -1)
    assert len(texts) == 12_000
    assert [str(job.id) in text.decode() for job, text in zip(jobs, texts, strict=True)].count(False) == 0


def test_when_every_reply_is_lost_the_error_says_that_nobody_knows(
    fleet: Fleet, proxy: Proxy, engine: Engine
) -> None:
    """Where no reply ever came the error is EnqueueUncertain, and at most one job was added."""
    proxy.cut_replies(mark_of(scripts.ENQUEUE), "c" * 20)
    with pytest.raises(EnqueueUncertain, match="may or may not have been accepted"):
        engine.schedule("safe", "x")
    assert fleet.redis.llen(fleet.key("spinach")) == 1


def test_a_refused_connection_says_that_nothing_was_accepted(fleet: Fleet, proxy: Proxy) -> None:
    """Without a server the error says that the job was not accepted, and names the address without
    password.
    """
    proxy.close()
    client = proxy.client(password="hunter2", retry=Retry(NoBackoff(), 0))
    broker = RedisBroker(client, enqueue_job_max_retries=1)
    engine = Engine(broker, namespace=fleet.namespace)
    engine.attach_tasks(make_tasks(Journal(str(fleet.journal_path), "client")))
    with pytest.raises(BrokerUnavailable, match="not accepted") as caught:
        engine.schedule("safe", "x")
    assert not isinstance(caught.value, EnqueueUncertain)
    assert isinstance(caught.value, ConnectionError)
    assert str(proxy.port) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_number_of_attempts_bounds_how_long_a_client_waits(fleet: Fleet, proxy: Proxy) -> None:
    """With no retries allowed the first lost reply ends the call."""
    client = proxy.client(socket_timeout=2)
    engine = Engine(RedisBroker(client, enqueue_job_max_retries=0), namespace=fleet.namespace)
    engine.attach_tasks(make_tasks(Journal(str(fleet.journal_path), "client")))
    proxy.cut_replies(mark_of(scripts.ENQUEUE), "c")
    with pytest.raises(EnqueueUncertain):
        engine.schedule("safe", "x")
    client.close()


@pytest.fixture
def batch_of_chunks() -> Batch:
    """A batch that takes three calls: two full ones, and one of 200 jobs."""
    batch = Batch()
    for index in range(2 * CHUNK_JOBS + 200):
        batch.schedule("safe", str(index))
    return batch


def test_a_batch_whose_later_reply_is_lost_says_how_many_jobs_were_accepted(
    fleet: Fleet, proxy: Proxy, batch_of_chunks: Batch
) -> None:
    """The error has the number of jobs accepted for certain; those of the call that was lost are not among
    them.
    """
    client = proxy.client(socket_timeout=5)
    engine = Engine(RedisBroker(client, enqueue_job_max_retries=1), namespace=fleet.namespace)
    engine.attach_tasks(make_tasks(Journal(str(fleet.journal_path), "client")))
    proxy.cut_replies(mark_of(scripts.ENQUEUE), ".cc")
    with pytest.raises(EnqueueUncertain, match="may or may not") as caught:
        engine.schedule_batch(batch_of_chunks)
    client.close()
    assert caught.value.accepted == CHUNK_JOBS
    assert f"of {2 * CHUNK_JOBS + 200} jobs the first {CHUNK_JOBS} were accepted" in str(caught.value)
    assert len(read_places(fleet).queued) == 2 * CHUNK_JOBS


def test_a_batch_whose_server_goes_away_says_how_many_jobs_were_accepted(
    fleet: Fleet, proxy: Proxy, batch_of_chunks: Batch
) -> None:
    """The same where the later call cannot be sent at all."""
    client = proxy.client(retry=Retry(NoBackoff(), 0))
    broker = RedisBroker(client, enqueue_job_max_retries=1)
    engine = Engine(broker, namespace=fleet.namespace)
    engine.attach_tasks(make_tasks(Journal(str(fleet.journal_path), "client")))
    broker.observe_requests(lambda operation, *_: proxy.close() if operation == "enqueue" else None)
    with pytest.raises(BrokerUnavailable, match="not accepted") as caught:
        engine.schedule_batch(batch_of_chunks)
    assert not isinstance(caught.value, EnqueueUncertain)
    assert (caught.value.accepted, caught.value.kind) == (CHUNK_JOBS, "connection")
    assert len(read_places(fleet).queued) == CHUNK_JOBS


@pytest.mark.parametrize(("silent", "kind"), [(True, "timeout"), (False, "connection")])
def test_an_error_says_why_the_broker_is_unavailable(
    fleet: Fleet, proxy: Proxy, silent: bool, kind: str
) -> None:
    """A server that does not answer in time is told apart from one that cannot be reached."""
    client = proxy.client(socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
    broker = RedisBroker(client, enqueue_job_max_retries=0)
    broker.namespace = fleet.namespace
    assert broker.is_queue_empty("q")
    if silent:
        proxy.block()
    else:
        proxy.close()
    for _ in range(2):  # over a connection that was made before, and over a new one
        with pytest.raises(BrokerUnavailable) as caught:
            broker.is_queue_empty("q")
        assert caught.value.kind == kind
    client.close()


@pytest.mark.slow
def test_lost_replies_of_a_worker_repeat_and_forget_nothing(fleet: Fleet, proxy: Proxy) -> None:
    """Whatever replies a worker loses, each job starts exactly as often as it was meant to."""
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    chance = random.Random(seed)
    fleet.ours(port=proxy.port, threshold=60, number=4)
    proxy.cut_replies(mark_of(scripts.EXCHANGE), cuts(chance, 200, 0.35))
    proxy.cut_replies(mark_of(scripts.SETTLE), cuts(chance, 200, 0.5))
    engine = fleet.engine()
    batch = Batch()
    for index in range(250):
        kind = chance.choice(["once", "fails", "flaky", "safe", "slow", "limited"])
        tag = f"{kind}-{index}"
        if kind == "fails":
            batch.schedule("once", tag, 0, True)
        elif kind == "flaky":
            batch.schedule("flaky", tag, 1)
        elif kind == "slow":
            batch.schedule("safe", tag, chance.choice([0.01, 0.3]))
        else:
            batch.schedule(kind, tag)
    jobs = engine.schedule_batch(batch)
    expected = {job.task_args[0]: 2 if job.task_name == "flaky" else 1 for job in jobs}
    try:
        wait_until(lambda: sum(fleet.starts().values()) >= sum(expected.values()), "all start", 60)
        wait_until(
            lambda: not (places := read_places(fleet)).running and not places.queued,
            "all is acknowledged",
            30,
        )
        assert proxy.cuts > 20
    finally:
        starts = fleet.starts()
        wrong = {tag: starts.get(tag, 0) for tag in expected if starts.get(tag, 0) != expected[tag]}
        assert wrong == {}, f"seed {seed}, {proxy.cuts} cuts, wrong numbers of starts\n{fleet.describe()}"
    failed = {str(job.id): "failed" for job in jobs if job.task_args[0].startswith("fails")}
    assert read_places(fleet).failed == failed
    assert violations(fleet, [job for job in jobs if not job.task_args[0].startswith("fails")]) == []
    assert len(fleet.lines("worker")) == 1


@pytest.mark.slow
def test_a_rescue_is_told_although_the_connection_breaks_after_it(fleet: Fleet, proxy: Proxy) -> None:
    """A rescuer that loses the connection once the jobs are moved still sends the signals that tell of it."""
    victim = fleet.ours(threshold=3)
    fleet.engine().schedule("echo_slow", "hung")
    wait_until(fleet.starts, "it runs")
    fleet.redis.script_load(scripts.COUNT_SLOTS.text)
    fleet.ours(port=proxy.port, threshold=3, signals=("worker_lost", "job_recovered"))
    proxy.cut_replies(mark_of(scripts.COUNT_SLOTS), "c" * 100)
    victim.kill()
    fleet.wait_for_ends(["hung"])
    wait_until(lambda: fleet.lines("signal", signal="job_recovered"), "the job's signal", 5)
    wait_until(lambda: fleet.lines("signal", signal="worker_lost"), "the worker's signal", 5)
    assert len(fleet.lines("signal")) == 2


def test_a_server_that_is_loading_accepted_nothing_and_the_error_says_so(fleet: Fleet) -> None:
    """A server that answers that it is still loading has not taken the job: that is certain, and said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while request := connection.recv(1 << 16):
                            greetings = request.count(b"SETINFO")  # which a loading server answers
                            loading = b"-LOADING the dataset is being loaded in memory\r\n"
                            connection.sendall(b"+OK\r\n" * greetings or loading)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        client = redis.Redis(port=listener.getsockname()[1], protocol=2)
        engine = Engine(RedisBroker(client, enqueue_job_max_retries=1), namespace=fleet.namespace)
        engine.attach_tasks(make_tasks(Journal(str(fleet.journal_path), "client")))
        with pytest.raises(BrokerUnavailable, match=r"not accepted.*loaded") as caught:
            engine.schedule("safe", "x")
        assert not isinstance(caught.value, EnqueueUncertain)
        client.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.slow
def test_a_retry_whose_reply_is_lost_is_stored_once(fleet: Fleet, proxy: Proxy) -> None:
    """A retry that runs before the worker learns that it was stored is not stored again."""
    fleet.ours(port=proxy.port, threshold=60, number=2)
    proxy.cut_replies(mark_of(scripts.SETTLE), "c" * 3 + "." + "cc." * 20)
    engine = fleet.engine()
    jobs = [engine.schedule("flaky", f"flaky-{index}", 1) for index in range(20)]
    fleet.wait_for_ends([job.task_args[0] for job in jobs])
    wait_until(lambda: not (p := read_places(fleet)).running and not p.queued and not p.future, "all is done")
    assert set(fleet.starts().values()) == {2}, f"{fleet.starts()}\n{fleet.describe()}"


@pytest.mark.slow
def test_a_slow_or_silent_network_delays_and_harms_nothing(fleet: Fleet, proxy: Proxy) -> None:
    """With 200 ms of latency, cut connections and a network that lets nothing through, workers go on by
    themselves.
    """
    worker = fleet.ours(port=proxy.port, threshold=60, client={"socket_timeout": 1})
    engine = fleet.engine()
    proxy.delay(0.2)
    slow = [engine.schedule("once", f"slow-{i}") for i in range(40)]
    fleet.wait_for_ends([job.task_args[0] for job in slow])
    proxy.delay(0)
    for turn in range(3):
        proxy.cut()
        jobs = [engine.schedule("once", f"cut-{turn}-{i}", 0.01) for i in range(20)]
        fleet.wait_for_ends([job.task_args[0] for job in jobs])
    proxy.block()
    silent = [engine.schedule("once", f"silent-{i}") for i in range(20)]
    wait_until(lambda: "waits for the broker" in worker.log(), "the worker says what is wrong")
    proxy.unblock()
    fleet.wait_for_ends([job.task_args[0] for job in silent])
    assert set(fleet.starts().values()) == {1}
    wait_until(lambda: "works again" in worker.log(), "the worker says that it is over")
    assert worker.stop() == 0
    assert fleet.running() == {}
