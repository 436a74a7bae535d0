"""Who works in a namespace: workers as they registered, and what their heartbeats make of them.

Part of the read model, see `stats`. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

# Our own workers; brokers of the published package are called dead after 1800 s.
DEFAULT_DEAD_AFTER_SECONDS: Final = 60
UPSTREAM_DEAD_AFTER_SECONDS: Final = 1800
# They beat at least once in 60 s, ours as often as they announce; some may be late.
_UPSTREAM_SILENT_AFTER_SECONDS: Final = 75.0
_BEATS_UNTIL_SILENT: Final = 3
# Stamps are whole seconds.
_STAMP_SECONDS: Final = 1.0

# What helps to find out what became of a worker.
_REMEMBERED: Final = ("pid", "version", "queues", "slots", "started_at")
_MAX_OBITUARY: Final = 4096
_MAX_ID: Final = 100

# "quiet" is reserved, not produced yet: a worker that takes no new jobs.
State = Literal["live", "silent", "dead", "quiet", "stopping"]
STATES: Final[tuple[State, ...]] = ("live", "silent", "dead", "quiet", "stopping")


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker process as its namespace knows it.

    Attributes:
        id: Its broker id, new at each start.
        name: Host name.
        started_at: Epoch seconds.
        last_seen_at: Epoch seconds of the last heartbeat.
        dead_after_seconds: Silence after which it is called dead.
        version: Release it runs, None for the published package.
        details: Whatever else it announced (pid, queues, slots, state, ...), unchecked.
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
        limit = _number(entry.get("dead_after"), 0.0)
        version = entry.get("version")
        return cls(
            id=broker_id,
            name=str(entry.get("name", "")),
            started_at=_number(entry.get("started_at"), 0.0),
            last_seen_at=_number(entry.get("last_seen_at"), 0.0),
            dead_after_seconds=limit if limit > 0 else UPSTREAM_DEAD_AFTER_SECONDS,
            version=version if isinstance(version, str) else None,
            details=dict(entry),
        )

    def state_at(self, now: float) -> State:
        """Return what it is at a time (epoch seconds of the broker's clock), judged by its heartbeat."""
        silence = now - self.last_seen_at
        if silence > self.dead_after_seconds:
            return "dead"
        if silence > self._silent_after_seconds:
            return "silent"
        announced = self.details.get("state")
        return announced if announced in ("quiet", "stopping") else "live"

    def obituary(self, now: float) -> str:
        """Return what is kept of it when it is declared dead at a time (epoch seconds), as JSON."""
        kept = {name: self.details[name] for name in _REMEMBERED if name in self.details}
        facts = {
            "id": self.id[:_MAX_ID], "name": self.name[:_MAX_ID], "last_seen_at": self.last_seen_at, "lost_at": now,
        }  # fmt: skip
        text = json.dumps({**kept, **facts})
        return text if len(text) <= _MAX_OBITUARY else json.dumps(facts)  # a registry entry may hold anything

    @property
    def _silent_after_seconds(self) -> float:
        beat = _number(self.details.get("heartbeat"), 0.0)
        if self.version is None or beat <= 0:
            return _UPSTREAM_SILENT_AFTER_SECONDS
        return _BEATS_UNTIL_SILENT * beat + _STAMP_SECONDS


def _number(value: object, default: float) -> float:
    # No fact is beyond 2**53; JSON knows larger integers than a float takes.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -(2**53) < value < 2**53:
        return default
    return float(value)


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """A registered worker at the time of a snapshot.

    Attributes:
        info: What it announced.
        state: Judged by its heartbeat, then by what it announced.
        seen_seconds: Since its last heartbeat.
        running: Jobs it runs, None when they could not be counted; of an old worker those it fetched, too.
        reserved: Jobs it holds and did not start, none on old workers; together with `running` all that it holds.
        claimed: Jobs it holds and that count as started: it may claim some before a slot is free.
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
            now: Epoch seconds of the broker's clock.
            running: Jobs it claimed; what is beyond its slots waits in its hands, and counts as reserved.
            reserved: Jobs it fetched and did not claim.
        """
        stats = cls(info, info.state_at(now), max(0.0, now - info.last_seen_at), running, reserved, running)
        if running is None or reserved is None or stats.slots is None or not stats.is_ours:
            return stats
        shown = min(running, stats.slots)
        return replace(stats, running=shown, reserved=reserved + running - shown)

    @property
    def held(self) -> int | None:
        """All jobs in its hands."""
        return None if self.running is None or self.reserved is None else self.running + self.reserved

    @property
    def is_ours(self) -> bool:
        """Whether it runs this package and not the published one."""
        return self.info.version is not None

    @property
    def slots(self) -> int | None:
        """How many jobs it runs at once, None when it did not say."""
        slots = self.info.details.get("slots")
        return slots if type(slots) is int and slots > 0 else None

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
    def from_obituary(cls, fields: Mapping[str, Any]) -> LostWorker:
        """Return the worker that a record describes; fields of a wrong type count as absent."""
        info = WorkerInfo.from_registry(str(fields.get("id", ""))[:_MAX_ID], fields)
        return cls(info, _number(fields.get("lost_at"), 0.0))


@dataclass(frozen=True, slots=True)
class OrphanStats:
    """Jobs in the hands of a worker that is not registered any more; they wait to be recovered."""

    id: str
    running: int
