"""Rates from two looks: against a model queue that knows what really came and left."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinach.stats import LimitStats, NamespaceSnapshot, QueueStats
from spinach.stats.workers import State, WorkerInfo, WorkerStats
from spinach_ops.polling.rates import Flow, flow, rates, takes_in_order


class ModelQueue:
    """A list with unique elements that counts what comes and leaves."""

    def __init__(self, depth: int) -> None:
        self._names = count()
        self.jobs: deque[bytes] = deque()
        self.push(depth)
        self.pushed = self.popped = 0

    def push(self, number: int) -> None:
        self.jobs.extend(b"%d" % next(self._names) for _ in range(number))
        self.pushed = getattr(self, "pushed", 0) + number

    def pop(self, number: int) -> None:
        for _ in range(min(number, len(self.jobs))):
            self.jobs.popleft()
            self.popped += 1

    def take(self, index: int) -> None:
        """Take a job from the middle, past others that a limit holds back."""
        if self.jobs:
            del self.jobs[index % len(self.jobs)]
            self.popped += 1

    def look(self, before: QueueStats | None = None, reach: int = 5) -> QueueStats:
        position = None
        if before is not None and before.tail in self.jobs:
            found = self.jobs.index(before.tail)
            position = found if found >= len(self.jobs) - reach else None
        return QueueStats(
            "q",
            depth=len(self.jobs),
            tail=self.jobs[-1] if self.jobs else None,
            marker_position=position,
            marker_reach=reach if before is not None and before.tail else 0,
        )


numbers = st.integers(0, 12)
in_order_steps = st.lists(st.tuples(st.sampled_from(["push", "pop"]), numbers))
any_steps = st.lists(st.tuples(st.sampled_from(["push", "pop", "take"]), numbers))


def play(
    depth: int, steps: list[tuple[str, int]], reach: int, *, in_order: bool
) -> tuple[Flow | None, ModelQueue]:
    queue = ModelQueue(depth)
    before = queue.look()
    for name, number in steps:
        getattr(queue, name)(number)
    return flow(before, queue.look(before, reach), in_order=in_order), queue


def check(found: Flow | None, queue: ModelQueue) -> None:
    assert found is not None
    if found.exact:
        assert (found.pushed, found.popped) == (queue.pushed, queue.popped)
    assert 0 <= found.pushed <= queue.pushed
    assert 0 <= found.popped <= queue.popped


@given(depth=numbers, steps=in_order_steps, reach=st.integers(1, 30))
def test_exact_is_exact_and_bounds_are_bounds(depth: int, steps: list[tuple[str, int]], reach: int) -> None:
    """Where jobs leave from the head, numbers called exact are the truth and bounds are never above it."""
    check(*play(depth, steps, reach, in_order=True))


@given(depth=numbers, steps=any_steps, reach=st.integers(1, 30))
def test_bounds_hold_when_jobs_are_looked_past(depth: int, steps: list[tuple[str, int]], reach: int) -> None:
    """The same where jobs are taken from the middle, if that is known."""
    check(*play(depth, steps, reach, in_order=False))


@given(depth=st.integers(1, 12), pushed=numbers, popped=st.integers(0, 11))
def test_a_marker_in_reach_is_exact(depth: int, pushed: int, popped: int) -> None:
    """As long as the last job of the first look is still in the queue, the numbers are exact."""
    popped = min(popped, depth - 1)
    found, _ = play(depth, [("push", pushed), ("pop", popped)], 100, in_order=True)
    assert found == Flow(pushed, popped, exact=True)


def test_impossible_numbers_are_dropped() -> None:
    """When fewer jobs left than none, jobs were put back at the head: nothing is told."""
    before = QueueStats("q", depth=1, tail=b"x")
    after = QueueStats("q", depth=3, marker_position=2, marker_reach=5)
    assert flow(before, after, in_order=True) is None


@pytest.mark.parametrize("field", ["before", "after"])
def test_an_inconsistent_look_is_not_exact(field: str) -> None:
    """Looks that were not of one instant never give numbers called exact."""
    looks = {
        "before": QueueStats("q", depth=2, tail=b"x"),
        "after": QueueStats("q", depth=2, marker_position=1, marker_reach=5),
    }
    looks[field] = replace(looks[field], consistent=False)
    assert flow(**looks, in_order=True) == Flow(0, 0, exact=False)


def test_what_was_not_read_is_not_told() -> None:
    """No depth, no marker or no search for it: no rate."""
    known = QueueStats("q", depth=2, tail=b"x")
    assert flow(QueueStats("q"), known, in_order=True) is None
    assert flow(known, QueueStats("q"), in_order=True) is None
    assert flow(replace(known, tail=None), known, in_order=True) is None
    assert flow(known, replace(known, marker_position=None, marker_reach=0), in_order=True) is None


def snapshot(at: float, *queues: QueueStats) -> NamespaceSnapshot:
    return NamespaceSnapshot("ns", at, queues=queues, limits=())


def test_rates_divide_by_the_servers_time() -> None:
    """A rate is what moved divided by the time between the looks by the server's clock."""
    before = snapshot(100.0, QueueStats("q", depth=10, tail=b"x"))
    after = snapshot(
        102.5, QueueStats("q", depth=5, marker_position=2, marker_reach=9), QueueStats("new", depth=1)
    )
    found = rates(before, after, interval_seconds=2)
    assert set(found) == {"q"}
    assert (found["q"].in_per_second, found["q"].out_per_second, found["q"].exact) == (2 / 2.5, 7 / 2.5, True)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 6.1])
def test_a_gap_gives_no_rates(seconds: float) -> None:
    """After a gap of more than three intervals, or when the clock stood still, no rate is told."""
    before = snapshot(100.0, QueueStats("q", depth=0))
    assert rates(before, snapshot(100 + seconds, QueueStats("q", depth=5)), interval_seconds=2) == {}
    assert rates(None, before, interval_seconds=2) == {}


def worker(
    worker_id: str = "id", version: str | None = "1", state: State = "live", **held: int
) -> WorkerStats:
    info = WorkerInfo(worker_id, "h", 0, 0, 60, version, {"queues": ["q"]})
    given: dict[str, int | None] = {"running": 0, "reserved": 0, **held}
    return WorkerStats(info, state, 0, **given)


def test_an_emptied_namespace_has_no_rates() -> None:
    """When all counters went back somebody emptied the namespace: jobs that vanished were not taken."""
    counters = {("q", "t", "enqueued"): 9, ("q", "t", "started"): 5}
    before = replace(snapshot(100.0, QueueStats("q", depth=4, tail=b"x")), counters=counters)
    after = replace(snapshot(102.0, QueueStats("q", depth=0, marker_reach=9)), counters={})
    assert rates(before, after, interval_seconds=2) == {}
    given_back = replace(after, counters={**counters, ("q", "t", "started"): 3})
    assert rates(before, given_back, interval_seconds=2)["q"].out_per_second == 2


def test_order_is_lost_with_limits() -> None:
    """Workers look past jobs of limited tasks, those of the published package like ours."""
    limited = replace(snapshot(1), limits=(LimitStats("t", 1, 0),))
    assert takes_in_order(snapshot(1))
    assert takes_in_order(replace(snapshot(1), workers=(worker(),)))
    assert not takes_in_order(replace(limited, workers=(worker(version=None),)))
    assert not takes_in_order(replace(limited, workers=(worker(),)))
    assert not takes_in_order(replace(limited, limits=None, workers=(worker(),)))


@given(depth=numbers, held=numbers, given_back=numbers, pushed=numbers, in_order=st.booleans())
def test_jobs_put_back_did_not_come(
    depth: int, held: int, given_back: int, pushed: int, in_order: bool
) -> None:
    """Where a worker takes all jobs and stops, those it puts back at the head are not counted as jobs that
    came.
    """
    queue = ModelQueue(depth)
    before, in_hand = queue.look(), held + depth
    queue.jobs.clear()
    queue.push(pushed)
    back = min(given_back, in_hand)
    queue.jobs.extendleft(b"again %d" % number for number in range(back))
    found = flow(before, queue.look(before), in_order=in_order, back=in_hand)
    assert found is not None
    assert 0 <= found.pushed <= pushed
    assert 0 <= found.popped <= max(0, depth - back)


@pytest.mark.parametrize("depth", [0, 2])
def test_a_rate_allows_for_what_workers_held(depth: int) -> None:
    """Jobs that workers of ours held are no sign that any came; old workers never put theirs back."""
    marker = {"tail": b"x"} if depth else {}
    before = snapshot(100.0, QueueStats("q", depth=depth, **marker))
    after = snapshot(102.0, QueueStats("q", depth=6, marker_reach=9 if depth else 0))

    def came(*workers: WorkerStats, then: tuple[WorkerStats, ...] = ()) -> float:
        looks = replace(before, workers=workers), replace(after, workers=then)
        return rates(*looks, interval_seconds=2)["q"].in_per_second * 2

    busy = worker(running=1, reserved=3)
    assert came(busy, then=(busy,)) == 2
    assert came(busy, then=(worker(state="stopping"),)) == came(busy) == 2 - depth
    assert came(replace(busy, info=replace(busy.info, version=None))) == 6
    assert came(replace(busy, info=replace(busy.info, details={"queues": ["other"]}))) == 6
    assert came(replace(busy, running=None), then=(busy,)) == 0
