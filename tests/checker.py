"""The checker: reads journal and Redis at the end of a test and says which promises were broken.

The promises are those of the specification: an accepted job is executed or visible (1), its function starts
at most as often as it may (2), and one that must not be repeated is executed or in the failed store with a
reason (3). Pure but for reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from spinach.brokers.redis.parking import parked_text
from spinach.job import Job
from tests.fleet import Fleet


@dataclass
class Places:
    """Where the ids of jobs stand."""

    queued: dict[str, int] = field(default_factory=dict)
    future: dict[str, int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # id -> reason

    def of(self, job_id: str) -> list[str]:
        found = [
            name
            for name in ("queued", "future", "running")
            for _ in range(getattr(self, name).get(job_id, 0))
        ]
        return found + ([f"failed ({self.failed[job_id]})"] if job_id in self.failed else [])


def read_places(fleet: Fleet) -> Places:
    """Read where every job of the namespace stands."""
    places = Places()
    for key in fleet.keys():  # noqa: SIM118 - not a dict
        name = key.decode(errors="replace").removeprefix(f"{fleet.namespace}/")
        if not name.startswith("_") and fleet.redis.type(key) == b"list":
            _count(places.queued, fleet.redis.lrange(key, 0, -1))
        elif name.startswith("_parked-jobs-"):
            _count(places.queued, map(parked_text, fleet.redis.zrange(key, 0, -1)))
        elif name.startswith("_running-jobs-on-broker-"):
            _count(places.running, fleet.redis.hvals(key))
    if fleet.redis.type(fleet.key("_future-jobs")) == b"zset":
        _count(places.future, fleet.redis.zrange(fleet.key("_future-jobs"), 0, -1))
    for name, record in fleet.redis.hgetall(fleet.key("_failed-jobs-data")).items():
        places.failed[name.decode()] = json.loads(record.partition(b"\n")[0])["reason"]
    return places


def _count(counts: dict[str, int], texts: Iterable[bytes]) -> None:
    for text in texts:
        job_id = json.loads(text)["id"]
        counts[job_id] = counts.get(job_id, 0) + 1


def violations(fleet: Fleet, jobs: Iterable[Job], *, at_rest: bool = True) -> list[str]:
    """Return what was broken, one line each; empty when every promise was kept.

    Args:
        fleet: The fleet.
        jobs: What `schedule` returned; the first argument of each is its tag.
        at_rest: Whether all work is expected to be done.
    """
    places, starts, ends = read_places(fleet), fleet.starts(), fleet.ends()
    found = []
    for job in jobs:
        found += _broken_for(job, starts, ends, places.of(str(job.id)), at_rest)
    if at_rest:
        found += [
            f"slots of {name}: {taken!r}, but nothing runs"
            for name, taken in fleet.slots().items()
            if taken != b"0"
        ]
    return found


def _broken_for(
    job: Job, starts: dict[str, int], ends: set[str], places: list[str], at_rest: bool
) -> list[str]:
    tag = job.task_args[0]
    count, ended = starts.get(tag, 0), tag in ends
    facts = f"{count} starts, ended {ended}, is in {places}"
    story = f"{tag} (job {job.id}, max_retries {job.max_retries}): {facts}"
    found = []
    if count > job.max_retries + 1:
        found.append(f"started too often: {story}")
    if not ended and not places:
        found.append(f"lost: {story}")
    if len([place for place in places if not place.startswith("failed")]) > 1:
        found.append(f"in two places: {story}")
    if at_rest and not ended and not any(place.startswith("failed") for place in places):
        found.append(f"stuck: {story}")
    if at_rest and ended and job.max_retries > 0 and places:
        found.append(f"executed and still there: {story}")
    return found


def settled(fleet: Fleet, jobs: Iterable[Job]) -> bool:
    """Return whether each job was executed or is in the failed store, and nothing runs or waits."""
    places = read_places(fleet)
    if places.queued or places.future or places.running:
        return False
    ends = fleet.ends()
    return all(job.task_args[0] in ends or str(job.id) in places.failed for job in jobs)
