"""The contract of brokers, held over every kind of them: each docstring is a sentence of the
specification.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from spinach.brokers.base import Broker, Exchange, WorkerProfile, WorkerState
from spinach.brokers.limits import MAX_FAILURE_GROUPS, MAX_SAMPLE_CHARACTERS
from spinach.clock import to_datetime
from spinach.const import VERSION
from spinach.exc import InvalidJobArguments, InvalidNamespace, LeaseRevoked
from spinach.job import Job, JobStatus
from spinach.stats import AttemptError, JobInfo, RunningJob, Tally, Wanted

from .conftest import LONG_AGO, MakeBroker
from .helpers import (
    SAFE,
    claim,
    claim_one,
    failed,
    fetch,
    firsts,
    queued,
    retried,
    settle,
    task,
    waiting,
)

UNSAFE = 0

# --- the namespace -----------------------------------------------------------------------------------


def test_namespace_is_set_once(make_broker: MakeBroker) -> None:
    """A broker serves one namespace for its whole life."""
    broker = make_broker()
    broker.namespace = broker.namespace
    with pytest.raises(RuntimeError, match="make another one"):
        broker.namespace = "another"


@pytest.mark.parametrize("bad", ["", "a\nb", "a\x00b", "\ud800", "a\x7f", 5, None])
def test_namespace_is_checked(make_broker: MakeBroker, bad: object) -> None:
    """A namespace that cannot be stored or shown is refused."""
    with pytest.raises(InvalidNamespace):
        make_broker._new().namespace = bad  # type: ignore[assignment]


def test_namespaces_are_isolated(make_broker: MakeBroker) -> None:
    """A job of one namespace is never seen by a worker of another, not even of the same queue."""
    here, there = make_broker("contract-a"), make_broker.worker(namespace="contract-b")
    here.enqueue([queued(1)])
    assert claim(there) == []


@pytest.mark.parametrize(
    ("flushed", "kept"),
    [
        ("a*", "ab"),
        ("a[b]", "ab"),
        ("a?", "ab"),
        ("a", "ab"),
        ("{x}", "x"),
        ("a\\*", "a*"),
        ("a", "a/b"),
        ("a", "a/b/c"),
        ("a", "a//b"),
        ("a/b", "a"),
        ("a", "a/q"),
    ],
)
def test_flush_takes_the_namespace_for_a_text(make_broker: MakeBroker, flushed: str, kept: str) -> None:
    """Flushing a namespace leaves every other one alone, whatever characters its name has."""
    mine, other = make_broker(flushed), make_broker.worker(namespace=kept)
    mine.enqueue([queued(1)])
    other.enqueue([queued(2), waiting(other, seconds=3600)])
    mine.flush()
    assert mine.is_queue_empty("q")
    assert firsts(claim(other)) == [2]
    assert other.promote().next_at is not None


def test_flush_tells_queues_from_namespaces_that_continue_it(make_broker: MakeBroker) -> None:
    """`shop` has a queue `eu/mail`, and there is a namespace `shop/eu`: each flush takes its own."""
    shop, eu = make_broker("shop"), make_broker.worker(namespace="shop/eu")
    shop.enqueue([queued(1, queue="eu/mail"), queued(2, queue="de/mail")])
    eu.enqueue([queued(3, queue="q")])
    shop.flush()
    assert shop.is_queue_empty("eu/mail")
    assert shop.is_queue_empty("de/mail")
    assert firsts(claim(eu)) == [3]
    assert len(eu.get_all_brokers()) == 1


def test_flush_empties_the_namespace(make_broker: MakeBroker) -> None:
    """After a flush nothing is left: no job anywhere, no timer, no worker, no dead letter."""
    worker = make_broker.worker()
    worker.register([task("beat", period=60), task("limited", limit=1)])
    worker.enqueue([queued(1), queued(2), waiting(worker, seconds=3600)])
    settle(worker, failed(worker, claim_one(worker)))
    worker.flush()
    assert worker.is_queue_empty("q")
    assert worker.promote().next_at is None
    assert worker.run_periodic().next_at is None
    assert worker.inspect_periodic_tasks() == []
    assert worker.get_all_brokers() == []
    assert worker.failed_jobs() == []


# --- enqueue -----------------------------------------------------------------------------------------


def test_queue_is_fifo(make_broker: MakeBroker) -> None:
    """Jobs of a queue are handed out in the order in which they were accepted."""
    worker = make_broker.worker()
    worker.enqueue([queued(number) for number in range(5)])
    worker.enqueue([queued(5), queued(6)])
    assert firsts(claim(worker)) == list(range(7))


def test_queues_are_apart(make_broker: MakeBroker) -> None:
    """A worker gets jobs of its queue only."""
    worker = make_broker.worker()
    worker.enqueue([queued(1, queue="other"), queued(2)])
    assert firsts(claim(worker)) == [2]
    assert not worker.is_queue_empty("other")


def test_queue_is_empty_when_no_job_stands_in_it(make_broker: MakeBroker) -> None:
    """A queue is empty before its first job and after its last one was handed out."""
    worker = make_broker.worker()
    assert worker.is_queue_empty("q")
    worker.enqueue([queued(1)])
    assert not worker.is_queue_empty("q")
    claim_one(worker)
    assert worker.is_queue_empty("q")


def test_nothing_to_enqueue(make_broker: MakeBroker) -> None:
    """An empty batch is accepted and changes nothing."""
    broker = make_broker()
    broker.enqueue([])
    assert broker.is_queue_empty("q")


def test_dated_job_waits(make_broker: MakeBroker) -> None:
    """A job with a later date waits, is no part of its queue, and says so."""
    worker = make_broker.worker()
    job = waiting(worker, seconds=3600)
    worker.enqueue([job])
    assert job.status is JobStatus.WAITING
    assert worker.is_queue_empty("q")
    assert worker.promote().jobs == []
    assert claim(worker) == []


def test_past_date_is_now(make_broker: MakeBroker) -> None:
    """A job whose date is past by the broker's clock goes to its queue at once."""
    worker = make_broker.worker()
    job = waiting(worker, 1, seconds=-5)
    worker.enqueue([job])
    assert job.status is JobStatus.QUEUED
    assert firsts(claim(worker)) == [1]


def test_now_means_now(make_broker: MakeBroker) -> None:
    """A job that comes as QUEUED is queued whatever its date: the client's clock may be wrong."""
    worker = make_broker.worker()
    job = waiting(worker, 1, seconds=3600)
    job.status = JobStatus.QUEUED
    worker.enqueue([job])
    assert job.status is JobStatus.QUEUED
    assert firsts(claim(worker)) == [1]


def test_batch_with_a_bad_argument_schedules_nothing(make_broker: MakeBroker) -> None:
    """A batch is accepted whole or, when one of its arguments is no JSON, not at all."""
    worker = make_broker.worker()
    jobs = [queued(1), waiting(worker, seconds=60), queued(object()), queued(2)]
    with pytest.raises(InvalidJobArguments):
        worker.enqueue(jobs)
    assert worker.is_queue_empty("q")
    assert worker.promote().next_at is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}])
def test_not_json_is_refused(make_broker: MakeBroker, value: object) -> None:
    """What strict JSON cannot hold is refused before anything is sent."""
    broker = make_broker()
    with pytest.raises(InvalidJobArguments):
        broker.enqueue([queued(value)])
    assert broker.is_queue_empty("q")


def test_job_keeps_its_fields(make_broker: MakeBroker) -> None:
    """A worker gets the job with the fields that the client gave it."""
    worker = make_broker.worker()
    job = queued(1, key="value", name='täsk / "quoted"')
    job.headers, job.timeout, job.unique_key = {"traceparent": "00-ab"}, 2.5, "only"
    worker.enqueue([job])
    received = claim_one(worker)
    assert (received.id, received.task_name, received.queue) == (job.id, job.task_name, "q")
    assert (received.at, received.max_retries, received.retries) == (job.at, SAFE, 0)
    assert (received.task_args, received.task_kwargs) == ((1,), {"key": "value"})
    assert (received.headers, received.timeout, received.unique_key) == (job.headers, 2.5, "only")


def test_job_knows_when_it_was_pushed(make_broker: MakeBroker) -> None:
    """A job carries the time of its last push by the broker's clock."""
    worker = make_broker.worker()
    before = worker.clock.now()
    worker.enqueue([queued(1)])
    enqueued_at = claim_one(worker).enqueued_at
    assert enqueued_at is not None
    assert before - 1 <= enqueued_at <= worker.clock.now() + 1


# --- exchange: who gets what -------------------------------------------------------------------------


def test_claimed_jobs_run_and_reserved_ones_do_not(make_broker: MakeBroker) -> None:
    """A claimed job comes as RUNNING, a reserved one still as QUEUED."""
    worker = make_broker.worker()
    worker.enqueue([queued(1), queued(2)])
    delivery = fetch(worker, free_slots=1, reserve_ahead=1)
    assert [job.status for job in delivery.claimed] == [JobStatus.RUNNING]
    assert [job.status for job in delivery.reserved] == [JobStatus.QUEUED]


def test_repeatable_jobs_fill_room_then_extra_then_prefetch(make_broker: MakeBroker) -> None:
    """Jobs that may be repeated are claimed up to free_slots + claim_ahead, then reserved up to prefetch."""
    worker = make_broker.worker()
    worker.enqueue([queued(number) for number in range(10)])
    delivery = fetch(worker, free_slots=2, claim_ahead=3, reserve_ahead=4)
    assert firsts(delivery.claimed) == [0, 1, 2, 3, 4]
    assert firsts(delivery.reserved) == [5, 6, 7, 8]
    assert firsts(claim(worker)) == [9]


@pytest.mark.parametrize(("stored", "full"), [(0, False), (8, False), (9, True), (10, True)])
def test_full_delivery_says_that_there_may_be_more(make_broker: MakeBroker, stored: int, full: bool) -> None:
    """A delivery is full when it brings all the jobs asked for: the worker may ask again at once."""
    worker = make_broker.worker()
    worker.enqueue([queued(number) for number in range(stored)])
    assert fetch(worker, free_slots=2, claim_ahead=3, reserve_ahead=4).full is full


def test_delivery_without_jobs_is_never_full(make_broker: MakeBroker) -> None:
    """An exchange that asks for nothing, or finds no job it may have, brings no full delivery."""
    worker = make_broker.worker()
    worker.enqueue([queued(1, retries=UNSAFE)])
    assert not fetch(worker).full
    assert not fetch(worker, claim_ahead=1, reserve_ahead=1).full
    assert fetch(worker, free_slots=1).full


def test_last_attempts_are_claimed_against_room_only(make_broker: MakeBroker) -> None:
    """A job that must not be repeated is handed out only when a slot is free, and always claimed."""
    worker = make_broker.worker()
    worker.enqueue([queued(number, retries=UNSAFE) for number in range(4)])
    delivery = fetch(worker, free_slots=2, claim_ahead=5, reserve_ahead=5)
    assert firsts(delivery.claimed) == [0, 1]
    assert delivery.reserved == []
    assert fetch(worker, claim_ahead=5, reserve_ahead=5).claimed == []


def test_repeatable_jobs_take_room_from_last_attempts(make_broker: MakeBroker) -> None:
    """Room is shared in the order of the queue: what was claimed before counts against it."""
    worker = make_broker.worker()
    worker.enqueue([queued(0), queued(1), queued(2, retries=UNSAFE), queued(3)])
    delivery = fetch(worker, free_slots=2, claim_ahead=5, reserve_ahead=5)
    assert firsts(delivery.claimed) == [0, 1]
    assert delivery.reserved == []
    assert firsts(claim(worker)) == [2, 3]


def test_last_allowed_attempt_is_strict(make_broker: MakeBroker) -> None:
    """A job that has used its retries up is as strict as one that never had any."""
    worker = make_broker.worker()
    job = queued(1, retries=1)
    worker.enqueue([job])
    settle(worker, retried(worker, claim_one(worker)))
    delivery = fetch(worker, claim_ahead=5, reserve_ahead=5)
    assert delivery.claimed + delivery.reserved == []
    assert firsts(claim(worker)) == [1]


def test_no_one_overtakes_a_job_without_room(make_broker: MakeBroker) -> None:
    """The walk stops at the first strict job there is no room for; those behind it keep their place."""
    worker = make_broker.worker()
    worker.enqueue([queued(0, retries=UNSAFE), queued(1)])
    delivery = fetch(worker, claim_ahead=5, reserve_ahead=5)
    assert (delivery.claimed, delivery.reserved) == ([], [])
    assert firsts(claim(worker)) == [0, 1]


def test_a_job_is_handed_out_once(make_broker: MakeBroker) -> None:
    """Two workers never get the same job."""
    one, two = make_broker.worker(), make_broker.worker()
    one.enqueue([queued(number) for number in range(10)])
    mine = firsts(claim(one, 3)) + firsts(fetch(two, free_slots=3, reserve_ahead=2).reserved)
    rest = firsts(claim(one)) + firsts(claim(two))
    assert len(mine + rest) == len(set(mine + rest)) == 7


def test_malformed_entry_is_set_aside(make_broker: MakeBroker) -> None:
    """Bytes that are no job become a dead letter, once, and delay nobody."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    make_broker.push_raw("q", b'{"not": "a job"}')
    make_broker.push_raw("q", b"\xff\xfe")
    worker.enqueue([queued(2)])
    assert firsts(claim(worker)) == [1, 2]
    letters = worker.failed_jobs()
    assert {letter.raw for letter in letters} == {b'{"not": "a job"}', b"\xff\xfe"}
    assert {letter.reason for letter in letters} == {"malformed"}
    assert {letter.error_type for letter in letters} == {"spinach.exc.MalformedJob"}
    place = f"found in the jobs of worker {worker.worker_id}: "
    assert all(letter.message.startswith(place) for letter in letters)
    assert {(letter.queue, letter.task_name, letter.worker) for letter in letters} == {
        ("", "", worker.worker_id)
    }
    assert all(letter.id.startswith("malformed-") for letter in letters)
    assert claim(worker) == []
    assert len(worker.failed_jobs()) == 2


def test_done_twice_is_harmless(make_broker: MakeBroker) -> None:
    """An exchange that is repeated hands in nothing twice."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    job = claim_one(worker)
    fetch(worker, done=[job])
    fetch(worker, done=[job])
    make_broker.expire(worker)
    (recovery,) = make_broker.worker().recover()
    assert (recovery.requeued, recovery.failed) == ([], [])


# --- limits ------------------------------------------------------------------------------------------


def test_limit_holds_over_all_workers(make_broker: MakeBroker) -> None:
    """Never more jobs of a limited task run than its limit, over all workers of the namespace."""
    one, two = make_broker.worker(), make_broker.worker()
    one.register([task("limited", limit=2)])
    one.enqueue([queued(number, name="limited") for number in range(5)])
    assert firsts(claim(one, 1)) == [0]
    assert firsts(claim(two, 5)) == [1]
    assert claim(one) == []
    assert not one.is_queue_empty("q")


def test_limited_jobs_are_strict(make_broker: MakeBroker) -> None:
    """A job of a limited task is handed out only against a free slot, and never reserved."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=5)])
    worker.enqueue([queued(number, name="limited") for number in range(3)])
    delivery = fetch(worker, free_slots=1, claim_ahead=5, reserve_ahead=5)
    assert firsts(delivery.claimed) == [0]
    assert delivery.reserved == []


def test_blocked_jobs_are_looked_past_in_place(make_broker: MakeBroker) -> None:
    """Jobs blocked by a limit stop nobody behind them and keep their place and order."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(0, name="limited"), queued(1, name="limited"), queued(2, name="limited")])
    worker.enqueue([queued(3), queued(4, retries=UNSAFE), queued(5)])
    first, *others = claim(worker, 3)
    assert firsts([first, *others]) == [0, 3, 4]
    worker.give_back(others)
    fetch(worker, done=[first])
    assert firsts(claim(worker)) == [3, 4, 1, 5]


def test_a_thousand_blocked_jobs_are_looked_past(make_broker: MakeBroker) -> None:
    """A fetch looks past hundreds of blocked jobs to find one that may run."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(number, name="limited") for number in range(991)])
    worker.enqueue([queued("free")])
    assert firsts(claim(worker, 2)) == [0, "free"]


def arguments_of(jobs: Iterable[JobInfo]) -> list[Any]:
    """Return the first argument of each stored job."""
    return [Job.deserialize(info.raw).task_args[0] for info in jobs]


def test_an_exchange_looks_past_some_hundred_blocked_jobs(make_broker: MakeBroker) -> None:
    """One call looks past 500 blocked jobs at most; it says that another one may bring more, which goes on
    there.
    """
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(number, name="limited") for number in range(1_001)])
    worker.enqueue([queued("free")])
    claim_one(worker)
    deliveries = [fetch(worker, free_slots=1) for _ in range(3)]
    assert [firsts(delivery.claimed) for delivery in deliveries] == [[], [], ["free"]]
    assert [delivery.full for delivery in deliveries] == [True, True, True]
    assert not fetch(worker, free_slots=1).full


def test_many_blocked_jobs_are_still_jobs_of_their_queue(make_broker: MakeBroker) -> None:
    """What a worker parks is counted, listed and kept in order with the rest of the queue."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(number, name="limited") for number in range(60)])
    worker.enqueue([queued("free")])
    first, _ = claim(worker, 2)
    worker.enqueue([queued("last", name="limited")])
    (queue,) = [one for one in make_broker().snapshot().queues if one.name == "q"]
    assert (queue.depth, queue.parked, queue.next_task) == (60, 59, "limited")
    assert not worker.is_queue_empty("q")
    assert arguments_of(worker.queued_jobs("q", 100)) == [*range(1, 60), "last"]
    wanted = [Wanted("queue", "q", 3)]
    assert arguments_of(worker.snapshot(wanted=wanted).pages[0].jobs) == [1, 2, 3]
    order = []
    while first:
        fetch(worker, done=[first])
        first = next(iter(claim(worker, 1)), None)
        order += firsts([first] if first else [])
    assert order == [*range(1, 60), "last"]
    assert worker.is_queue_empty("q")
    (queue,) = [one for one in make_broker().snapshot().queues if one.name == "q"]
    assert (queue.depth, queue.parked) == (0, 0)


def test_parked_jobs_of_several_tasks_run_in_order(make_broker: MakeBroker) -> None:
    """A free slot of one task brings its oldest job, and none of a task whose limit is still reached."""
    worker = make_broker.worker()
    worker.register([task("a", limit=1), task("b", limit=2)])
    worker.enqueue([queued(number, name="ab"[number % 2]) for number in range(120)])
    a, *b = claim(worker, 3)
    worker.enqueue([queued("free")])
    assert firsts([a, *b]) == [0, 1, 3]
    assert firsts(claim(worker, 1)) == ["free"]
    fetch(worker, done=[b[0]])
    assert firsts(claim(worker, 5)) == [5]
    fetch(worker, done=[a])
    assert firsts(claim(worker, 5)) == [2]


def test_parked_jobs_run_when_their_limit_is_lifted(make_broker: MakeBroker) -> None:
    """Once the task has no limit any more, parked jobs run in order, also when no other task has a limit."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(number, name="limited") for number in range(70)])
    assert firsts(claim(worker, 1)) == [0]
    assert claim(worker, 1) == []
    worker.register([task("limited")])
    worker.recover()
    assert firsts(claim(worker, 100)) == list(range(1, 70))


def test_last_worker_leaves_no_parked_job(make_broker: MakeBroker) -> None:
    """When the last worker leaves, parked jobs are in their queue again, in order."""
    worker, other = make_broker.worker(), make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(number, name="limited") for number in range(1_300)])
    (first,) = claim(worker, 2)
    other.leave()
    fetch(worker, done=[first])
    worker.leave()
    (queue,) = [one for one in make_broker().snapshot().queues if one.name == "q"]
    assert (queue.depth, queue.parked) == (1_299, 0)
    assert arguments_of(worker.queued_jobs("q", 2_000)) == list(range(1, 1_300))


@pytest.mark.parametrize("end", ["done", "failed", "retried", "given back", "recovered"])
def test_slot_is_freed(make_broker: MakeBroker, end: str) -> None:
    """However the run of a limited job ends, its slot is free again."""
    worker, other = make_broker.worker(), make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(0, name="limited"), queued(1, name="limited")])
    job = claim_one(worker)
    assert claim(other) == []
    END[end](make_broker, worker, job)
    assert len(claim(other)) == 1
    assert claim(other) == []


END: dict[str, Callable[[MakeBroker, Broker, Job], object]] = {
    "done": lambda _make, worker, job: fetch(worker, done=[job]),
    "failed": lambda _make, worker, job: settle(worker, failed(worker, job)),
    "retried": lambda _make, worker, job: settle(worker, retried(worker, job, seconds=3600)),
    "given back": lambda _make, worker, job: worker.give_back([job]),
    "recovered": lambda make, worker, _job: (make.expire(worker), make.worker().recover()),
}


def test_done_and_settled_twice_free_one_slot(make_broker: MakeBroker) -> None:
    """A slot is given back once, however often the end of its job is reported."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=2)])
    worker.enqueue([queued(number, name="limited") for number in range(6)])
    first, _second = claim(worker, 2)
    for _ in range(3):
        fetch(worker, done=[first])
    settle(worker, failed(worker, first))
    assert firsts(claim(worker)) == [2]


def test_changed_limit_holds_from_its_registration(make_broker: MakeBroker) -> None:
    """The limit that was registered last holds."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(number, name="limited") for number in range(5)])
    assert len(claim(worker)) == 1
    worker.register([task("limited", limit=3)])
    assert len(claim(worker)) == 2


def test_limits_of_others_stay(make_broker: MakeBroker) -> None:
    """A second application that registers its tasks leaves the limits of the first alone."""
    one, two = make_broker.worker(), make_broker.worker()
    one.register([task("limited", limit=1)])
    two.register([task("mine", limit=7)])
    one.enqueue([queued(0, name="limited"), queued(1, name="limited")])
    assert firsts(claim(two)) == [0]


def test_end_of_a_limited_job_is_news(make_broker: MakeBroker) -> None:
    """Whoever waits for a slot hears that one was freed."""
    worker = make_broker.worker()
    worker.register([task("limited", limit=1)])
    worker.enqueue([queued(0, name="limited")])
    job = claim_one(worker)
    subscription = make_broker().subscribe()
    fetch(worker, done=[job])
    assert subscription.wait(5)
    subscription.close()


# --- give back ---------------------------------------------------------------------------------------


def test_given_back_jobs_stand_at_the_head_in_order(make_broker: MakeBroker) -> None:
    """Jobs that did not start go back to the head of their queue, in order, retries untouched."""
    worker, other = make_broker.worker(), make_broker.worker()
    worker.enqueue([queued(number) for number in range(5)])
    delivery = fetch(worker, free_slots=1, reserve_ahead=2)
    worker.give_back(delivery.claimed + delivery.reserved)
    jobs = claim(other)
    assert firsts(jobs) == [0, 1, 2, 3, 4]
    assert {job.retries for job in jobs} == {0}


def test_given_back_job_is_given_back_once(make_broker: MakeBroker) -> None:
    """Giving back again, or what another worker holds, changes nothing."""
    worker, other = make_broker.worker(), make_broker.worker()
    worker.enqueue([queued(0)])
    job = claim_one(worker)
    worker.give_back([job])
    worker.give_back([job])
    assert len(claim(other)) == 1
    worker.give_back([job])
    assert worker.is_queue_empty("q")


def test_unrepeatable_job_may_be_given_back(make_broker: MakeBroker) -> None:
    """A job with no retries that did not start is given back, too, and runs for the first time later."""
    worker = make_broker.worker()
    worker.enqueue([queued(0, retries=UNSAFE)])
    worker.give_back(claim(worker))
    assert firsts(claim(worker)) == [0]


# --- settle ------------------------------------------------------------------------------------------


def test_retry_waits_for_its_date(make_broker: MakeBroker) -> None:
    """A retry waits for its date with the same id and one retry more, then runs."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    job = claim_one(worker)
    settle(worker, retried(worker, job, seconds=0.3))
    assert job.status is JobStatus.WAITING
    assert worker.is_queue_empty("q")
    make_broker.until(lambda: worker.promote().jobs)
    again = claim_one(worker)
    assert (again.id, again.retries, again.at) == (job.id, 1, job.at)


def test_retry_that_is_due_is_queued_at_once(make_broker: MakeBroker) -> None:
    """A retry without delay goes to the tail of its queue and says so."""
    worker = make_broker.worker()
    worker.enqueue([queued(1), queued(2)])
    job = claim_one(worker)
    settle(worker, retried(worker, job))
    assert job.status is JobStatus.QUEUED
    assert firsts(claim(worker)) == [2, 1]


def test_retry_keeps_headers(make_broker: MakeBroker) -> None:
    """Headers set before a retry, such as a trace context, arrive with the next attempt."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    job = claim_one(worker)
    job.headers = {"traceparent": "00-cd"}
    settle(worker, retried(worker, job))
    assert claim_one(worker).headers == {"traceparent": "00-cd"}


def test_failure_becomes_a_dead_letter(make_broker: MakeBroker) -> None:
    """A job that will not run again is kept with all that is known of its failure."""
    worker = make_broker.worker()
    worker.enqueue([queued(1, retries=UNSAFE)])
    settlement = failed(worker, claim_one(worker), message='<b>"boom"</b> \u00e4 \U0001f4a5')
    settle(worker, settlement)
    (letter,) = worker.failed_jobs()
    assert settlement.failure is not None
    assert letter.failed_at == pytest.approx(settlement.failure.failed_at, abs=5)
    for name in letter.__slots__:
        if name != "failed_at":
            assert getattr(letter, name) == getattr(settlement.failure, name), name
    assert Job.deserialize(letter.raw).task_args == (1,)


def test_settling_twice_is_harmless(make_broker: MakeBroker) -> None:
    """A retry or failure that is reported again adds no job and no dead letter."""
    worker = make_broker.worker()
    worker.enqueue([queued(0), queued(1)])
    first, second = claim(worker)
    settlements = [retried(worker, first), failed(worker, second)]
    settle(worker, *settlements)
    settle(worker, *settlements)
    assert len(claim(worker)) == 1
    assert len(worker.failed_jobs()) == 1


def test_job_of_another_worker_cannot_be_settled(make_broker: MakeBroker) -> None:
    """A worker settles only what it holds."""
    worker, other = make_broker.worker(), make_broker.worker()
    worker.enqueue([queued(0)])
    job = claim_one(worker)
    settle(other, failed(other, job), retried(other, job))
    assert other.failed_jobs() == []
    assert other.is_queue_empty("q")


def test_newest_dead_letters_come_first(make_broker: MakeBroker) -> None:
    """Dead letters are listed newest first, at most as many as asked for."""
    worker = make_broker.worker()
    worker.enqueue([queued(number) for number in range(5)])
    now = worker.clock.now()
    for number, job in enumerate(claim(worker)):
        settle(worker, failed(worker, job, at=now - 100 + number, message=str(number)))
    assert [letter.message for letter in worker.failed_jobs(limit=3)] == ["4", "3", "2"]
    assert len(worker.failed_jobs()) == 5


def test_failure_groups_are_bounded(make_broker: MakeBroker) -> None:
    """One group more than the limit replaces the group that was not seen for longest."""
    worker = make_broker.worker()
    names = [f"task{number}" for number in range(MAX_FAILURE_GROUPS)]
    worker.enqueue([queued(name=name) for name in [*names, "task0", "new", "newer"]])
    for job in claim(worker, MAX_FAILURE_GROUPS + 3):
        settle(worker, failed(worker, job))
    groups = {group.task_name: group.count for group in worker.failure_groups()}
    assert groups == {"task0": 2, **dict.fromkeys(names[3:], 1), "new": 1, "newer": 1}


def test_failure_groups_of_one_call_are_bounded(make_broker: MakeBroker) -> None:
    """The same holds when one call brings more groups than are kept."""
    worker = make_broker.worker()
    names = [f"task{number}" for number in range(MAX_FAILURE_GROUPS + 100)]
    worker.enqueue([queued(name=name) for name in names])
    jobs = claim(worker, len(names))
    settle(worker, *(failed(worker, job) for job in jobs))
    assert {group.task_name for group in worker.failure_groups()} == set(names[100:])


def test_sample_of_a_failure_group_is_short(make_broker: MakeBroker) -> None:
    """A group shows the beginning of its last error's message; the dead letter has all of it."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    settle(worker, failed(worker, claim_one(worker), message="x" * 1_000))
    (group,), (letter,) = worker.failure_groups(), worker.failed_jobs()
    assert (group.sample_message, letter.message) == ("x" * MAX_SAMPLE_CHARACTERS, "x" * 1_000)


@pytest.mark.slow
def test_dead_letters_are_bounded(make_broker: MakeBroker) -> None:
    """Of more than ten thousand dead letters the newest are kept."""
    worker = make_broker.worker()
    total, page = 10_100, 2_020
    for start in range(0, total, page):
        worker.enqueue([queued(number) for number in range(start, start + page)])
        jobs = claim(worker, page)
        assert len(jobs) == page
        settle(worker, *(failed(worker, job) for job in jobs))
    numbers = {Job.deserialize(letter.raw).task_args[0] for letter in worker.failed_jobs(limit=total)}
    assert len(numbers) == 10_000
    assert numbers >= set(range(page, total))


# --- the lease ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["exchange", "settle retry", "settle failure", "give_back", "beat"])
def test_revoked_worker_changes_nothing(make_broker: MakeBroker, verb: str) -> None:
    """A worker that was declared dead and comes back is told so, and its late calls change nothing."""
    ghost, survivor = make_broker.worker(), make_broker.worker()
    ghost.enqueue([queued(0), queued(1)])
    job = claim_one(ghost)
    make_broker.expire(ghost)
    survivor.recover()
    with pytest.raises(LeaseRevoked):
        LATE[verb](ghost, job)
    assert survivor.failed_jobs() == []
    assert survivor.promote().next_at is None
    assert [(job.task_args[0], job.retries) for job in claim(survivor)] == [(1, 0), (0, 1)]
    assert [entry["id"] for entry in survivor.get_all_brokers()] == [survivor.worker_id]


LATE: dict[str, Callable[[Broker, Job], object]] = {
    "exchange": lambda worker, job: fetch(worker, done=[job], free_slots=5),
    "settle retry": lambda worker, job: settle(worker, retried(worker, job)),
    "settle failure": lambda worker, job: settle(worker, failed(worker, job)),
    "give_back": lambda worker, job: worker.give_back([job]),
    "beat": lambda worker, _job: worker.beat(WorkerState()),
}


def test_results_of_an_earlier_life_are_void(make_broker: MakeBroker) -> None:
    """What a worker claimed before it had to join anew is handed in under its old id, and refused."""
    ghost, survivor = make_broker.worker(), make_broker.worker()
    ghost.enqueue([queued(0)])
    job, old_id = claim_one(ghost), ghost.worker_id
    make_broker.expire(ghost)
    survivor.recover()
    ghost.join(WorkerProfile("q", 1))
    (again,) = claim(ghost)  # the same job, in its second life
    with pytest.raises(LeaseRevoked):
        ghost.exchange(Exchange("q", done=[job], worker_id=old_id))
    with pytest.raises(LeaseRevoked):
        ghost.settle([failed(ghost, job)], Tally(), worker_id=old_id)
    with pytest.raises(LeaseRevoked):
        ghost.give_back([job], worker_id=old_id)
    settle(ghost, retried(ghost, again))
    assert [received.retries for received in claim(survivor)] == [2]


def test_revoked_worker_may_join_again(make_broker: MakeBroker) -> None:
    """A worker that lost its lease joins under a new id and gets jobs as if nothing had happened."""
    ghost, survivor = make_broker.worker(), make_broker.worker()
    old_id = ghost.worker_id
    make_broker.expire(ghost)
    survivor.recover()
    ghost.join(WorkerProfile("q", 1))
    assert ghost.worker_id != old_id
    ghost.enqueue([queued(1)])
    assert firsts(claim(ghost)) == [1]


def test_heartbeat_keeps_a_worker_alive(make_broker: MakeBroker) -> None:
    """A worker that beats is not dead, whatever its last sight was before."""
    worker, other = make_broker.worker(), make_broker.worker()
    make_broker.expire(worker)
    worker.beat(WorkerState())
    assert other.recover() == []
    fetch(worker, free_slots=1)


def test_several_beats_fit_into_the_limit(make_broker: MakeBroker) -> None:
    """Heartbeats come at least six times as often as they would have to."""
    worker = make_broker.worker()
    limit = worker.broker_dead_threshold_seconds  # type: ignore[attr-defined]
    assert limit == 60
    assert 0 < worker.heartbeat_seconds <= limit / 6
    assert 0 <= worker.recovery_check_seconds <= limit


# --- recovery ----------------------------------------------------------------------------------------


def test_living_workers_are_left_alone(make_broker: MakeBroker) -> None:
    """Nothing is taken from a worker whose heartbeat is recent."""
    worker, other = make_broker.worker(), make_broker.worker()
    worker.enqueue([queued(0)])
    job = claim_one(worker)
    assert other.recover() == []
    fetch(worker, done=[job])


def test_dead_worker_is_recovered(make_broker: MakeBroker) -> None:
    """A dead worker's jobs go to the tail of their queues with one retry more; it is named and gone."""
    dead, survivor = make_broker.worker(), make_broker.worker()
    dead.enqueue([queued(0), queued(1), queued(2)])
    claim(dead, 2)
    make_broker.expire(dead)
    (recovery,) = survivor.recover()
    assert recovery.worker.id == dead.worker_id
    assert recovery.worker.name == socket.gethostname()
    assert recovery.declared
    assert sorted(firsts(recovery.requeued)) == [0, 1]
    assert {job.status for job in recovery.requeued} == {JobStatus.QUEUED}
    assert recovery.failed == []
    jobs = claim(survivor)
    assert firsts(jobs)[0] == 2
    assert sorted((job.task_args[0], job.retries) for job in jobs) == [(0, 1), (1, 1), (2, 0)]


def test_job_that_must_not_be_repeated_is_in_doubt(make_broker: MakeBroker) -> None:
    """A dead worker's job on its last attempt becomes a dead letter, never runs again, and is reported."""
    dead, survivor = make_broker.worker(), make_broker.worker()
    dead.enqueue([queued(0, retries=UNSAFE)])
    claim_one(dead)
    make_broker.expire(dead)
    (recovery,) = survivor.recover()
    assert recovery.requeued == []
    assert firsts(recovery.failed) == [0]
    assert recovery.failed[0].status is JobStatus.FAILED
    (letter,) = survivor.failed_jobs()
    assert (letter.reason, letter.worker, letter.task_name) == ("in doubt", dead.worker_id, "task")
    host = socket.gethostname()
    assert letter.message == f"worker {dead.worker_id} on {host} died while it ran this job"
    assert (letter.error_type, letter.queue, letter.attempts) == ("spinach.exc.WorkerLost", "q", 1)
    assert letter.id == str(recovery.failed[0].id)
    assert Job.deserialize(letter.raw).task_args == (0,)
    assert survivor.is_queue_empty("q")


def test_reserved_jobs_lose_no_attempt(make_broker: MakeBroker) -> None:
    """A dead worker's job that is known not to have started is queued again with its retries unchanged."""
    dead, survivor = make_broker.worker(), make_broker.worker()
    dead.enqueue([queued(0)])
    assert len(fetch(dead, reserve_ahead=1).reserved) == 1
    make_broker.expire(dead)
    survivor.recover()
    assert claim_one(survivor).retries == 0


def test_starting_makes_a_reserved_job_a_claimed_one(make_broker: MakeBroker) -> None:
    """Once a worker has said that a reserved job starts, its death costs the job an attempt."""
    dead, survivor = make_broker.worker(), make_broker.worker()
    dead.enqueue([queued(0)])
    reserved = fetch(dead, reserve_ahead=1).reserved
    fetch(dead, starting=reserved)
    make_broker.expire(dead)
    survivor.recover()
    assert claim_one(survivor).retries == 1


def test_one_survivor_recovers(make_broker: MakeBroker) -> None:
    """Of several survivors one recovers a dead worker's jobs, and one declares it dead."""
    dead, *survivors = (make_broker.worker() for _ in range(3))
    dead.enqueue([queued(0), queued(1, retries=UNSAFE)])
    claim(dead)
    make_broker.expire(dead)
    recoveries = [recovery for survivor in survivors for recovery in survivor.recover()]
    assert sum(recovery.declared for recovery in recoveries) == 1
    assert sum(len(recovery.requeued) for recovery in recoveries) == 1
    assert sum(len(recovery.failed) for recovery in recoveries) == 1
    assert len(claim(survivors[0])) == 1
    assert len(survivors[0].failed_jobs()) == 1


def test_dead_worker_without_jobs_is_reported(make_broker: MakeBroker) -> None:
    """A dead worker is reported although it held nothing."""
    dead, survivor = make_broker.worker(), make_broker.worker()
    make_broker.expire(dead)
    (recovery,) = survivor.recover()
    assert (recovery.worker.id, recovery.requeued, recovery.failed) == (dead.worker_id, [], [])
    assert survivor.recover() == []


def test_many_dead_workers_are_all_recovered(make_broker: MakeBroker) -> None:
    """However many workers died, none of them hides another."""
    survivor = make_broker.worker()
    ghosts = [make_broker.worker() for _ in range(25)]
    survivor.enqueue([queued(number) for number in range(25)])
    for ghost in ghosts:
        claim_one(ghost)
        make_broker.expire(ghost)
    make_broker.until(lambda: (survivor.recover(), len(survivor.get_all_brokers()) == 1)[1])
    assert sorted(firsts(claim(survivor))) == list(range(25))


def test_detector_from_outside(make_broker: MakeBroker) -> None:
    """An external failure detector can have a worker's jobs recovered at once."""
    dead, survivor = make_broker.worker(), make_broker.worker()
    dead.enqueue([queued(0), queued(1, retries=UNSAFE), queued(2)])
    claim(dead)
    count, failures = survivor.enqueue_jobs_from_dead_broker(dead.worker_id)  # type: ignore[attr-defined]
    assert count == 2
    assert firsts([Job.deserialize(text) for text in failures]) == [1]
    assert sorted(firsts(claim(survivor))) == [0, 2]
    with pytest.raises(LeaseRevoked):
        fetch(dead)


def test_worker_that_left_with_jobs_is_recovered(make_broker: MakeBroker) -> None:
    """Jobs that a worker still held when it left are another's to recover."""
    gone, survivor = make_broker.worker(), make_broker.worker()
    gone.enqueue([queued(0)])
    claim_one(gone)
    gone.leave()
    make_broker.until(lambda: (survivor.recover(), not survivor.is_queue_empty("q"))[1])
    assert firsts(claim(survivor)) == [0]


# --- time --------------------------------------------------------------------------------------------


def test_waiting_job_runs_on_its_date(make_broker: MakeBroker) -> None:
    """A waiting job is promoted on its date, not before, and is reported."""
    worker = make_broker.worker()
    job = waiting(worker, 1, seconds=0.4)
    worker.enqueue([job])
    promoted = make_broker.until(lambda: worker.promote().jobs)
    assert worker.clock.now() >= job.due_timestamp - 0.001
    assert [(one.id, one.status) for one in promoted] == [(job.id, JobStatus.QUEUED)]
    assert claim_one(worker).at == job.at
    assert worker.promote().jobs == []


def test_next_date_is_known(make_broker: MakeBroker) -> None:
    """Promotion says when to look again for the next waiting job, and that there is none."""
    worker = make_broker.worker()
    assert worker.promote().next_at is None
    later, sooner = waiting(worker, seconds=900), waiting(worker, seconds=300)
    worker.enqueue([later])
    worker.enqueue([sooner])
    next_at = worker.promote().next_at
    assert next_at is not None
    # Early by up to a second: a score may be one that an old producer rounded up.
    assert -1.01 <= next_at - sooner.due_timestamp <= 0.01


def test_waiting_jobs_run_in_order_of_date(make_broker: MakeBroker) -> None:
    """Jobs that fell due are queued in the order of their dates."""
    worker = make_broker.worker()
    worker.enqueue([waiting(worker, ms, seconds=0.3 + ms / 1000) for ms in (30, 10, 40, 20)])
    make_broker.until(lambda: worker.promote().next_at is None)
    assert firsts(claim(worker)) == [10, 20, 30, 40]


def test_many_jobs_due_at_once_all_run(make_broker: MakeBroker) -> None:
    """However many jobs fall due at once, all are promoted, each once."""
    worker = make_broker.worker()
    worker.enqueue([waiting(worker, number, seconds=0.8) for number in range(2_500)])
    promoted: list[Job] = []

    def nothing_waits() -> bool:
        due = worker.promote()
        promoted.extend(due.jobs)
        return due.next_at is None

    make_broker.until(nothing_waits)
    assert len({job.id for job in promoted}) == len(promoted) == 2_500
    assert sorted(firsts(claim(worker, 3_000))) == list(range(2_500))


def test_two_promoters_promote_once(make_broker: MakeBroker) -> None:
    """Workers that promote at the same time move each job once."""
    one, two = make_broker.worker(), make_broker.worker()
    one.enqueue([waiting(one, seconds=0.3)])
    make_broker.until(lambda: one.promote().jobs + two.promote().jobs)
    assert one.promote().jobs + two.promote().jobs == []
    assert len(claim(one)) == 1


def test_first_periodic_run_comes_after_one_period(make_broker: MakeBroker) -> None:
    """A periodic task runs for the first time one period after its registration."""
    worker = make_broker.worker()
    now = worker.clock.now()
    worker.register([task("beat", period=3600)])
    due = worker.run_periodic()
    assert due.jobs == []
    assert due.next_at == pytest.approx(now + 3600, abs=2)
    ((next_run, name),) = worker.inspect_periodic_tasks()
    assert next_run == pytest.approx(now + 3600, abs=2)
    assert name == "beat"


def test_one_job_per_period_over_the_fleet(make_broker: MakeBroker) -> None:
    """All workers together make one job per period."""
    one, two = make_broker.worker(), make_broker.worker()
    for worker in (one, two):
        worker.register([task("beat", period=1, retries=2)])
    (job,) = make_broker.until(lambda: one.run_periodic().jobs + two.run_periodic().jobs)
    assert (job.task_name, job.queue, job.max_retries, job.status) == ("beat", "q", 2, JobStatus.QUEUED)
    assert one.run_periodic().jobs + two.run_periodic().jobs == []
    (again,) = make_broker.until(lambda: two.run_periodic().jobs + one.run_periodic().jobs)
    assert again.id != job.id
    assert [received.id for received in claim(one)] == [job.id, again.id]


def test_missed_periods_make_one_job(make_broker: MakeBroker) -> None:
    """After a long stop a periodic task runs once, then on its old grid."""
    worker = make_broker.worker()
    worker.register([task("beat", period=100)])
    now = worker.clock.now()
    make_broker.set_next_run("beat", now - 1_030)
    due = worker.run_periodic()
    assert len(due.jobs) == 1
    assert due.next_at == pytest.approx(now + 70, abs=2)
    assert worker.run_periodic().jobs == []


def test_registering_again_changes_nothing(make_broker: MakeBroker) -> None:
    """A restart neither adds a copy of a periodic task nor moves its next run."""
    worker = make_broker.worker()
    worker.register([task("beat", period=100)])
    moved = int(worker.clock.now()) + 7
    make_broker.set_next_run("beat", moved)
    make_broker.worker().register([task("beat", period=100)])
    assert worker.inspect_periodic_tasks() == [(moved, "beat")]


def test_a_periodic_task_that_no_worker_has_is_not_scheduled(make_broker: MakeBroker) -> None:
    """A periodic task that is gone from the code of all workers stays planned and gets no job."""
    service = make_broker.worker()
    service.register([task("gone", period=5)])
    worker = make_broker.worker()
    worker.register([task("there", period=5)])
    worker.beat(WorkerState())
    service.leave()
    for name in ("gone", "there"):
        make_broker.set_next_run(name, LONG_AGO)
    assert [job.task_name for job in worker.run_periodic().jobs] == ["there"]
    assert worker.run_periodic().jobs == []
    found = {one.task_name: one for one in make_broker().snapshot().periodic or ()}
    assert (found["gone"].abandoned, found["there"].abandoned) == (True, False)
    assert (found["gone"].late_seconds, found["gone"].next_run) == (0.0, LONG_AGO)


def test_a_deploy_misses_no_periodic_run(make_broker: MakeBroker) -> None:
    """A run whose date comes while its service is restarted follows when the service is back."""
    service, worker = make_broker.worker(), make_broker.worker()
    service.register([task("nightly", period=86_400)])
    service.leave()
    make_broker.set_next_run("nightly", LONG_AGO)
    assert worker.run_periodic().jobs == []
    back = make_broker.worker()
    back.register([task("nightly", period=86_400)])
    assert [job.task_name for job in back.run_periodic().jobs] == ["nightly"]


def test_a_worker_schedules_periodic_tasks_of_another(make_broker: MakeBroker) -> None:
    """A task that only another registered worker has is scheduled by whichever worker looks first."""
    service, worker = make_broker.worker(), make_broker.worker()
    service.register([task("theirs", period=5)])
    service.beat(WorkerState())
    make_broker.set_next_run("theirs", LONG_AGO)
    assert [job.task_name for job in worker.run_periodic().jobs] == ["theirs"]


def test_a_periodic_task_is_removed(make_broker: MakeBroker) -> None:
    """A removed periodic task is neither listed nor scheduled."""
    worker = make_broker.worker()
    worker.register([task("gone", period=5)])
    make_broker.set_next_run("gone", LONG_AGO)
    assert make_broker().remove_periodic_task("gone")
    assert not make_broker().remove_periodic_task("gone")
    assert worker.run_periodic().jobs == []
    assert make_broker().snapshot().periodic == ()


def test_changed_period_takes_effect(make_broker: MakeBroker) -> None:
    """A new period holds from its registration on, although the old one had long to go."""
    worker = make_broker.worker()
    worker.register([task("beat", period=86_400)])
    worker.register([task("beat", period=60)])
    assert worker.run_periodic().next_at == pytest.approx(worker.clock.now() + 60, abs=2)


def test_registration_is_additive(make_broker: MakeBroker) -> None:
    """A second application that registers its tasks keeps those of the first, soonest first."""
    one, two = make_broker.worker(), make_broker.worker()
    one.register([task("hourly", period=3600)])
    two.register([task("minutely", period=60, queue="other"), task("plain")])
    assert [name for _, name in one.inspect_periodic_tasks()] == ["minutely", "hourly"]


# --- sight and news ----------------------------------------------------------------------------------


def test_workers_are_registered(make_broker: MakeBroker) -> None:
    """Every joined worker is listed with id, host, namespace, start and last sight; clients are not."""
    client, worker = make_broker(), make_broker.worker()
    (entry,) = client.get_all_brokers()
    now = worker.clock.now()
    assert entry["id"] == worker.worker_id
    assert entry["name"] == socket.gethostname()
    assert entry["namespace"] == worker.namespace
    assert entry["started_at"] == pytest.approx(now, abs=5)
    assert entry["last_seen_at"] == pytest.approx(now, abs=5)
    assert (entry["queues"], entry["slots"], entry["kind"]) == (["q"], 8, "TestWorkers")
    assert (entry["tasks"], entry["state"], entry["busy"], entry["fetched"]) == (["task"], "starting", 0, 0)
    assert (entry["pid"], entry["version"]) == (os.getpid(), VERSION)
    assert entry["heartbeat"] * 6 == pytest.approx(entry["dead_after"])
    assert entry["python"] == platform.python_version()
    assert len(entry) == 18


def test_each_join_has_a_new_id(make_broker: MakeBroker) -> None:
    """A worker that leaves is gone from the list; when it joins again it has another id."""
    worker = make_broker.worker()
    first = worker.worker_id
    worker.leave()
    assert worker.get_all_brokers() == []
    worker.join(WorkerProfile("q", 1))
    assert worker.worker_id != first
    assert [entry["id"] for entry in worker.get_all_brokers()] == [worker.worker_id]


def test_heartbeat_is_seen(make_broker: MakeBroker) -> None:
    """A heartbeat renews the last sight of a worker and tells its state."""
    worker = make_broker.worker()
    make_broker.expire(worker)
    longest = RunningJob("id", "task", "q", 12.5)
    worker.beat(WorkerState(state="quiet", busy=3, fetched=17, longest=[longest]))
    (entry,) = worker.get_all_brokers()
    assert entry["last_seen_at"] == pytest.approx(worker.clock.now(), abs=5)
    assert (entry["state"], entry["busy"], entry["fetched"]) == ("quiet", 3, 17)
    assert entry["longest"] == [{"id": "id", "task_name": "task", "queue": "q", "started_at": 12.5}]


@pytest.mark.parametrize("what", ["queued", "waiting"])
def test_enqueueing_is_news(make_broker: MakeBroker, what: str) -> None:
    """Who listens hears of jobs that another broker accepted, those that wait included."""
    subscription, client = make_broker.worker().subscribe(), make_broker()
    job = queued(1) if what == "queued" else waiting(client, seconds=60)
    client.enqueue([job])
    assert subscription.wait(5)
    subscription.close()


def test_old_news_is_no_news(make_broker: MakeBroker) -> None:
    """A subscription hears what happens after it was made, each piece once, and waits no longer than told."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    subscription = worker.subscribe()
    assert not subscription.wait(0.05)
    worker.enqueue([queued(2)])
    assert subscription.wait(5)
    assert not subscription.wait(0.05)
    subscription.close()


def test_news_stays_in_its_namespace(make_broker: MakeBroker) -> None:
    """What happens in one namespace is no news in another."""
    subscription = make_broker().subscribe()
    make_broker("contract-elsewhere").enqueue([queued(1)])
    assert not subscription.wait(0.05)
    subscription.close()


# --- life cycle --------------------------------------------------------------------------------------


def test_broker_can_be_started_again(make_broker: MakeBroker) -> None:
    """A broker that was stopped works again after a start; its jobs are still there."""
    worker = make_broker.worker()
    worker.enqueue([queued(1)])
    worker.leave()
    worker.stop()
    worker.start()
    worker.join(WorkerProfile("q", 1))
    assert firsts(claim(worker)) == [1]


def test_tally_without_jobs_is_accepted(make_broker: MakeBroker) -> None:
    """A settlement may carry counts alone."""
    worker = make_broker.worker()
    tally = Tally()
    tally.count("q", "task", "succeeded", 5)
    tally.observe("q", wait_seconds=0.2, run_seconds=3.0)
    worker.settle([], tally)
    assert claim(worker) == []


def test_dates_keep_their_microseconds(make_broker: MakeBroker) -> None:
    """A date arrives as it was sent, to the microsecond."""
    worker = make_broker.worker()
    job = queued(1)
    job.at = to_datetime(1_699_999_999).replace(microsecond=123_457) + timedelta(days=1)
    worker.enqueue([job])
    assert claim_one(worker).at == job.at


# --- errors of attempts, and the last minutes --------------------------------------------------------


def end_in_error(broker: Broker, job: Job, message: str = "boom", traceback: str = "") -> None:
    """End an attempt in an error, and let the job run again."""
    tally = Tally()
    tally.count(job.queue, job.task_name, "retried")
    tally.note_error(AttemptError(job.task_name, "app.Boom", str(job.id), message, traceback))
    broker.settle([retried(broker, job)], tally)


def test_errors_of_attempts_that_are_repeated_are_kept(make_broker: MakeBroker) -> None:
    """With their number, the newest message and a traceback, before any job failed for good."""
    worker = make_broker.worker()
    make_broker().enqueue([queued(1)])
    end_in_error(worker, claim_one(worker), traceback="Traceback: here")
    end_in_error(worker, claim_one(worker), message="late 'one' \\x1b\\n☂")
    (group,) = make_broker().failure_groups()
    assert (group.task_name, group.error_type, group.count, group.attempts) == ("task", "app.Boom", 0, 2)
    assert (group.sample_message, group.sample_traceback) == ("late 'one' \\x1b\\n☂", "Traceback: here")
    assert group.sample_id
    assert group.first_seen <= group.last_seen
    page = Wanted("groups")
    snapshot = make_broker().snapshot(wanted=[page])
    assert [shown.attempts for shown in snapshot.pages[0].groups] == [2]
    assert snapshot.failing is not None
    assert [shown.attempts for shown in snapshot.failing] == [2]


def test_a_group_of_errors_is_one_with_that_of_failed_jobs(make_broker: MakeBroker) -> None:
    """What fails for good after retries has one group: first seen when the first attempt failed."""
    worker = make_broker.worker()
    make_broker().enqueue([queued(1)])
    end_in_error(worker, claim_one(worker))
    (first,) = make_broker().failure_groups()
    job = claim_one(worker)
    settlement = failed(worker, job)
    assert settlement.failure is not None
    letter = replace(settlement.failure, error_type="app.Boom")
    tally = Tally()
    tally.note_error(AttemptError(job.task_name, "app.Boom", str(job.id), "the end"))
    worker.settle([replace(settlement, failure=letter)], tally)
    (group,) = make_broker().failure_groups()
    assert (group.count, group.attempts) == (1, 2)
    assert group.first_seen == pytest.approx(first.first_seen, abs=0.01)


def test_groups_of_errors_are_bounded(make_broker: MakeBroker) -> None:
    """Tasks choose the names of errors: the groups that were not seen for longest make room."""
    worker = make_broker.worker()
    make_broker().enqueue([queued(1)])
    for number in range(3):
        tally = Tally()
        for error in range(MAX_FAILURE_GROUPS // 2):
            tally.note_error(AttemptError("task", f"E{number}-{error}", "id", "boom", "Traceback"))
        worker.settle([retried(worker, claim_one(worker))], tally)
    groups = make_broker().failure_groups()
    assert len(groups) <= MAX_FAILURE_GROUPS + 1
    assert {group.error_type for group in groups} >= {
        f"E2-{error}" for error in range(MAX_FAILURE_GROUPS // 2)
    }


def test_the_counters_of_the_last_minutes_are_read(make_broker: MakeBroker) -> None:
    """By minutes; a later snapshot has what was counted since, and an emptied namespace nothing."""
    client, worker = make_broker(), make_broker.worker()
    client.enqueue([queued(number) for number in range(3)])
    known = client.snapshot()
    assert known.recent is not None
    assert known.recent.over(1)["q", "task", "enqueued"] == 3
    end_in_error(worker, claim_one(worker))
    later = client.snapshot(known=known)
    assert later.recent is not None
    counts = later.recent.over(2)
    assert (counts["q", "task", "enqueued"], counts["q", "task", "started"]) == (3, 1)
    assert counts["q", "task", "retried"] == later.recent.errors == 1
    assert client.snapshot().recent == later.recent
    client.flush()
    emptied = client.snapshot(known=later).recent
    assert emptied is not None
    assert not any(emptied.over(30).values())
