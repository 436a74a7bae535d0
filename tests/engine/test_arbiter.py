"""The arbiter, driven tick by tick: what it holds is run once, given back, or another worker's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from spinach.brokers.base import WorkerProfile
from spinach.brokers.memory import MemoryBroker, MemoryStore
from spinach.clock import to_datetime
from spinach.exc import BrokerUnavailable
from spinach.execution import Attempt, Environment
from spinach.job import Job, JobStatus
from spinach.runtime.arbiter import Arbiter
from spinach.runtime.notifier import ResultNotifier
from spinach.task import Tasks
from spinach.worker import BaseWorkers
from tests.brokers.conftest import FakeClock


class ManualWorkers(BaseWorkers):
    """Begins and ends a job when the test says so."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots, "manual")
        self.waiting: list[Job] = []

    def start(self, environment: Environment) -> None:
        self._environment = environment

    def submit(self, jobs: Iterable[Job]) -> None:
        self.waiting += jobs

    def backlog(self) -> int:
        return len(self.waiting)

    def reclaim(self) -> list[Job]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def stop(self) -> None:
        """Nothing runs by itself."""

    def begin(self) -> Attempt:
        """Begin the first job that waits; the `with` block of the attempt is its run."""
        return Attempt(self.waiting.pop(0), self._environment)


class UnreliableBroker(MemoryBroker):
    """Loses its connection at the next call that gives jobs back, when told so."""

    fails_to_give_back = False

    def give_back(self, jobs: Sequence[Job], *, worker_id: str = "") -> None:
        if self.fails_to_give_back:
            self.fails_to_give_back = False
            raise BrokerUnavailable("connection lost")
        super().give_back(jobs, worker_id=worker_id)


class Driven:
    """One arbiter with a single slot, on a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.broker = UnreliableBroker(store=MemoryStore(clock=self.clock), clock=self.clock)
        self.broker.namespace = "arbiter"
        self.broker.start()
        self.join()
        self.ran: list[int] = []
        tasks = Tasks()
        tasks.add(self.ran.append, name="append", max_retries=3)
        self.workers = ManualWorkers(1)
        self.notifier = ResultNotifier(broker=self.broker, on_revoked=lambda _worker_id: None)
        self.arbiter = Arbiter(
            broker=self.broker,
            workers=self.workers,
            notifier=self.notifier,
            tasks=tasks,
            queue="q",
            on_revoked=lambda _worker_id: None,
        )
        self.workers.start(Environment("arbiter", self.broker.clock, self.arbiter.report))

    def join(self) -> None:
        self.broker.join(WorkerProfile(queue="q", slots=1))

    def enqueue(self, numbers: Iterable[int]) -> None:
        now = to_datetime(self.broker.clock.now())
        jobs = [Job("append", "q", now, 3, (number,), {}) for number in numbers]
        for job in jobs:
            job.status = JobStatus.QUEUED
        self.broker.enqueue(jobs)

    def run_one(self) -> None:
        with self.workers.begin() as attempt:
            self.ran.extend(attempt.job.task_args)

    def run_all(self) -> None:
        """Tick and run until nothing is left here or in the queue."""
        while not self.broker.is_queue_empty("q") or self.workers.waiting:
            self.clock.advance(0.01)
            self.arbiter.tick()
            while self.workers.waiting:
                self.run_one()
        self.arbiter.tick()

    def hold_jobs_behind_a_long_one(self, jobs: int = 500) -> Attempt:
        """Learn that jobs are short, hold a batch, begin its first job; return it, still running."""
        self.enqueue([0])
        self.arbiter.tick()
        self.run_one()
        self.enqueue(range(1, jobs))
        self.arbiter.tick()
        assert self.workers.waiting
        return self.workers.begin()


@pytest.fixture
def driven() -> Driven:
    return Driven()


def test_jobs_that_wait_behind_a_long_one_are_given_back(driven: Driven) -> None:
    """Jobs held behind a long one go back to the queue after a while, for a worker with a free slot."""
    running = driven.hold_jobs_behind_a_long_one()
    driven.clock.advance(1)
    driven.arbiter.tick()
    assert driven.workers.waiting == []
    assert driven.arbiter.busy == 1
    with running:
        driven.ran.extend(running.job.task_args)
    driven.run_all()
    assert sorted(driven.ran) == list(range(500))


def test_jobs_reserved_while_others_are_given_back_again_still_run(driven: Driven) -> None:
    """After an outage in which jobs could not be given back, jobs that are reserved meanwhile run, too."""
    running = driven.hold_jobs_behind_a_long_one()
    driven.clock.advance(1)
    driven.broker.fails_to_give_back = True
    with pytest.raises(BrokerUnavailable):
        driven.arbiter.tick()
    with running:
        driven.ran.extend(running.job.task_args)
    driven.run_all()
    assert sorted(driven.ran) == list(range(500))


def test_a_revoked_worker_holds_nothing_and_counts_what_still_runs(driven: Driven) -> None:
    """A revoked worker drops its jobs; the one that runs keeps its slot, and its result is void."""
    running = driven.hold_jobs_behind_a_long_one(jobs=50)  # all of them fit into one batch
    driven.broker.leave()
    driven.join()
    driven.arbiter.tick()
    assert driven.workers.waiting == []
    assert driven.arbiter.busy == 1
    with running:
        pass
    assert driven.arbiter.unacknowledged == 1
    driven.arbiter.tick()
    assert driven.arbiter.unacknowledged == 0
    (recovery,) = driven.broker.recover()
    assert [job.task_args[0] for job in recovery.requeued] == list(range(1, 50))
