"""Keys of the namespace that hold something else: what is auxiliary heals, what holds jobs says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from spinach import Batch
from spinach.exc import WrongKeyType
from tests.checker import read_places
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]
# Every key of keys.py but those where jobs wait: the queue and the future ones.
AUXILIARY = (
    "_running-jobs-on-broker-{id}", "_reserved-jobs-on-broker-{id}", "_periodic_tasks_hash",
    "_periodic_tasks_queue",
    "_all_brokers_hash", "_all_brokers_zset", "_max_concurrency", "_current_concurrency", "_brokers-seen",
    "_queues",
    "_counters", "_counters-minute-{minute}", "_histograms", "_failed-jobs", "_failed-jobs-data",
    "_failure-groups",
    "_limits-checked", "_wire", "_parked-counts", "_parked-jobs-spinach",
)  # fmt: skip


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet) -> Fleet:
    return make_fleet(valkey_server)


def replace(fleet: Fleet, key: str, kind: str) -> None:
    with fleet.redis.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        pipe.set(key, "foreign") if kind == "string" else pipe.rpush(key, "foreign", "foreign")
        pipe.execute()


def schedule_some(fleet: Fleet, prefix: str) -> dict[str, int]:
    """Schedule jobs of every kind; return how often each is to start."""
    batch = Batch()
    for index in range(4):
        batch.schedule("once", f"{prefix}-once-{index}")
        batch.schedule("safe", f"{prefix}-safe-{index}", 0.01)
        batch.schedule("limited", f"{prefix}-limited-{index}")
        batch.schedule("flaky", f"{prefix}-flaky-{index}", 1)
    batch.schedule("once", f"{prefix}-fails", 0, True)
    batch.schedule_at("safe", datetime.now(timezone.utc) + timedelta(seconds=0.2), f"{prefix}-dated")
    jobs = fleet.engine().schedule_batch(batch)
    return {job.task_args[0]: 2 if job.task_name == "flaky" else 1 for job in jobs}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["string", "list"])
def test_each_auxiliary_key_of_a_foreign_type_in_turn_harms_no_job(fleet: Fleet, kind: str) -> None:
    """With any auxiliary key replaced by one of a foreign type, jobs run exactly once and nothing is lost."""
    worker = fleet.ours(threshold=6)
    harmed = {}
    for name in AUXILIARY:
        (registered,) = wait_until(fleet.registered_if_readable, "the worker is registered")  # type: ignore[misc]
        key = fleet.key(name.format(id=registered, minute=fleet.redis.time()[0] // 60))
        replace(fleet, key, kind)
        expected = schedule_some(fleet, name)
        try:
            wait_until(lambda e=expected: set(fleet.starts()) >= set(e), "all start", 12)  # type: ignore[misc]
            wait_until(
                lambda e=expected: sum(map(fleet.starts().get, e)) >= sum(e.values()), "retries start", 8
            )  # type: ignore[misc,arg-type]
            wait_until(lambda: not fleet.running(), "nothing is held", 8)
        except (AssertionError, TypeError) as error:
            harmed[name] = f"{error}"
            fleet.redis.delete(key)
            continue
        starts = fleet.starts()
        wrong = {tag: starts.get(tag) for tag in expected if starts.get(tag) != expected[tag]}
        if wrong:
            harmed[name] = str(wrong)
    assert harmed == {}, fleet.describe()
    assert worker.stop() == 0


@pytest.mark.parametrize("kind", ["string", "list"])
def test_a_producers_key_of_a_foreign_type_harms_no_job(fleet: Fleet, kind: str) -> None:
    """What stands in the key by which a producer's call is recognised, each call adds its job once."""
    engine = fleet.engine()
    for index in range(3):
        engine.schedule("safe", f"safe-{index}")
        for key in fleet.redis.scan_iter(match=fleet.key("_producer-*")):
            replace(fleet, key.decode(), kind)
    assert fleet.redis.llen(fleet.key("spinach")) == 3


@pytest.mark.slow
def test_a_queue_whose_key_is_foreign_says_so_and_stops_nothing_else(fleet: Fleet) -> None:
    """Scheduling into a queue whose key holds something else is a clear error, and its worker logs one line.

    Jobs that come due for it are not lost, and work goes on once the key is gone.
    """
    broken = fleet.ours(queue="spinach", threshold=60)
    replace(fleet, fleet.key("spinach"), "string")
    engine = fleet.engine()
    with pytest.raises(WrongKeyType, match=f"{fleet.namespace}/spinach|another type"):
        engine.schedule("safe", "refused")
    with pytest.raises(WrongKeyType):
        engine.schedule_at("safe", datetime.now(timezone.utc) + timedelta(hours=1), "refused")
    fleet.news()
    wait_until(lambda: "cannot be read" in broken.log(), "the worker says so")
    fleet.redis.delete(fleet.key("spinach"))
    jobs = [engine.schedule("flaky", f"flaky-{index}", 1, 1) for index in range(5)]
    wait_until(lambda: len(fleet.lines("raised")) == 5, "they fail once", 10)
    wait_until(lambda: fleet.redis.zcard(fleet.key("_future-jobs")) == 5, "they wait")
    replace(fleet, fleet.key("spinach"), "list")
    replace(fleet, fleet.key("spinach"), "string")
    wait_until(lambda: broken.log().count("cannot be read") >= 2, "the worker says so again")
    assert broken.log().count("cannot be read") == 2, "once per event"
    assert fleet.redis.zcard(fleet.key("_future-jobs")) == 5, "they are not lost"
    # Seen from here the retries were looked at already; a worker looks again by itself within a minute.
    fleet.redis.delete(fleet.key("spinach"))
    for text in fleet.redis.zrange(fleet.key("_future-jobs"), 0, -1):
        fleet.redis.zadd(fleet.key("_future-jobs"), {text: 1})
    fleet.news()
    fleet.wait_for_ends([job.task_args[0] for job in jobs])
    assert "starts again" not in broken.log()


@pytest.mark.slow
def test_a_foreign_key_of_future_jobs_keeps_retries_safe_until_it_is_gone(fleet: Fleet) -> None:
    """While the key of the waiting jobs is foreign, a retry is kept by its worker until it can be stored.

    Dated jobs are refused with a clear error; others run and fail as ever.
    """
    worker = fleet.ours(threshold=60)
    key = fleet.key("_future-jobs")
    replace(fleet, key, "string")
    engine = fleet.engine()
    with pytest.raises(WrongKeyType):
        engine.schedule_at("safe", datetime.now(timezone.utc) + timedelta(hours=1), "refused")
    jobs = [engine.schedule("once", f"once-{index}") for index in range(20)]
    fleet.wait_for_ends([job.task_args[0] for job in jobs])
    flaky = engine.schedule("flaky", "flaky", 1, 0.5)
    failing = engine.schedule("once", "fails", 0, True)
    wait_until(lambda: len(fleet.lines("raised")) == 2, "both raise")
    wait_until(
        lambda: read_places(fleet).failed == {str(failing.id): "failed"}, "a failure needs no waiting jobs", 8
    )
    fleet.redis.delete(key)
    fleet.wait_for_ends([flaky.task_args[0]])
    assert fleet.starts()["flaky"] == 2
    assert worker.stop() == 0
