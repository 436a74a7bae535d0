"""What a client sent is what the function gets, on every path, to the last bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from spinach import Batch, RedisBroker
from spinach.job import Job
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]

PAYLOADS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "empties": (([], {}, [[]], [{}], {"a": []}, {"a": {}}, "", None), {"x": [], "y": {}}),
    "integers": ((2**53 + 1, 2**63, -(2**63) - 1, 10**400, -(10**400), 0, 123456789012345678), {}),
    "floats": ((0.1, 1 / 3, 1e308, 5e-324, -0.0, 0.0, 1.0, 1e16, 1e22, 123456789.123456789, 2.0**53), {}),
    "surrogates": (("\ud800", "\udfff\ud800", "a\ud83dz", "\U0001f96c", "é", "\x00\x7f\u2028/\\"),
        {"\ud801": "\udc00"}),
    "statuses": (('"status": 2', '{"status": 3, ', '"task_name": "once"}', '", "status": 2, "'),
        {"status": 2, "id": "x"}),
    "heads": (('{"at": 1, "at_us": 1, "enqueued_at": 1.0, "id": "a", "max_retries": 0, "queue": "q", '
        '"retries": 0, ',), {}),
    "megabyte": (("x" * 1_000_000, ["é" * 1000] * 20), {}),
    "nested": ((json.loads("[" * 300 + "1.0" + "]" * 300),), {}),
}  # fmt: skip


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet) -> Fleet:
    return make_fleet(valkey_server)


def digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return hashlib.sha256(repr((args, sorted(kwargs.items()))).encode()).hexdigest()


def assert_intact(fleet: Fleet, tags: dict[str, str], starts: int) -> None:
    """Check that the function of each tag was called that often, and always with what was sent."""
    for tag, name in tags.items():
        lines = fleet.lines("start", tag=tag)
        wrong = [line["shown"] for line in lines if line["digest"] != digest(*PAYLOADS[name])]
        assert wrong == [], f"{tag} was altered"
        assert len(lines) == starts, tag


def schedule_all(fleet: Fleet, task: str, prefix: str, after: float | None = None) -> dict[str, str]:
    batch = Batch()
    for name, (args, kwargs) in PAYLOADS.items():
        if after is None:
            batch.schedule(task, f"{prefix}-{name}", *args, **kwargs)
        else:
            at = datetime.now(timezone.utc) + timedelta(seconds=after)
            batch.schedule_at(task, at, f"{prefix}-{name}", *args, **kwargs)
    fleet.engine().schedule_batch(batch)
    return {f"{prefix}-{name}": name for name in PAYLOADS}


def test_arguments_arrive_unaltered_now_and_later(fleet: Fleet) -> None:
    """Arguments arrive as they were sent from the queue, in a batch or not, and from among the waiting
    jobs.
    """
    fleet.ours(threshold=60)
    engine = fleet.engine()
    single = {}
    for name, (args, kwargs) in PAYLOADS.items():
        engine.schedule("echo", f"single-{name}", *args, **kwargs)
        single[f"single-{name}"] = name
    tags = {**single, **schedule_all(fleet, "echo", "batch"), **schedule_all(fleet, "echo", "later", 0.3)}
    fleet.wait_for_ends(tags)
    assert_intact(fleet, tags, 1)


def test_arguments_of_a_retry_arrive_unaltered(fleet: Fleet) -> None:
    """A retry gets the arguments of the first attempt, whether it runs at once or waits."""
    fleet.ours(threshold=60)
    tags = schedule_all(fleet, "echo_flaky", "retry")
    fleet.wait_for_ends(tags)
    assert_intact(fleet, tags, 2)


def test_arguments_of_a_dead_workers_jobs_arrive_unaltered(fleet: Fleet) -> None:
    """A job that was taken from a dead worker gets the arguments that were sent."""
    victim = fleet.ours(threshold=3, number=len(PAYLOADS))
    tags = schedule_all(fleet, "echo_slow", "rescue")
    wait_until(lambda: len(fleet.starts()) == len(tags), "all hang")
    victim.kill()
    fleet.ours(threshold=3)
    fleet.wait_for_ends(tags)
    assert_intact(fleet, tags, 2)


def test_arguments_of_jobs_given_back_arrive_unaltered(fleet: Fleet) -> None:
    """Jobs that a stopping worker gave back unstarted keep their arguments and their number of retries."""
    first = fleet.ours(number=1)
    tags = schedule_all(fleet, "echo", "turn-0")
    wait_until(lambda: len(fleet.ends()) > 5, "some run")
    # Behind a job that takes a while the others wait, however fast the machine is.
    fleet.engine().schedule("safe", "blocks", 6)
    for turn in range(1, 20):
        tags |= schedule_all(fleet, "echo", f"turn-{turn}")
    wait_until(lambda: fleet.lines("start", tag="blocks"), "the one that takes a while begins")
    assert first.stop() == 0
    assert set(fleet.ends()) != set(tags), "nothing was left to give back"
    left = [Job.deserialize(text) for text in fleet.redis.lrange(fleet.key("spinach"), 0, -1)]
    assert {job.retries for job in left} == {0}
    fleet.ours(number=2)
    fleet.wait_for_ends(tags)
    assert_intact(fleet, tags, 1)


def test_a_dead_letter_keeps_the_arguments(fleet: Fleet) -> None:
    """The failed store holds the very payload that the client sent."""
    fleet.ours(threshold=60)
    tags = schedule_all(fleet, "echo_fails", "dead")
    broker = RedisBroker(fleet.redis)
    broker.namespace = fleet.namespace
    letters = wait_until(
        lambda: len(found := broker.failed_jobs(100)) == len(tags) and found, "all have failed"
    )
    assert isinstance(letters, list)
    jobs = [Job.deserialize(letter.raw) for letter in letters]
    found = {job.task_args[0]: digest(tuple(job.task_args[1:]), job.task_kwargs) for job in jobs}
    assert found == {tag: digest(*PAYLOADS[name]) for tag, name in tags.items()}
    sent = {f"dead-{name}": json.dumps([f"dead-{name}", *args]) for name, (args, _) in PAYLOADS.items()}
    assert {job.task_args[0]: job.payload()[0] for job in jobs} == sent
