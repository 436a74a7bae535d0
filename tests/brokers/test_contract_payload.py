"""What a client sent is what the function gets, on every path a job can take, over every kind of broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinach.brokers.base import Broker
from spinach.job import Job

from .conftest import MakeBroker
from .helpers import claim, claim_one, failed, fetch, queued, retried, settle, waiting

PAYLOADS: dict[str, Any] = {
    "empty containers": [[], {}, [[]], [{}], {"a": [], "b": {}}],
    "integers beyond floats": [2**53 + 1, 2**63, -(2**63) - 1, 2**64],
    "a huge integer": 10**400,
    "floats to the last bit": [0.1 + 0.2, 1.0, 5e-324, 1.7976931348623157e308, 1e22, 123456789.123456789],
    "negative zero": -0.0,
    "lone surrogates": ["\ud800", "\udfff\ud800", "a\udc80b"],
    "every kind of character": '\x00\x1f\x7f\u2028\u00e9\U0001f600/\\"',
    "text like an envelope": ['"status": 2', '{"at": 1, "status": 2, "retries": 0}', '", "status": 3, "'],
    "constants": [None, True, False, "", 0],
    "a megabyte": "x\u00e9" * 500_000,
    "deep nesting": [[[[[[[[[[{"a": [[[[[[[[[[]]]]]]]]]]}]]]]]]]]]],
}


def through_queue(_make: MakeBroker, worker: Broker, job: Job) -> Job:
    worker.enqueue([job])
    return claim_one(worker)


def through_waiting(make: MakeBroker, worker: Broker, job: Job) -> Job:
    dated = waiting(worker, *job.task_args, seconds=0.2)
    dated.task_kwargs = job.task_kwargs
    worker.enqueue([dated])
    make.until(lambda: worker.promote().next_at is None)
    return claim_one(worker)


def through_retry(make: MakeBroker, worker: Broker, job: Job) -> Job:
    attempt = through_queue(make, worker, job)
    settle(worker, retried(worker, attempt))
    return claim_one(worker)


def through_delayed_retry(make: MakeBroker, worker: Broker, job: Job) -> Job:
    attempt = through_queue(make, worker, job)
    settle(worker, retried(worker, attempt, seconds=0.2))
    make.until(lambda: worker.promote().next_at is None)
    return claim_one(worker)


def through_give_back(make: MakeBroker, worker: Broker, job: Job) -> Job:
    worker.enqueue([job])
    delivery = fetch(worker, reserve_ahead=1)
    worker.give_back(delivery.reserved)
    worker.give_back([claim_one(worker)])
    return claim_one(worker)


def through_recovery(make: MakeBroker, worker: Broker, job: Job) -> Job:
    dead = make.worker()
    through_queue(make, dead, job)
    make.expire(dead)
    (recovery,) = worker.recover()
    (requeued,) = recovery.requeued
    assert requeued.payload() == job.payload()
    return claim_one(worker)


def through_dead_letter(make: MakeBroker, worker: Broker, job: Job) -> Job:
    settle(worker, failed(worker, through_queue(make, worker, job)))
    (letter,) = worker.failed_jobs()
    return Job.deserialize(letter.raw)


def through_doubt(make: MakeBroker, worker: Broker, job: Job) -> Job:
    dead = make.worker()
    job.max_retries = 0
    through_queue(make, dead, job)
    make.expire(dead)
    (recovery,) = worker.recover()
    (letter,) = worker.failed_jobs()
    assert recovery.failed[0].payload() == job.payload()
    return Job.deserialize(letter.raw)


PATHS: list[Callable[[MakeBroker, Broker, Job], Job]] = [
    through_queue,
    through_waiting,
    through_retry,
    through_delayed_retry,
    through_give_back,
    through_recovery,
    through_dead_letter,
    through_doubt,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
@pytest.mark.parametrize("value", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_payload_arrives_as_it_was_sent(make_broker: MakeBroker, path: Any, value: Any) -> None:
    """Arguments arrive equal in value and type, their JSON byte for byte."""
    worker = make_broker.worker()
    job = queued(value, value, other=value)
    received = path(make_broker, worker, job)
    assert received.payload() == job.payload()
    assert repr(received.task_args) == repr((value, value))
    assert repr(received.task_kwargs) == repr({"other": value})


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
def test_no_arguments_arrive_as_none(make_broker: MakeBroker, path: Any) -> None:
    """A job without arguments arrives without arguments."""
    received = path(make_broker, make_broker.worker(), queued())
    assert (received.task_args, received.task_kwargs) == ((), {})
    assert received.payload() == ("[]", "{}")


def test_what_a_task_does_to_its_arguments_stays_there(make_broker: MakeBroker) -> None:
    """A retry gets the arguments that were sent, not what the failed attempt made of them."""
    worker = make_broker.worker()
    worker.enqueue([queued([1, 2], options={"a": 1})])
    attempt = claim_one(worker)
    attempt.task_args[0].clear()
    attempt.task_kwargs["options"]["b"] = object()
    settle(worker, retried(worker, attempt))
    again = claim_one(worker)
    assert again.task_args == ([1, 2],)
    assert again.task_kwargs == {"options": {"a": 1}}


def test_what_a_client_does_after_scheduling_changes_nothing(make_broker: MakeBroker) -> None:
    """A job is what it was when it was scheduled."""
    worker, argument = make_broker.worker(), [1]
    worker.enqueue([queued(argument)])
    argument.append(2)
    assert claim_one(worker).task_args == ([1],)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(categories=None, exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    args=st.lists(json_values, max_size=4),
    kwargs=st.dictionaries(st.text(max_size=8), json_values, max_size=4),
)
def test_any_json_arrives(make_broker: MakeBroker, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Whatever JSON can hold arrives, through a retry and a recovery, as it was sent."""
    namespace = f"contract-{uuid4().hex[:8]}"  # what a failed example leaves must not spoil the next one
    worker, dead = make_broker.worker(namespace=namespace), make_broker.worker(namespace=namespace)
    job = queued()
    job.task_args, job.task_kwargs = tuple(args), kwargs
    worker.enqueue([job])
    settle(worker, retried(worker, claim_one(worker)))
    claim_one(dead)
    make_broker.expire(dead)
    worker.recover()
    (received,) = claim(worker)
    assert received.payload() == job.payload()
    assert repr((list(received.task_args), received.task_kwargs)) == repr((args, kwargs))
    assert received.retries == 2
