"""The workers of a namespace: what they announced, and their state, judged by their heartbeats.

Part of the read model, see `stats`. It judges no worker dead for the brokers. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from .numbers import number

# Workers of this package announce their own limit; those of the published package do not.
DEFAULT_DEAD_AFTER_SECONDS: Final = 60
UPSTREAM_DEAD_AFTER_SECONDS: Final = 1800
# Workers of the published package send a heartbeat every 60 s; 15 s are for a late one.
_UPSTREAM_SILENT_AFTER_SECONDS: Final = 75.0
_HEARTBEATS_UNTIL_SILENT: Final = 3
# A worker with more tasks announces only the first: every tool that polls reads all records.
MAX_ANNOUNCED_TASKS: Final = 100
# Heartbeats are stamped in whole seconds.
_STAMP_SECONDS: Final = 1.0

# Kept of a lost worker, beside its id and host: what helps to find its logs.
_KEPT_WHEN_LOST: Final = ("pid", "version", "queues", "slots", "started_at")
_MAX_LOST_RECORD: Final = 4096
_MAX_ID: Final = 100
_MAX_NAME: Final = 200
# A heartbeat names so many of the jobs that run; the slots of most workers are fewer.
MAX_LONGEST: Final = 10

# "quiet" is reserved, not produced yet: a worker that takes no new jobs.
State = Literal["live", "silent", "dead", "quiet", "stopping", "blocked"]
STATES: Final[tuple[State, ...]] = ("live", "silent", "dead", "quiet", "stopping", "blocked")


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker process, as registered.

    Attributes:
        id: Its id in the namespace, new at each start.
        name: Host name.
        started_at: Epoch seconds.
        last_seen_at: Epoch seconds of the last heartbeat.
        dead_after_seconds: It is declared dead once its last heartbeat is older.
        version: Release it runs, None for the published package.
        details: All that it announced (pid, queues, slots, state, ...), unchecked.
    """

    id: str
    name: str
    started_at: float
    last_seen_at: float
    dead_after_seconds: float
    version: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_registry(cls, broker_id: str, entry: Mapping[str, Any]) -> WorkerInfo:
        """Return the worker that a registry entry describes; fields of a wrong type count as absent."""
        limit = number(entry.get("dead_after")) or 0.0
        version = entry.get("version")
        return cls(
            id=broker_id,
            name=str(entry.get("name", "")),
            started_at=number(entry.get("started_at")) or 0.0,
            last_seen_at=number(entry.get("last_seen_at")) or 0.0,
            dead_after_seconds=limit if limit > 0 else UPSTREAM_DEAD_AFTER_SECONDS,
            version=version if isinstance(version, str) else None,
            details=dict(entry),
        )

    @property
    def tasks(self) -> frozenset[str] | None:
        """Names of the tasks that it can run; None if it does not announce all of them."""
        names = self.details.get("tasks")
        if self.version is None or not isinstance(names, list) or len(names) >= MAX_ANNOUNCED_TASKS:
            return None
        return frozenset(name for name in names if isinstance(name, str))

    def state_at(self, now: float) -> State:
        """Return its state at `now` (epoch seconds by the broker's clock), judged by its last heartbeat."""
        silence = now - self.last_seen_at
        if silence > self.dead_after_seconds:
            return "dead"
        if silence > self._silent_after_seconds:
            return "silent"
        announced = self.details.get("state")
        return announced if announced in ("quiet", "stopping", "blocked") else "live"

    def lost_record(self, now: float) -> str:
        """Return what is kept of it when it is declared dead at `now` (epoch seconds), as JSON."""
        kept = {name: self.details[name] for name in _KEPT_WHEN_LOST if name in self.details}
        facts = {
            "id": self.id[:_MAX_ID], "name": self.name[:_MAX_ID],
            "last_seen_at": self.last_seen_at, "lost_at": now,
        }  # fmt: skip
        text = json.dumps({**kept, **facts})
        return text if len(text) <= _MAX_LOST_RECORD else json.dumps(facts)  # details have no bound

    @property
    def _silent_after_seconds(self) -> float:
        beat = number(self.details.get("heartbeat")) or 0.0
        if self.version is None or beat <= 0:
            return _UPSTREAM_SILENT_AFTER_SECONDS
        return _HEARTBEATS_UNTIL_SILENT * beat + _STAMP_SECONDS


def is_abandoned(task_name: str, workers: Iterable[WorkerInfo]) -> bool:
    """Return whether none of the registered workers can run a task.

    Args:
        task_name: The task.
        workers: The registered workers. While there is none, or one does not announce all its tasks, no task
            counts as abandoned.
    """
    announced = [worker.tasks for worker in workers]
    return bool(announced) and all(tasks is not None and task_name not in tasks for tasks in announced)


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker runs since `started_at`, in epoch seconds by the broker's clock."""

    id: str
    task_name: str
    queue: str
    started_at: float

    @classmethod
    def read(cls, fields: object) -> RunningJob | None:
        """Return what a worker's record says of a job; None if it says no date."""
        if not isinstance(fields, Mapping) or (started_at := number(fields.get("started_at"))) is None:
            return None
        names = (fields.get(name) for name in ("id", "task_name", "queue"))
        job_id, task_name, queue = (name[:_MAX_NAME] if isinstance(name, str) else "" for name in names)
        return cls(job_id, task_name, queue, started_at)


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """A registered worker at the time of a snapshot.

    Attributes:
        info: What it announced.
        state: Judged by its last heartbeat, then by what it announced.
        seen_seconds: Age of its last heartbeat.
        running: Jobs that run, at most its slots; of a worker of the published package all that it holds.
        reserved: Jobs that it holds and that do not run yet; 0 for a worker of the published package.
        claimed: Jobs that it may run without another call to the broker, those that wait for a slot included.
    """

    info: WorkerInfo
    state: State
    seen_seconds: float
    running: int | None
    reserved: int | None
    claimed: int | None = None

    @classmethod
    def of(cls, info: WorkerInfo, now: float, *, running: int | None, reserved: int | None) -> WorkerStats:
        """Return a worker's statistics.

        Args:
            info: What it announced.
            now: Epoch seconds by the broker's clock.
            running: Jobs that it claimed; those beyond its slots are shown as reserved.
            reserved: Jobs that it reserved.
        """
        stats = cls(info, info.state_at(now), max(0.0, now - info.last_seen_at), running, reserved, running)
        if running is None or reserved is None or stats.slots is None or not stats.runs_this_package:
            return stats
        shown = min(running, stats.slots)
        return replace(stats, running=shown, reserved=reserved + running - shown)

    @property
    def held(self) -> int | None:
        """All jobs that it holds."""
        return None if self.running is None or self.reserved is None else self.running + self.reserved

    @property
    def runs_this_package(self) -> bool:
        """Whether it runs this package, not the published one."""
        return self.info.version is not None

    @property
    def slots(self) -> int | None:
        """How many jobs it runs at once, None when it did not say."""
        slots = self.info.details.get("slots")
        return slots if type(slots) is int and slots > 0 else None

    @property
    def longest(self) -> tuple[RunningJob, ...]:
        """The jobs that it has run for longest as of its last heartbeat, at most `MAX_LONGEST`."""
        announced = self.info.details.get("longest")
        read = map(RunningJob.read, announced[:MAX_LONGEST]) if isinstance(announced, list) else ()
        return tuple(job for job in read if job is not None)

    @property
    def queues(self) -> tuple[str, ...]:
        """Queues it serves, none when it did not say."""
        queues = self.info.details.get("queues")
        return tuple(name for name in queues if type(name) is str) if type(queues) is list else ()


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A worker that was declared dead; `lost_at` in epoch seconds by the broker's clock."""

    info: WorkerInfo
    lost_at: float

    @classmethod
    def from_record(cls, fields: Mapping[str, Any]) -> LostWorker:
        """Return the worker that a `lost_record` describes; fields of a wrong type count as absent."""
        info = WorkerInfo.from_registry(str(fields.get("id", ""))[:_MAX_ID], fields)
        return cls(info, number(fields.get("lost_at")) or 0.0)


@dataclass(frozen=True, slots=True)
class OrphanStats:
    """`running` jobs of a worker that is no longer registered; they wait to be recovered."""

    id: str
    running: int
