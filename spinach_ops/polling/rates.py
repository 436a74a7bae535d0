"""What two snapshots say that one does not: how fast jobs come into a queue and leave it. Pure.

The rule of the tail marker: remember length and last element of a queue, look for that element next time.
What stands behind it came since; what is missing before it left. Where it is gone, only bounds are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spinach.stats import NamespaceSnapshot, QueueStats

# A sample over a longer gap says nothing of now: the reader slept, or had no connection.
_LONGEST_GAP_INTERVALS: Final = 3
# More jobs than anybody counts: nobody knows how many a worker holds.
_ANY: Final = 2**53


@dataclass(frozen=True, slots=True)
class Flow:
    """Jobs that came and left between two looks at a queue; lower bounds unless `exact`."""

    pushed: int
    popped: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """Jobs per second into a queue and out of it; lower bounds unless `exact`."""

    in_per_second: float
    out_per_second: float
    exact: bool


def flow(before: QueueStats, after: QueueStats, *, in_order: bool, back: int = 0) -> Flow | None:
    """Return what came and left between two looks, None when it cannot be told.

    Args:
        before: The queue at the first look.
        after: The same at the second, which searched for the last element of the first.
        in_order: Whether jobs only leave from the head; else the marker may be gone while jobs before it
            stand, and jobs behind it may have come and left unseen.
        back: How many jobs workers may have put back at the head meanwhile: those did not come.
    """
    if before.depth is None or after.depth is None:
        return None
    if before.depth == 0:
        return Flow(pushed=max(0, after.depth - back), popped=0, exact=False)
    if before.tail is None or not after.marker_reach:
        return None
    if after.marker_position is None:
        return _bounds(before.depth, after.depth, after.marker_reach, in_order=in_order, back=back)
    pushed = after.depth - 1 - after.marker_position
    popped = before.depth + pushed - after.depth
    # Negative: jobs were put back at the head meanwhile, or the looks were not of one instant.
    if pushed < 0 or popped < 0:
        return None
    return Flow(pushed, popped, exact=in_order and before.consistent and after.consistent)


def _bounds(before: int, after: int, reach: int, *, in_order: bool, back: int) -> Flow:
    """Return what must have come and left when the marker was not found."""
    # Either it left, or it stands further from the end than was searched.
    left = 1 if reach >= after else 0
    # In order all before it left, too; else it left, and that is all.
    pushed = max(0, (min(after, reach) if in_order else after - before + left) - back)
    return Flow(pushed, max(0, before + pushed - after), exact=False)


def rates(
    before: NamespaceSnapshot | None, after: NamespaceSnapshot, *, interval_seconds: float
) -> Mapping[str, Rate]:
    """Return the rate of each queue for which it can be told.

    Args:
        before: The snapshot before; None when there is none, or the connection was lost since.
        after: A snapshot that knew `before`.
        interval_seconds: How far apart they were meant to be.
    """
    if before is None or was_emptied(before, after):
        return {}
    seconds = after.at - before.at
    if not 0 < seconds <= _LONGEST_GAP_INTERVALS * interval_seconds:
        return {}
    earlier = {queue.name: queue for queue in before.queues}
    in_order = takes_in_order(before) and takes_in_order(after)
    found = {}
    for queue in after.queues:
        known = earlier.get(queue.name)
        if known is None:
            continue
        moved = flow(known, queue, in_order=in_order, back=_put_back(before, after, known))
        if moved is not None:
            found[queue.name] = Rate(moved.pushed / seconds, moved.popped / seconds, moved.exact)
    return best_rates(found, counted_rates(before, after))


def best_rates(measured: Mapping[str, Rate], counted: Mapping[str, Rate]) -> dict[str, Rate]:
    """Return the rate of each queue by what knows it best: an exact marker, then counters, then bounds."""
    exact = {name: rate for name, rate in measured.items() if rate.exact}
    return {**measured, **counted, **exact}


def counted_rates(before: NamespaceSnapshot | None, now: NamespaceSnapshot) -> dict[str, Rate]:
    """Return the rates by the counters, where all workers count.

    Started jobs left their queue; with them, the change of its depth says how many came.
    """
    if before is None or not _counts(before) or not _counts(now) or was_emptied(before, now):
        return {}
    seconds = now.at - before.at
    if seconds <= 0:
        return {}
    started, unstarted = _started(now), _unstarted(now)
    started_before, unstarted_before = _started(before), _unstarted(before)
    depths = {queue.name: queue.depth for queue in before.queues}
    found = {}
    for queue in now.queues:
        earlier = depths.get(queue.name)
        if earlier is None or queue.depth is None:
            continue
        # Below zero where a worker gave back what it had claimed: that stands in the queue again, and did not
        # come.
        left = started.get(queue.name, 0) - started_before.get(queue.name, 0)
        held = unstarted.get(queue.name, 0) - unstarted_before.get(queue.name, 0)
        came = max(0, left + held + queue.depth - earlier)
        found[queue.name] = Rate(came / seconds, max(0, left) / seconds, exact=True)
    return found


def _counts(snapshot: NamespaceSnapshot) -> bool:
    return snapshot.exact and bool(snapshot.counters)


def _started(snapshot: NamespaceSnapshot) -> dict[str, int]:
    """Return attempts begun, ever, by queue."""
    started: dict[str, int] = {}
    for (queue, _, counter), number in (snapshot.counters or {}).items():
        if counter == "started":
            started[queue] = started.get(queue, 0) + number
    return started


def _unstarted(snapshot: NamespaceSnapshot) -> dict[str, int]:
    """Return jobs that left their queue and were not started, of workers that serve one queue."""
    found: dict[str, int] = {}
    for worker in snapshot.workers:
        if len(worker.queues) == 1 and worker.held is not None and worker.claimed is not None:
            name = worker.queues[0]
            found[name] = found.get(name, 0) + worker.held - worker.claimed
    return found


def was_emptied(before: NamespaceSnapshot, after: NamespaceSnapshot) -> bool:
    """Whether the namespace was emptied between two polls: all counters decreased, no worker took a job."""
    if not before.counters or after.counters is None:
        return False
    now = after.counters
    # What was started goes back where a worker gives back what it claimed.
    counted = {names: number for names, number in before.counters.items() if number and names[2] != "started"}
    return bool(counted) and all(now.get(names, 0) < number for names, number in counted.items())


def _put_back(before: NamespaceSnapshot, after: NamespaceSnapshot, queue: QueueStats) -> int:
    """Return how many jobs workers of ours may have put back at the head of a queue since `before`.

    What they held, and where one of them stops or is gone, what stood in the queue, too: it may have fetched
    that.
    """
    at_work = {worker.info.id for worker in after.workers if worker.state not in ("stopping", "dead")}
    held, stops = 0, False
    for worker in before.workers:
        if worker.runs_this_package and (not worker.queues or queue.name in worker.queues):
            held += _ANY if worker.held is None else worker.held
            stops = stops or worker.info.id not in at_work
    return held + ((queue.depth or 0) if stops else 0)


def takes_in_order(snapshot: NamespaceSnapshot) -> bool:
    """Whether workers only take jobs from the head; they look past jobs that a limit holds back."""
    return snapshot.limits == ()
