"""Workers that die, freeze or stop while hundreds of jobs are under way."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from spinach import Batch, Engine
from spinach.job import Job
from tests.checker import read_places, settled, violations
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

THRESHOLD_SECONDS = 3
_numbers = itertools.count()
MakeFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet) -> Fleet:
    return make_fleet(valkey_server)


@pytest.fixture
def seed() -> int:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    return seed


def schedule_mix(engine: Engine, chance: random.Random, number: int) -> list[Job]:
    """Schedule jobs of every kind: at most once, at least once, retried, limited, dated."""
    batch = Batch()
    soon = datetime.now(timezone.utc)
    for _ in range(number):
        seconds = chance.uniform(0, 0.03)
        kind = chance.choice(["once", "once", "safe", "safe", "limited", "flaky", "dated"])
        tag = f"{kind}-{next(_numbers)}"
        if kind == "flaky":
            batch.schedule("flaky", tag, 1)
        elif kind == "dated":
            batch.schedule_at("safe", soon + timedelta(seconds=chance.uniform(0, 4)), tag, seconds)
        else:
            batch.schedule(kind, tag, seconds)
    return engine.schedule_batch(batch)


@pytest.mark.slow
def test_random_kills_keep_every_promise(fleet: Fleet, seed: int) -> None:
    """Whatever dies and whenever: no job is lost, repeated against its promise, stuck, or in two places."""
    chance = random.Random(seed)
    supervisor = [fleet.ours(threshold=THRESHOLD_SECONDS) for _ in range(2)]
    jobs = schedule_mix(fleet.engine(), chance, 700)
    for _ in range(6):
        before = len(fleet.lines("start"))
        more = chance.randint(5, 60)
        wait_until(lambda b=before, m=more: len(fleet.lines("start")) >= b + m, "more jobs start")  # type: ignore[misc]
        victim = chance.choice(supervisor)
        victim.kill()
        supervisor.remove(victim)
        supervisor.append(fleet.ours(threshold=THRESHOLD_SECONDS))
        jobs += schedule_mix(fleet.engine(), chance, 60)
    try:
        wait_until(lambda: settled(fleet, jobs), "all work is done", 45)
    finally:
        broken = violations(fleet, jobs)
    assert broken == [], f"seed {seed}\n{fleet.describe()}"
    in_doubt = read_places(fleet).failed
    assert set(in_doubt.values()) <= {"in doubt"}, f"seed {seed}"
    # No more may be in doubt than there are slots in the workers that died.
    assert len(in_doubt) <= 6 * 4, f"seed {seed}"
    wait_until(lambda: len(fleet.registered()) == 2, "the dead leave the registry")


@pytest.mark.slow
def test_a_survivor_recovers_a_dead_worker_and_tells(fleet: Fleet) -> None:
    """A dead worker's jobs are recovered by one survivor, whose signals, log and Redis tell of it."""
    victim = fleet.ours(threshold=THRESHOLD_SECONDS)
    victim_id = fleet.registration_of(victim)
    engine = fleet.engine()
    once = engine.schedule("once", "once", 600)
    hung = [engine.schedule("echo_slow", f"hung-{i}") for i in range(2)]
    limited = engine.schedule("limited", "limited", 600)
    wait_until(lambda: len(fleet.starts()) == 4, "the victim runs all")
    assert fleet.slots() == {"limited": b"1"}
    names = ("job_recovered", "job_failed", "worker_lost", "job_started")
    survivors = [fleet.ours(threshold=THRESHOLD_SECONDS, signals=names) for _ in range(2)]
    victim.kill()
    lost = wait_until(lambda: fleet.lines("signal", signal="worker_lost"), "a survivor tells")
    assert [(line["worker"], line["recovered"], line["failed"]) for line in lost] == [(victim_id, 3, 1)]
    assert lost[0]["pid"] in [worker.pid for worker in survivors]
    recovered = {line["job"]: line["retries"] for line in fleet.lines("signal", signal="job_recovered")}
    assert recovered == {str(job.id): 1 for job in (*hung, limited)}
    failed = fleet.lines("signal", signal="job_failed")
    assert [(line["job"], line["error"]) for line in failed] == [(str(once.id), "WorkerLost")]
    assert read_places(fleet).failed == {str(once.id): "in doubt"}
    fleet.wait_for_ends(["hung-0", "hung-1"])
    assert fleet.starts()["once"] == 1
    wait_until(lambda: fleet.starts()["limited"] == 2, "the limited job starts anew: its slot came back")
    assert fleet.slots() == {"limited": b"1"}
    assert any("is dead" in worker.log() for worker in survivors)


@pytest.mark.slow
def test_a_frozen_worker_finds_out_before_its_results_count(fleet: Fleet) -> None:
    """A worker that was frozen past its limit changes nothing when it wakes, and registers anew by itself."""
    frozen = fleet.ours(threshold=THRESHOLD_SECONDS, limit=1, signals=("job_finished",))
    first_id = fleet.registration_of(frozen)
    engine = fleet.engine()
    jobs = [
        engine.schedule("limited", "limited", 1.5),
        engine.schedule("safe", "safe", 1.5),
        engine.schedule("once", "once", 1.5),
    ]
    wait_until(lambda: len(fleet.starts()) == 3, "all run")
    frozen.signal(signal.SIGSTOP)
    survivor = fleet.ours(threshold=THRESHOLD_SECONDS, limit=1, signals=("worker_lost", "job_finished"))
    wait_until(lambda: fleet.lines("signal", signal="worker_lost", worker=first_id), "it is declared dead")
    wait_until(
        lambda: fleet.starts().get("limited") == 2 and fleet.starts().get("safe") == 2, "others take over"
    )
    frozen.signal(signal.SIGCONT)
    wait_until(lambda: len(fleet.lines("end", pid=frozen.pid)) == 3, "its functions return after all")
    new_id = wait_until(
        lambda: (
            {json_id for json_id in fleet.registered() if json_id != first_id}
            - {fleet.registration_of(survivor)}
        ),
        "it registers anew",
    )
    assert first_id not in fleet.registered()
    wait_until(lambda: len(fleet.lines("end", pid=survivor.pid)) == 2, "the survivor ends both")
    wait_until(lambda: not fleet.running(), "nothing is held")
    assert violations(fleet, jobs) == []
    assert read_places(fleet).failed == {str(jobs[2].id): "in doubt"}
    survivor.stop()
    after = [engine.schedule("safe", f"after-{i}") for i in range(20)]
    fleet.wait_for_ends([job.task_args[0] for job in after])
    assert {fleet.registration_of(frozen)} == new_id, fleet.describe()
    assert frozen.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_a_graceful_stop_under_load_strands_nothing(fleet: Fleet, seed: int, seconds: float) -> None:
    """After SIGTERM no job is left running, reserved or in doubt, and no registration; the rest is in its
    queue.
    """
    chance = random.Random(seed)
    engine = fleet.engine()
    jobs: list[Job] = []
    for turn in range(5):
        batch = Batch()
        for index in range(400 if seconds else 3000):
            batch.schedule(chance.choice(["safe", "once", "limited"]), f"{turn}-{index}", seconds)
        jobs += engine.schedule_batch(batch)
        before = len(fleet.lines("end"))
        worker = fleet.ours(threshold=60)
        more = chance.randint(1, 150)
        wait_until(lambda b=before, m=more: len(fleet.lines("end")) >= b + m, "some are done")  # type: ignore[misc]
        assert worker.stop() == 0, worker.log()
        assert fleet.registered() == []
        assert fleet.running() == {}, f"seed {seed}\n{worker.log()}"
        assert violations(fleet, jobs, at_rest=False) == [], f"seed {seed}"
        starts = fleet.starts()
        queued = read_places(fleet).queued
        assert len(queued) + len(starts) == len(jobs), f"seed {seed}: each is done or queued"
        assert max(starts.values()) == 1
        assert all(json_retries == 0 for json_retries in _retries_in_queue(fleet))
        assert set(fleet.slots().values()) <= {b"0"}
        fleet.redis.delete(fleet.key("spinach"))
        jobs = []
        fleet.journal_path.write_bytes(b"")
    assert read_places(fleet).failed == {}


def _retries_in_queue(fleet: Fleet) -> list[int]:
    return [Job.deserialize(text).retries for text in fleet.redis.lrange(fleet.key("spinach"), 0, -1)]


@pytest.mark.slow
def test_stopping_and_starting_all_the_time_repeats_nothing(fleet: Fleet, seed: int) -> None:
    """However often workers are stopped and started under load, each job runs exactly once."""
    chance = random.Random(seed)
    engine = fleet.engine()
    batch = Batch()
    for index in range(1500):
        batch.schedule(chance.choice(["safe", "once"]), f"{index}", chance.choice([0, 0, 0.02]))
    jobs = engine.schedule_batch(batch)
    for _ in range(5):
        worker = fleet.ours(number=8)
        before = len(fleet.lines("end"))
        more = chance.randint(0, 80)
        wait_until(lambda b=before, m=more: len(fleet.lines("end")) >= b + m, "some are done")  # type: ignore[misc]
        assert worker.stop() == 0
    fleet.ours(number=8)
    fleet.wait_for_ends([job.task_args[0] for job in jobs])
    assert set(fleet.starts().values()) == {1}, f"seed {seed}"
    wait_until(lambda: not fleet.running(), "all is acknowledged")
    assert violations(fleet, jobs) == [], f"seed {seed}"
