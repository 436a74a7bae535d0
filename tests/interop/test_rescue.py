"""The dead of one kind, recovered by the other."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker import read_places
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet, old_python: Path) -> Fleet:
    return make_fleet(valkey_server, old_python)


def run_hanging_jobs(fleet: Fleet) -> dict[str, str]:
    """Schedule jobs that hang in their first attempt; return ids by tag once all run."""
    engine = fleet.engine()
    jobs = [engine.schedule("echo_slow", f"hung-{index}", index) for index in range(3)]
    jobs += [engine.schedule("once", "once", 600), engine.schedule("limited", "limited", 600)]
    wait_until(lambda: len(fleet.starts()) == 5, "all run")
    return {job.task_args[0]: str(job.id) for job in jobs}


@pytest.mark.slow
def test_ours_recovers_a_dead_old_worker(fleet: Fleet) -> None:
    """An old worker silent for 1800 s is dead to ours, which recovers its jobs and slots and tells of it.

    Jobs with retries left run again, the others are kept as in doubt; its registration and hash are gone.
    """
    dead = fleet.old(number=5)
    (dead_id,) = fleet.registered()
    ids = run_hanging_jobs(fleet)
    dead.kill()
    fleet.make_look_dead(dead_id, 1790)
    survivor = fleet.ours(signals=("worker_lost", "job_recovered", "job_failed"), threshold=6)
    fleet.wait_for_ends([fleet.engine().schedule("safe", "alive").task_args[0]])
    assert dead_id in fleet.registered(), "1790 s are not 1800 s"
    wait_until(lambda: fleet.lines("signal", signal="worker_lost"), "it is called dead", 20)
    told = fleet.lines("signal", signal="worker_lost")
    assert [(line["worker"], line["recovered"], line["failed"]) for line in told] == [(dead_id, 4, 1)]
    fleet.wait_for_ends([f"hung-{index}" for index in range(3)])
    wait_until(lambda: fleet.starts()["limited"] == 2, "the slot came back")
    assert read_places(fleet).failed == {ids["once"]: "in doubt"}
    assert fleet.starts()["once"] == 1
    assert fleet.registered() == [fleet.registration_of(survivor)]
    assert fleet.slots() == {"limited": b"1"}
    assert list(fleet.running()) == fleet.registered()


@pytest.mark.slow
def test_an_old_worker_recovers_one_of_ours(fleet: Fleet) -> None:
    """One of ours that died is recovered by an old worker by its own rules: what may be repeated runs
    again.
    """
    dead = fleet.ours(number=5)
    dead_id = fleet.registration_of(dead)
    run_hanging_jobs(fleet)
    dead.kill()
    fleet.old(number=5)
    fleet.make_look_dead(dead_id)
    fleet.news()  # an old arbiter judges when it hears something
    fleet.wait_for_ends([f"hung-{index}" for index in range(3)])
    wait_until(lambda: fleet.starts()["limited"] == 2, "the slot came back")
    assert dead_id not in fleet.registered()
    assert dead_id not in fleet.running()
    assert fleet.starts()["once"] == 1
    assert {line["who"] for line in fleet.lines("end")} == {"old"}


@pytest.mark.slow
def test_ours_finish_what_an_old_worker_could_not_recover(fleet: Fleet) -> None:
    """With more stale ids in the registry than an old worker looks at, ours still recovers the dead."""
    dead = fleet.ours(number=5)
    dead_id = fleet.registration_of(dead)
    run_hanging_jobs(fleet)
    dead.kill()
    for index in range(30):
        fleet.redis.zadd(fleet.key("_all_brokers_zset"), {f"stale-{index}": 1})
    fleet.make_look_dead(dead_id)
    fleet.ours(number=5)
    fleet.wait_for_ends([f"hung-{index}" for index in range(3)])
    wait_until(lambda: not fleet.redis.zcount(fleet.key("_all_brokers_zset"), 0, 2), "stale ids are gone")


@pytest.mark.slow
def test_one_of_ours_that_an_old_worker_called_dead_comes_back(fleet: Fleet) -> None:
    """A worker of ours that an old one took for dead registers anew, and its late result changes nothing."""
    ours = fleet.ours(threshold=6, number=2)
    first_id = fleet.registration_of(ours)
    engine = fleet.engine()
    job = engine.schedule("limited", "limited", 2)
    wait_until(fleet.starts, "it runs")
    fleet.old(number=2)
    ours.signal(signal.SIGSTOP)  # so that its heartbeat does not win
    fleet.make_look_dead(first_id)
    fleet.news()
    wait_until(lambda: first_id not in fleet.registered(), "the old worker removes it")
    ours.signal(signal.SIGCONT)
    wait_until(lambda: len(fleet.registered()) == 2, "it registers anew")
    wait_until(lambda: fleet.starts()["limited"] == 2, "the job runs again")
    wait_until(lambda: len(fleet.lines("end")) == 2, "both attempts end")
    wait_until(lambda: not fleet.running(), "nothing is held")
    assert first_id not in fleet.registered()
    assert fleet.slots() == {"limited": b"0"}
    assert read_places(fleet).of(str(job.id)) == []
    fleet.wait_for_ends([engine.schedule("safe", f"after-{i}").task_args[0] for i in range(10)])
