"""What a snapshot tells, held to by every broker."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import pytest

from spinach.brokers.base import Broker, WorkerState
from spinach.stats import MAX_PAGE, JobInfo, NamespaceSnapshot, Page, QueueStats, RunningJob, Tally, Wanted

from .conftest import MakeBroker
from .helpers import claim, failed, fetch, queued, settle, task, waiting


def queue_of(snapshot: NamespaceSnapshot, name: str = "q") -> QueueStats:
    return next(queue for queue in snapshot.queues if queue.name == name)


def test_an_empty_namespace_has_nothing_and_no_errors(make_broker: MakeBroker) -> None:
    """A namespace nobody uses is shown as zeros, not as unknown, and nothing is in error."""
    snapshot = make_broker().snapshot()
    assert (snapshot.queues, snapshot.workers, snapshot.orphans) == ((), (), ())
    assert (snapshot.queued, snapshot.running, snapshot.reserved) == (0, 0, 0)
    assert (snapshot.scheduled, snapshot.overdue, snapshot.overdue_seconds) == (0, 0, 0.0)
    assert (snapshot.failed, snapshot.trimmed, snapshot.limits, snapshot.periodic) == (0, 0, (), ())
    assert (snapshot.connected, snapshot.counters, snapshot.errors, snapshot.truncated) == (0, {}, (), ())
    assert snapshot.exact


def test_a_reader_is_no_worker(make_broker: MakeBroker) -> None:
    """Looking registers nobody."""
    reader = make_broker()
    reader.snapshot(discover=True)
    assert reader.get_all_brokers() == []


def test_depth_age_and_next_task_of_a_queue(make_broker: MakeBroker) -> None:
    """A queue has its depth, the task of its first job, and how long that one has been ready."""
    client = make_broker()
    client.snapshot()  # learns the server's time
    client.enqueue([waiting(client, 1, seconds=-30)])
    client.enqueue([queued(2, name="second")])
    make_broker.until(lambda: queue_of(client.snapshot()).oldest_seconds)
    queue = queue_of(client.snapshot())
    assert (queue.depth, queue.next_task, queue.paused) == (2, "task", False)
    assert 0 < (queue.oldest_seconds or 0) < 10  # of its push: it was not there before


def test_an_empty_queue_is_zero(make_broker: MakeBroker) -> None:
    """A queue that was emptied stays known, with depth and age 0."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1)])
    before = client.snapshot()
    fetch(worker, done=claim(worker))
    queue = queue_of(client.snapshot(known=before))
    assert (queue.depth, queue.oldest_seconds, queue.next_task, queue.tail) == (0, 0.0, None, None)


def test_a_given_queue_is_shown(make_broker: MakeBroker) -> None:
    """A queue that somebody names is looked at, though the namespace knows nothing of it."""
    assert queue_of(make_broker().snapshot(queues=["named"]), "named").depth == 0


def test_running_and_reserved_jobs(make_broker: MakeBroker) -> None:
    """What a worker claimed is running, what it fetched beyond is reserved, per worker and in total."""
    client, worker = make_broker(), make_broker.worker(slots=2)
    client.enqueue([queued(number) for number in range(6)])
    fetch(worker, free_slots=2, reserve_ahead=3)
    snapshot = client.snapshot()
    assert (snapshot.queued, snapshot.running, snapshot.reserved) == (1, 2, 3)
    (stats,) = snapshot.workers
    assert (stats.info.id, stats.running, stats.reserved) == (worker.worker_id, 2, 3)
    assert (stats.slots, stats.queues, stats.state, stats.runs_this_package) == (2, ("q",), "live", True)


def test_a_running_job_tells_since_when(make_broker: MakeBroker) -> None:
    """From its claim, or from the call that starts a reserved one, by the broker's clock."""
    client, worker = make_broker(), make_broker.worker(slots=2)
    client.enqueue([queued(number) for number in range(3)])
    before = client.snapshot().at
    delivery = fetch(worker, free_slots=1, reserve_ahead=1)
    held = held_by(client, worker)
    assert [job.started_at is None for job in held.values()] == [False, True]
    first_start = held[str(delivery.claimed[0].id)].started_at or 0
    assert before - 0.001 <= first_start <= client.snapshot().at
    fetch(worker, starting=delivery.reserved)
    held = held_by(client, worker)
    assert held[str(delivery.claimed[0].id)].started_at == first_start
    assert first_start <= (held[str(delivery.reserved[0].id)].started_at or 0) <= client.snapshot().at
    (waits,) = client.snapshot(wanted=[Wanted("queue", "q", 10)]).pages[0].jobs
    assert waits.started_at is None


def test_a_job_that_comes_back_has_a_new_start(make_broker: MakeBroker) -> None:
    """What a dead worker ran since long ago has not started while it waits again, and keeps its payload."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued("payload", 1.50)])
    claim(worker)
    make_broker.expire(worker)
    other = make_broker.worker()
    other.recover()
    (waits,) = client.snapshot(wanted=[Wanted("queue", "q", 10)]).pages[0].jobs
    assert (waits.started_at, b"started_at" in waits.raw) == (None, False)
    fetch(other, free_slots=1)
    (held,) = held_by(client, other).values()
    assert held.started_at is not None
    assert b'["payload", 1.5]' in held.raw


def held_by(client: Broker, worker: Broker) -> dict[str, JobInfo]:
    (page,) = client.snapshot(wanted=[Wanted("running", worker.worker_id, 10)]).pages
    return {held.job.id: held.job for held in page.held}


def test_the_longest_running_jobs_are_told_by_heartbeats(make_broker: MakeBroker) -> None:
    """So that a tool need not read what workers hold; odd records are read as far as they can be."""
    worker = make_broker.worker()
    job = RunningJob("id", "task", "q", 12.5)
    worker.beat(WorkerState(longest=[job]))
    (stats,) = make_broker().snapshot().workers
    assert stats.longest == (job,)
    assert replace(stats, info=replace(stats.info, details={})).longest == ()
    odd = {"longest": [7, {}, {"started_at": "x"}, {"started_at": 1, "id": 3}, *[{"started_at": 2}] * 99]}
    read = replace(stats, info=replace(stats.info, details=odd)).longest
    assert read == (RunningJob("", "", "", 1), *[RunningJob("", "", "", 2)] * 6)


def test_no_more_jobs_run_than_there_are_slots(make_broker: MakeBroker) -> None:
    """What a worker of ours claimed beyond its slots waits in its hands: it is shown as reserved, and still
    counts as held.
    """
    client, worker = make_broker(), make_broker.worker(slots=2)
    client.enqueue([queued(number) for number in range(6)])
    fetch(worker, free_slots=4, reserve_ahead=1)
    snapshot = client.snapshot()
    assert (snapshot.queued, snapshot.running, snapshot.reserved) == (1, 2, 3)
    (stats,) = snapshot.workers
    assert (stats.running, stats.reserved, stats.held, stats.claimed) == (2, 3, 5, 4)


@pytest.mark.parametrize("state", ["quiet", "stopping", "blocked"])
def test_a_worker_is_what_it_announces(make_broker: MakeBroker, state: str) -> None:
    """A live worker that says it is quiet, stopping or blocked is shown so."""
    worker = make_broker.worker()
    worker.beat(WorkerState(state))
    assert make_broker().snapshot().workers[0].state == state


def test_a_silent_worker_is_dead(make_broker: MakeBroker) -> None:
    """A worker not seen for longer than it announced is dead, and its jobs are orphaned."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1)])
    claim(worker)
    make_broker.expire(worker)
    snapshot = client.snapshot()
    assert (snapshot.workers[0].state, snapshot.orphaned, snapshot.running) == ("dead", 1, 1)


def test_a_worker_that_left_with_jobs_is_an_orphan_holder(make_broker: MakeBroker) -> None:
    """Jobs of a worker that is not registered any more are shown with its id, and count as running."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1), queued(2)])
    claim(worker)
    worker.leave()
    for known in (None, client.snapshot()):
        snapshot = client.snapshot(known=known)
        assert [(orphan.id, orphan.running) for orphan in snapshot.orphans] == [(worker.worker_id, 2)]
        assert (snapshot.workers, snapshot.orphaned, snapshot.running) == ((), 2, 2)


def test_who_listens_is_connected(make_broker: MakeBroker) -> None:
    """Each process that listens to the news counts as connected, until it stops."""
    client = make_broker()
    subscription = client.subscribe()
    assert client.snapshot().connected == 1
    subscription.close()
    make_broker.until(lambda: client.snapshot().connected == 0)


def test_scheduled_and_overdue_jobs(make_broker: MakeBroker) -> None:
    """Waiting jobs are counted; those more than two seconds past their date are overdue, with the age of the
    first.
    """
    client = make_broker()
    client.snapshot()  # learns the server's time
    soon = waiting(client, 1, seconds=0.3)
    client.enqueue([waiting(client, 2, seconds=60), soon])
    snapshot = client.snapshot()
    assert (snapshot.scheduled, snapshot.overdue, snapshot.overdue_seconds) == (2, 0, 0.0)
    make_broker.until(lambda: client.snapshot().overdue == 1)
    snapshot = client.snapshot(known=snapshot)
    assert (snapshot.scheduled, snapshot.overdue) == (2, 1)
    assert 2 < (snapshot.overdue_seconds or 0) < 10


def test_limits_and_periodic_tasks(make_broker: MakeBroker) -> None:
    """Limits show slots taken, periodic tasks their queue, period, next run and how late that is."""
    client, worker = make_broker(), make_broker.worker()
    worker.register([task("task", limit=3), task("tick", period=60, queue="p")])
    worker.beat(WorkerState())
    client.enqueue([queued(1)])
    claim(worker)
    make_broker.set_next_run("tick", client.clock.now() - 100)
    snapshot = client.snapshot()
    assert [(one.task_name, one.limit, one.taken) for one in snapshot.limits or ()] == [("task", 3, 1)]
    (tick,) = snapshot.periodic or ()
    assert (tick.task_name, tick.queue, tick.period_seconds) == ("tick", "p", 60)
    assert tick.late_seconds == pytest.approx(100, abs=5)
    assert queue_of(snapshot, "p").depth == 0  # a periodic task names its queue


def test_counters_and_histograms(make_broker: MakeBroker) -> None:
    """Totals by queue, task and counter, and the times in queue and task by bucket, are in the snapshot."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1)])
    (job,) = claim(worker)
    tally = Tally()
    tally.count("q", "task", "succeeded")
    tally.observe("q", wait_seconds=0.3, run_seconds=2)
    from spinach.brokers.base import Exchange

    worker.exchange(Exchange("q", done=[job], tally=tally))
    snapshot = client.snapshot()
    assert snapshot.counters is not None
    assert snapshot.counters["q", "task", "enqueued"] == 1
    assert snapshot.counters["q", "task", "started"] == 1
    assert snapshot.counters["q", "task", "succeeded"] == 1
    assert snapshot.waits is not None
    assert snapshot.runs is not None
    assert (snapshot.waits["q"].buckets[1], snapshot.waits["q"].total_seconds) == (1, pytest.approx(0.3))
    assert (snapshot.runs["q"].buckets[3], snapshot.runs["q"].total_seconds) == (1, pytest.approx(2))


def test_failures(make_broker: MakeBroker) -> None:
    """Dead letters are counted, and grouped by task and type of error with a sample."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1, retries=0), queued(2, retries=0)])
    first, second = claim(worker)
    settle(worker, failed(worker, first, message="one"))
    settle(worker, failed(worker, second, message="two"))
    assert client.snapshot().failed == 2
    (group,) = client.failure_groups()
    assert (group.task_name, group.error_type, group.count) == ("task", "ValueError", 2)
    assert (group.sample_id, group.sample_message) == (str(second.id), "two")
    assert group.first_seen <= group.last_seen


def test_lost_workers_are_counted_and_named(make_broker: MakeBroker) -> None:
    """A worker that was declared dead is counted with the reason, and remembered with host and process."""
    worker, other = make_broker.worker(), make_broker.worker()
    dead = worker.worker_id
    make_broker.expire(worker)
    other.recover()
    snapshot = make_broker().snapshot()
    assert snapshot.workers_lost == {"silent": 1}
    (lost,) = snapshot.lost
    assert (lost.info.id, lost.info.details["pid"]) == (dead, os.getpid())
    assert lost.info.name == socket.gethostname()
    assert 0 <= snapshot.at - lost.lost_at < 30


def test_first_jobs_of_a_queue(make_broker: MakeBroker) -> None:
    """A page of a queue has its first jobs in order, and odd texts among them as they are."""
    client = make_broker()
    client.enqueue([queued(number, retries=2) for number in range(3)])
    make_broker.push_raw("q", b"odd \xff")
    page = client.queued_jobs("q", 10)
    assert [job.error == "" for job in page] == [True, True, True, False]
    assert (page[0].task_name, page[0].queue, page[0].max_retries) == ("task", "q", 2)
    assert page[3].raw == b"odd \xff"
    assert [job.raw for job in client.queued_jobs("q", 2)] == [job.raw for job in page[:2]]
    assert client.queued_jobs("q", 0) == client.queued_jobs("nothing", 5) == []


def test_jobs_of_a_worker(make_broker: MakeBroker) -> None:
    """A page of a worker has the jobs in its hands."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(number) for number in range(4)])
    jobs = claim(worker, 3)
    found = client.running_jobs(worker.worker_id, 10)
    assert {job.id for job in found} == {str(job.id) for job in jobs}
    assert len(client.running_jobs(worker.worker_id, 2)) == 2
    assert client.running_jobs("nobody", 10) == []


# --- pages -------------------------------------------------------------------------------------------


def page_of(broker: Broker, wanted: Wanted) -> Page:
    """Return a page, which must be the same whether or not there was a snapshot before."""
    first = broker.snapshot(wanted=[wanted])
    again = broker.snapshot(known=first, wanted=[wanted])
    assert [page.wanted for page in first.pages] == [wanted]
    assert first.pages == again.pages
    return again.pages[0]


def test_a_snapshot_brings_the_head_or_the_tail_of_a_queue(make_broker: MakeBroker) -> None:
    """A page of a queue has its first jobs, or its last ones, in the queue's order."""
    client = make_broker()
    client.enqueue([queued(number) for number in range(5)])
    texts = [job.raw for job in client.queued_jobs("q", 5)]
    assert [job.raw for job in page_of(client, Wanted("queue", "q", 2)).jobs] == texts[:2]
    assert [job.raw for job in page_of(client, Wanted("queue", "q", 2, from_tail=True)).jobs] == texts[3:]
    assert [job.raw for job in page_of(client, Wanted("queue", "q", from_tail=True)).jobs] == texts
    assert page_of(client, Wanted("queue", "nothing")).jobs == ()


def test_a_snapshot_brings_running_jobs(make_broker: MakeBroker) -> None:
    """A page of running jobs has those of one worker or of all, with the holder, and says which are only
    reserved.
    """
    client, one, other = make_broker(), make_broker.worker(), make_broker.worker()
    client.enqueue([queued(number) for number in range(6)])
    fetch(one, free_slots=1, reserve_ahead=2)
    (job,) = claim(other, 1)
    held = page_of(client, Wanted("running")).held
    assert sorted(each.worker_id for each in held) == sorted([one.worker_id] * 3 + [other.worker_id])
    assert sum(each.reserved for each in held) == 2
    (only,) = page_of(client, Wanted("running", other.worker_id)).held
    assert (only.job.id, only.reserved) == (str(job.id), False)
    assert len(page_of(client, Wanted("running", limit=2)).held) == 2


def test_a_snapshot_brings_running_jobs_of_who_left(make_broker: MakeBroker) -> None:
    """Jobs whose worker is registered nowhere are among the running ones."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1)])
    claim(worker)
    worker.leave()
    assert [each.worker_id for each in page_of(client, Wanted("running")).held] == [worker.worker_id]


def test_a_snapshot_brings_scheduled_jobs(make_broker: MakeBroker) -> None:
    """A page of scheduled jobs has the earliest first."""
    client = make_broker()
    client.enqueue([waiting(client, number, seconds=100 - number) for number in range(4)])
    jobs = page_of(client, Wanted("scheduled", limit=3)).jobs
    dates = [job.at or 0 for job in jobs]
    assert len(jobs) == 3
    assert dates == sorted(dates)
    assert dates[0] == pytest.approx(client.clock.now() + 97, abs=5)


def test_a_snapshot_brings_failures(make_broker: MakeBroker) -> None:
    """Pages of dead letters and of failure groups are what the calls of their own return."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(number, retries=0) for number in range(3)])
    for number, job in enumerate(claim(worker)):
        settle(worker, failed(worker, job, at=client.clock.now() + number))
    assert list(page_of(client, Wanted("failed", limit=2)).failed) == client.failed_jobs(2)
    assert list(page_of(client, Wanted("groups")).groups) == client.failure_groups()
    assert len(client.failure_groups()) == 1


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1])
def test_a_page_is_bounded(limit: int) -> None:
    """Nobody can ask for a page without entries or for more of them than a screen can use."""
    with pytest.raises(ValueError, match="entries"):
        Wanted("queue", "q", limit)


def look_twice(broker: Broker, between: object) -> QueueStats:
    before = broker.snapshot()
    assert callable(between)
    between()
    return queue_of(broker.snapshot(known=before))


def test_the_marker_tells_what_came(make_broker: MakeBroker) -> None:
    """The next snapshot finds the last job of the one before: behind it stands what came since."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(number) for number in range(5)])

    def work() -> None:
        client.enqueue([queued(number) for number in range(3)])
        claim(worker, 2)

    queue = look_twice(client, work)
    assert (queue.depth, queue.marker_position) == (6, 2)
    assert queue.marker_reach > 0
    assert queue.consistent


def test_a_marker_that_left_is_not_found(make_broker: MakeBroker) -> None:
    """When the last job of the snapshot before is gone, there is no position, and the search says how far it
    went.
    """
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(1)])

    def work() -> None:
        claim(worker, 1)
        client.enqueue([queued(2)])

    queue = look_twice(client, work)
    assert (queue.depth, queue.marker_position) == (1, None)
    assert queue.marker_reach > 0
