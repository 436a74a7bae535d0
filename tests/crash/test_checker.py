"""The checker itself: each promise that is broken by hand must be found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spinach.job import Job, JobStatus
from tests.apps.journal import Journal
from tests.checker import violations
from tests.fleet import Fleet
from tests.servers import Server


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(valkey_server)


@pytest.fixture
def job(fleet: Fleet) -> Job:
    """An accepted job that stands in its queue."""
    return fleet.engine().schedule("once", "it")


def started(fleet: Fleet, times: int = 1, *, ends: bool = False) -> None:
    journal = Journal(str(fleet.journal_path), "test")
    for _ in range(times):
        journal.write("start", tag="it")
    if ends:
        journal.write("end", tag="it")


def test_an_accepted_job_in_its_queue_is_fine_until_work_is_done(fleet: Fleet, job: Job) -> None:
    """A visible job breaks no promise, but is stuck once all work should be done."""
    assert violations(fleet, [job], at_rest=False) == []
    assert [line.split(":")[0] for line in violations(fleet, [job])] == ["stuck"]


def test_a_job_that_is_nowhere_is_lost(fleet: Fleet, job: Job) -> None:
    """A job that neither ended nor stands anywhere is lost."""
    fleet.redis.delete(fleet.key("spinach"))
    assert violations(fleet, [job], at_rest=False)[0].startswith("lost")


def test_a_second_start_of_an_at_most_once_job_is_found(fleet: Fleet, job: Job) -> None:
    """A job that must not be repeated and starts twice breaks its promise, however it ended."""
    fleet.redis.delete(fleet.key("spinach"))
    started(fleet, 2, ends=True)
    assert violations(fleet, [job])[0].startswith("started too often")


def test_a_job_in_two_places_is_found(fleet: Fleet, job: Job) -> None:
    """A job stands in one place."""
    key = fleet.key("_running-jobs-on-broker-x")
    fleet.redis.hset(key, str(job.id), job.text(JobStatus.RUNNING, 0.0))
    assert violations(fleet, [job], at_rest=False)[0].startswith("in two places")


def test_slots_that_nobody_holds_are_found(fleet: Fleet, job: Job) -> None:
    """A slot that is taken while nothing runs has leaked."""
    fleet.redis.delete(fleet.key("spinach"))
    started(fleet, ends=True)
    fleet.redis.hset(fleet.key("_current_concurrency"), "limited", 1)
    assert violations(fleet, [job])[0].startswith("slots of limited")
