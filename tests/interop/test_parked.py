"""Parked jobs and workers that do not know of parking: 0.0.25 finds every job it may run, and no crash loses
one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker import read_places, violations
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet, old_python: Path) -> Fleet:
    return make_fleet(valkey_server, old_python)


def parked(fleet: Fleet) -> int:
    return sum(int(count) for count in fleet.redis.hvals(fleet.key("_parked-counts")))


@pytest.mark.slow
def test_an_old_worker_that_joins_finds_parked_jobs(fleet: Fleet) -> None:
    """Parked jobs are in their queue again within a heartbeat after a worker of 0.0.25 joined, which runs
    them.
    """
    engine = fleet.engine()
    ours = fleet.ours(limit=2, number=6, threshold=12)
    jobs = [engine.schedule("limited", f"limited-{index}", 0.1) for index in range(200)]
    jobs += [engine.schedule("once", "free", 0.0)]
    wait_until(lambda: parked(fleet) > 0, "jobs are parked")
    fleet.old(limit=2, number=6)
    wait_until(lambda: parked(fleet) == 0, "none is parked", 10)
    assert len(read_places(fleet).queued) > 50
    assert ours.stop() == 0
    fleet.wait_for_ends([job.task_args[0] for job in jobs], 60)
    assert {line["who"] for line in fleet.lines("end")} == {"ours", "old"}
    assert violations(fleet, jobs, at_rest=False) == []


@pytest.mark.slow
def test_a_stop_leaves_parked_jobs_to_old_workers(fleet: Fleet) -> None:
    """After the last worker of ours stopped, 0.0.25 runs every job."""
    engine = fleet.engine()
    ours = fleet.ours(limit=1, number=6, threshold=12)
    jobs = [engine.schedule("limited", f"limited-{index}", 0.02) for index in range(150)]
    wait_until(lambda: parked(fleet) > 0, "jobs are parked")
    assert ours.stop() == 0
    assert parked(fleet) == 0
    fleet.old(limit=1, number=6)
    fleet.wait_for_ends([job.task_args[0] for job in jobs], 60)
    assert violations(fleet, jobs, at_rest=False) == []


@pytest.mark.slow
def test_a_killed_worker_leaves_parked_jobs_to_the_next(fleet: Fleet) -> None:
    """Parked jobs outlive a killed worker, and each runs as often as it may."""
    engine = fleet.engine()
    worker = fleet.ours(limit=1, number=6, threshold=3)
    jobs = [engine.schedule("limited", f"limited-{index:03}", 0.01) for index in range(300)]
    wait_until(lambda: parked(fleet) > 0, "jobs are parked")
    worker.kill()
    assert len(read_places(fleet).queued) + len(read_places(fleet).running) > 100
    fleet.ours(limit=1, number=6, threshold=3)
    fleet.wait_for_ends([job.task_args[0] for job in jobs], 60)
    wait_until(lambda: violations(fleet, jobs) == [], "all is at rest", 15)
