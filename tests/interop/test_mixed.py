"""Old and new in one namespace: either schedules for the other, and both work one queue, as during a
rollout.
"""

from __future__ import annotations

import itertools
import random
import signal
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from spinach import Batch
from spinach.job import Job
from tests.checker import read_places
from tests.fleet import Fleet, Line
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet, old_python: Path) -> Fleet:
    return make_fleet(valkey_server, old_python)


def entries(who: str, number: int, seconds: float = 0.0) -> list[Line]:
    """Return what a client process schedules: now, later, in batches, to be retried, limited."""
    found: list[Line] = []
    for index in range(number):
        found.append({"task": "once", "args": [f"{who}-once-{index}", seconds]})
        found.append({"task": "safe", "args": [f"{who}-later-{index}"], "after": 1 + index % 3})
        found.append({"task": "flaky", "args": [f"{who}-flaky-{index}", 2, 0.2]})
    found.append(
        {"batch": [{"task": "limited", "args": [f"{who}-limited-{i}", seconds]} for i in range(number)]}
    )
    found.append(
        {"batch": [{"task": "safe", "args": [f"{who}-batch-{i}"], "after": 0.5} for i in range(number)]}
    )
    return found


def tags_of(found: list[Line]) -> list[str]:
    return [each["args"][0] for entry in found for each in entry.get("batch", [entry])]


def wrong_starts(fleet: Fleet, tags: list[str]) -> dict[str, int]:
    starts = fleet.starts()
    return {tag: starts.get(tag, 0) for tag in tags if starts.get(tag, 0) != (3 if "flaky" in tag else 1)}


def most_at_once(lines: list[Line], of: str) -> int:
    running = most = 0
    for line in lines:
        if of in line.get("tag", "") and line["kind"] in ("start", "end", "raised"):
            running += 1 if line["kind"] == "start" else -1
            most = max(most, running)
    return most


def nothing_is_left(fleet: Fleet) -> bool:
    places = read_places(fleet)
    return not (places.queued or places.running or places.future)


@pytest.mark.slow
@pytest.mark.parametrize(("client", "worker"), [("ours", "old"), ("old", "ours")])
def test_either_runs_what_the_other_schedules(fleet: Fleet, client: str, worker: str) -> None:
    """Jobs scheduled by one package run on workers of the other: at once, at a date, in batches, retried,
    limited.
    """
    process = getattr(fleet, worker)(limit=2, number=6)
    planned = entries(client, 25, seconds=0.02)
    ids = fleet.client(client, planned)
    tags = tags_of(planned)
    assert len(ids) == len(tags) or client == "old"  # 0.0.25 returns nothing for some calls
    fleet.wait_for_ends(tags)
    wait_until(lambda: nothing_is_left(fleet), "nothing is left")
    assert wrong_starts(fleet, tags) == {}
    assert most_at_once(fleet.lines(), "limited") <= 2
    assert fleet.slots() == {"limited": b"0"}
    assert process.stop() == 0
    assert fleet.registered() == []


@pytest.mark.slow
def test_a_mixed_fleet_works_one_queue(fleet: Fleet) -> None:
    """Old and new workers, fed by old and new clients, execute each job as often as promised and hold
    limits.
    """
    workers = [fleet.ours(threshold=12), fleet.old(), fleet.ours(threshold=12), fleet.old()]
    planned = {who: entries(who, 45, seconds=0.02) for who in ("ours", "old")}
    for who, found in planned.items():
        fleet.client(who, found)
    tags = [tag for found in planned.values() for tag in tags_of(found)]
    assert len(tags) == 2 * 5 * 45
    fleet.wait_for_ends(tags)
    wait_until(lambda: nothing_is_left(fleet), "nothing is left", 10)
    assert wrong_starts(fleet, tags) == {}
    assert read_places(fleet).failed == {}
    assert most_at_once(fleet.lines(), "limited") <= 2
    assert fleet.slots() == {"limited": b"0"}
    shares = {who: len(fleet.lines("start", who=who)) for who in ("ours", "old")}
    assert all(share > 50 for share in shares.values()), shares
    crossed = {
        tag for tag in tags if len({line["who"] for line in fleet.lines("start", tag=tag)}) == 2
    }  # begun by one, finished by the other
    assert crossed, "no retry went from one kind to the other"
    assert [worker.stop() for worker in workers] == [0] * 4
    assert fleet.registered() == []


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("ours", "old"), ("old", "ours")])
def test_a_retry_begun_by_one_is_finished_by_the_other(fleet: Fleet, first: str, second: str) -> None:
    """A retry that one kind of worker scheduled runs on the other, with its count."""
    beginner = getattr(fleet, first)()
    engine = fleet.engine()
    jobs = [engine.schedule("flaky", f"flaky-{i}", 1, 2) for i in range(10)]
    wait_until(lambda: len(fleet.lines("raised")) == 10, "all fail once")
    wait_until(lambda: fleet.redis.zcard(fleet.key("_future-jobs")) == 10, "all wait for their retry")
    assert beginner.stop() == 0
    getattr(fleet, second)()
    fleet.wait_for_ends([job.task_args[0] for job in jobs])
    wait_until(lambda: nothing_is_left(fleet), "nothing is left")
    assert set(fleet.starts().values()) == {2}
    assert {line["who"] for line in fleet.lines("end")} == {second}


@pytest.mark.slow
def test_future_jobs_are_promoted_by_whoever_is_there(fleet: Fleet) -> None:
    """A job of an old client is never started before its date by ours, and at most 0.3 s after its score's
    second.
    """
    fleet.ours()
    found = [{"task": "safe", "args": [f"later-{i}"], "after": 1.5 + i / 10} for i in range(15)]
    fleet.client("old", found)
    dates = {}
    for text in fleet.redis.zrange(fleet.key("_future-jobs"), 0, -1):
        job = Job.deserialize(text)
        dates[job.task_args[0]] = job.due_timestamp
    fleet.wait_for_ends([entry["args"][0] for entry in found])
    started = {line["tag"]: line["time"] for line in fleet.lines("start")}
    early = {tag: started[tag] - due for tag, due in dates.items() if started[tag] < due}
    late = {tag: started[tag] - due for tag, due in dates.items() if started[tag] > due + 0.3}
    assert len(dates) > 10
    assert (early, late) == ({}, {})


@pytest.mark.slow
def test_periodic_tasks_run_once_per_period_over_a_mixed_fleet(fleet: Fleet) -> None:
    """Old and new workers share one schedule: a periodic task known to both runs about once per period."""
    fleet.ours(periodic=True, threshold=12)
    fleet.old(periodic=True)
    ticks = wait_until(lambda: len(t := fleet.lines("tick")) >= 5 and t, "five runs")
    assert isinstance(ticks, list)
    gaps = [after["time"] - before["time"] for before, after in itertools.pairwise(ticks)]
    # One run may start late on a busy machine, and so come close to the next one, which 0.0.25 starts early.
    assert sum(gap < 0.2 for gap in gaps) <= 1, gaps
    assert sum(gaps) / len(gaps) > 0.75, gaps  # 0.0.25 starts up to 0.8 s early


@pytest.mark.slow
def test_what_an_old_worker_deletes_at_its_start_ours_register_again(fleet: Fleet) -> None:
    """Periodic tasks and limits of ours that an old worker deleted at its start are back within a
    heartbeat.
    """
    ours = fleet.ours(periodic=True, threshold=6, prefix="our-")
    keys = {
        name: fleet.key(name) for name in ("_periodic_tasks_hash", "_max_concurrency", "_current_concurrency")
    }
    assert fleet.redis.hkeys(keys["_periodic_tasks_hash"]) == [b"our-tick"]
    assert fleet.redis.hgetall(keys["_max_concurrency"]) == {b"our-limited": b"2"}
    ours.signal(signal.SIGSTOP)
    fleet.old(periodic=True, prefix="old-")
    assert fleet.redis.hkeys(keys["_periodic_tasks_hash"]) == [b"old-tick"]
    assert fleet.redis.hkeys(keys["_max_concurrency"]) == [b"old-limited"]
    ours.signal(signal.SIGCONT)
    before = fleet.redis.time()[0]
    wait_until(
        lambda: (
            {b"our-tick", b"old-tick"} <= set(fleet.redis.hkeys(keys["_periodic_tasks_hash"]))
            and {b"our-limited", b"old-limited"} <= set(fleet.redis.hkeys(keys["_max_concurrency"]))
        ),
        "ours are registered again",
        2,
    )
    assert fleet.redis.time()[0] - before <= 2
    integers = {name: int(value) for name, value in fleet.slots().items()}
    assert set(integers) == {"our-limited", "old-limited"}
    count = len(fleet.lines("tick", task="our-tick"))
    # The old worker may fetch it first: it does not know the task and has it retried after some seconds.
    wait_until(lambda: len(fleet.lines("tick", task="our-tick")) > count, "our periodic task runs again", 30)


@pytest.mark.slow
def test_old_workers_live_with_our_keys(fleet: Fleet) -> None:
    """Old workers ignore the keys and fields that ours add, whatever stands in them, and our workers'
    traces.
    """
    ours = fleet.ours(threshold=12, periodic=True)
    engine = fleet.engine()
    for index in range(10):
        engine.schedule("once", f"fails-{index}", 0, True)
    engine.schedule("safe", "first")
    wait_until(lambda: len(read_places(fleet).failed) == 10, "dead letters are kept")
    assert ours.stop() == 0
    old = fleet.old(periodic=True)
    batch = Batch()
    for index in range(30):
        batch.schedule("safe", f"safe-{index}")
        batch.schedule("limited", f"limited-{index}")
    jobs = engine.schedule_batch(batch)
    fleet.wait_for_ends([job.task_args[0] for job in jobs])
    assert wrong_starts(fleet, [job.task_args[0] for job in jobs]) == {}
    assert {line["who"] for line in fleet.lines("start") if "limited" in line["tag"]} == {"old"}
    assert len(read_places(fleet).failed) == 10
    assert old.stop() == 0


@pytest.mark.slow
def test_rollback_an_old_fleet_runs_every_job_that_remains(fleet: Fleet) -> None:
    """After our workers ran and stopped, an old fleet runs every job that is left: queued, dated, to be
    retried.
    """
    chance = random.Random(7)
    ours = fleet.ours()
    engine = fleet.engine()
    soon = datetime.now(timezone.utc)
    batch = Batch()
    for index in range(200):
        kind = chance.choice(["safe", "once", "limited"])
        batch.schedule(kind, f"{kind}-{index}", 0.02)
    for index in range(30):
        batch.schedule("flaky", f"flaky-{index}", 2, 3)
        batch.schedule_at("safe", soon + timedelta(seconds=4), f"dated-{index}")
    tags = [job.task_args[0] for job in engine.schedule_batch(batch)]
    wait_until(lambda: len(fleet.ends()) > 20, "ours run some")
    assert ours.stop() == 0
    left = set(tags) - fleet.ends()
    assert len(left) > 100
    fleet.old()
    fleet.old()
    fleet.wait_for_ends(tags)
    assert wrong_starts(fleet, tags) == {}
    wait_until(lambda: nothing_is_left(fleet), "nothing is left")
    assert set(fleet.slots().values()) == {b"0"}
