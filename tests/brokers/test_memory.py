"""What only the memory broker promises, and what only a clock at hand can show."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spinach import MemoryBroker
from spinach.brokers.base import WorkerProfile, WorkerState
from spinach.brokers.limits import MAX_FAILURE_GROUPS
from spinach.brokers.memory import MemoryStore
from spinach.exc import LeaseRevoked
from spinach.job import Job
from spinach.testing import FakeClock

from .helpers import claim, claim_one, failed, fetch, firsts, queued, retried, settle, waiting


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


def joined(store: MemoryStore, **attributes: Any) -> MemoryBroker:
    broker = MemoryBroker(store=store)
    for name, value in attributes.items():
        setattr(broker, name, value)
    broker.namespace = "tests"
    broker.start()
    broker.join(WorkerProfile("q", 1))
    return broker


def test_brokers_are_apart_by_default() -> None:
    """Two memory brokers share nothing unless they are given one store."""
    one, two = MemoryBroker(), MemoryBroker()
    one.namespace = two.namespace = "tests"
    one.enqueue([queued(1)])
    assert two.is_queue_empty("q")


def test_broker_follows_the_clock_of_its_store(store: MemoryStore, clock: FakeClock) -> None:
    """A client whose clock is wrong starts no job early."""
    wrong = FakeClock()
    wrong.advance(5_000.0)
    client = MemoryBroker(clock=wrong, store=store)
    client.namespace = "tests"
    client.start()
    assert client.clock.now() == pytest.approx(clock.now())
    client.enqueue([waiting(client, seconds=60)])
    assert client.promote().jobs == []
    clock.advance(60)
    assert len(client.promote().jobs) == 1


def test_clock_alone_makes_the_store_follow_it(clock: FakeClock) -> None:
    """A broker with a store of its own lives by the clock it was given."""
    broker = MemoryBroker(clock=clock)
    broker.namespace = "tests"
    broker.enqueue([waiting(broker, seconds=3600)])
    clock.advance(3601)
    assert len(broker.promote().jobs) == 1


def test_silence_beyond_the_limit_is_death(store: MemoryStore, clock: FakeClock) -> None:
    """A worker is dead once its silence is longer than its limit, not before."""
    worker, survivor = joined(store), joined(store)
    clock.advance(60)
    survivor.beat(WorkerState())
    assert survivor.recover() == []
    assert survivor.recovery_check_seconds == pytest.approx(0.05)
    clock.advance(0.01)
    assert [recovery.worker.id for recovery in survivor.recover()] == [worker.worker_id]
    with pytest.raises(LeaseRevoked):
        worker.beat(WorkerState())


def test_each_worker_announces_its_own_limit(store: MemoryStore, clock: FakeClock) -> None:
    """A worker with a shorter limit is called dead sooner, by whoever looks."""
    quick, survivor = joined(store, broker_dead_threshold_seconds=6), joined(store)
    assert quick.heartbeat_seconds == 1
    assert survivor.recovery_check_seconds == pytest.approx(6)
    clock.advance(7)
    assert [recovery.worker.id for recovery in survivor.recover()] == [quick.worker_id]


def test_who_was_away_does_not_bury_itself(store: MemoryStore, clock: FakeClock) -> None:
    """A worker that finds its own heartbeat old is still there."""
    worker = joined(store)
    clock.advance(1_000)
    assert worker.recover() == []
    worker.beat(WorkerState())


def test_counters_add_up(store: MemoryStore, clock: FakeClock) -> None:
    """Each transition counts once, those that the caller tells of included."""
    worker, dead = joined(store), joined(store)
    jobs = [queued(0), queued(1), queued(2), queued(3, retries=0), waiting(worker, seconds=5, retries=0)]
    worker.enqueue(jobs)
    first, second = claim(worker, 2)
    reserved = fetch(dead, reserve_ahead=1).reserved
    for _ in range(2):
        fetch(dead, starting=reserved)
    claim(dead)
    settle(worker, retried(worker, first, seconds=9), failed(worker, second))
    clock.advance(61)
    worker.promote()
    worker.beat(WorkerState())
    worker.recover()
    totals = {counter: total for (_, _, counter), total in worker.counters().items()}
    assert totals == {"enqueued": 5, "started": 4, "retried": 1, "failed": 2, "promoted": 2, "recovered": 1}


def test_failures_are_grouped(store: MemoryStore, clock: FakeClock) -> None:
    """Failures of one task with one error are one group: how many, since when, a sample."""
    worker = joined(store)
    worker.enqueue([queued(0), queued(1), queued(2, name="other")])
    for job in claim(worker):
        clock.advance(10)
        settle(worker, failed(worker, job, message=str(job.task_args[0])))
    latest, earlier = worker.failure_groups()
    assert (latest.task_name, latest.count) == ("other", 1)
    assert (earlier.task_name, earlier.error_type, earlier.count) == ("task", "ValueError", 2)
    assert (earlier.last_seen - earlier.first_seen, earlier.sample_message) == (10, "1")


def test_dead_letters_expire(store: MemoryStore, clock: FakeClock) -> None:
    """A dead letter is kept for thirty days."""
    worker = joined(store)
    worker.enqueue([queued(0), queued(1)])
    first, second = claim(worker)
    settle(worker, failed(worker, first, message="old"))
    clock.advance(20 * 86_400)
    settle(worker, failed(worker, second, message="new"))
    assert [letter.message for letter in worker.failed_jobs()] == ["new", "old"]
    clock.advance(11 * 86_400)
    assert [letter.message for letter in worker.failed_jobs()] == ["new"]


def test_failure_groups_are_bounded(store: MemoryStore) -> None:
    """Of more failure groups than the limit the latest are kept."""
    worker = joined(store)
    number_made = MAX_FAILURE_GROUPS + 10
    worker.enqueue([queued(number, name=f"task{number}") for number in range(number_made)])
    for job in claim(worker, 2_000):
        settle(worker, failed(worker, job))
    groups = {group.task_name for group in worker.failure_groups()}
    assert len(groups) == MAX_FAILURE_GROUPS
    assert groups == {f"task{number}" for number in range(10, number_made)}


def test_closing_a_subscription_wakes_its_waiter(store: MemoryStore) -> None:
    """Who waits for news returns at once, without news, when the subscription is closed."""
    subscription = joined(store).subscribe()
    heard: list[bool] = []
    waiter = threading.Thread(target=lambda: heard.append(subscription.wait(60)))
    waiter.start()
    subscription.close()
    waiter.join(10)
    assert heard == [False]


def test_many_threads_lose_and_double_nothing(store: MemoryStore) -> None:
    """Clients and workers in many threads: every job is handed out exactly once."""
    brokers = [joined(store) for _ in range(8)]
    seen: list[int] = []

    def work(number: int) -> None:
        broker = brokers[number]
        broker.enqueue([queued(number * 1_000 + index) for index in range(200)])
        while jobs := claim(broker, 3):
            broker.give_back(jobs[2:])
            fetch(broker, done=jobs[:2])
            seen.extend(firsts(jobs[:2]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(seen) == len(set(seen)) == 1_600


def test_nothing_piles_up(store: MemoryStore) -> None:
    """Queues, holds and registrations that are used up leave nothing behind."""
    for number in range(50):
        worker = joined(store)
        worker.enqueue([queued(number, queue=f"q{number}")])
        fetch(worker, done=claim(worker, 1, f"q{number}"), queue=f"q{number}")
        worker.leave()
    namespace = store.namespace("tests")
    for containers in (namespace.queues, namespace.running, namespace.workers, namespace.departed):
        assert len(containers) == 0


def test_job_object_of_the_client_is_not_shared(store: MemoryStore) -> None:
    """A worker gets a job of its own, never the client's object."""
    worker = joined(store)
    job: Job = queued([1])
    worker.enqueue([job])
    received = claim_one(worker)
    assert received is not job
    assert received.task_args[0] is not job.task_args[0]
