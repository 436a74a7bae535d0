"""What is done about dead workers: judge, declare, take over, count slots anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...exc import BrokerUnavailable, LeaseRevoked, MalformedJob
from ...job import Job, JobStatus
from ...origin import mark_recovered
from ...stats import UPSTREAM_DEAD_AFTER_SECONDS, Tally, WorkerInfo
from ...stats.numbers import number
from .. import dead_letters
from ..messages import Recovery
from . import scripts
from .connection import pairs, value
from .exchange import Ending, HeldJobs
from .membership import Presence
from .parking import unpark_when_needed
from .session import Session

# An old worker stamps its own clock, which may be wrong: one whose stamp moved so recently lives.
_SEEN_MOVING_SECONDS: Final = 120.0
# A running hash without a registered worker is adopted after this time: an old worker may register again.
_ORPHAN_SECONDS: Final = 120.0
_ORPHANS_PER_CALL: Final = 100
_PAGE: Final = 200
_SLOTS_COUNT_HOLDS_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class Registered:
    """A registry entry as read: what the judgement is based on."""

    info: WorkerInfo
    entry: bytes
    seen_at: float | None


class FailureDetector:
    """Decides which workers are dead.

    It remembers when each heartbeat last changed: old workers stamp their own clock, which may be wrong.
    """

    def __init__(self) -> None:
        self._moved: dict[str, tuple[float, float]] = {}

    def dead(self, workers: Mapping[str, Registered], now: float, elapsed: float) -> list[Registered]:
        """Return the dead ones.

        Args:
            workers: The registry by worker id.
            now: The server's time.
            elapsed: Local time that never goes back.
        """
        self._moved = {name: moved for name, moved in self._moved.items() if name in workers}
        return [worker for name, worker in workers.items() if self._is_dead(name, worker, now, elapsed)]

    def _is_dead(self, name: str, worker: Registered, now: float, elapsed: float) -> bool:
        info = worker.info
        known = self._moved.get(name)
        if known is None or known[0] != info.last_seen_at:
            # The first look at a worker proves nothing about when its stamp was written.
            self._moved[name] = (info.last_seen_at, elapsed if known else elapsed - _SEEN_MOVING_SECONDS)
        if now - info.last_seen_at <= info.dead_after_seconds:
            return False
        if info.version is not None:
            return True  # stamped with the server's own time
        return elapsed - self._moved[name][1] >= _SEEN_MOVING_SECONDS


def _had_time_to_return(worker: WorkerInfo, steady_seconds: float) -> bool:
    """Return whether a silent worker, cut off like this one, would have sent a heartbeat since.

    Args:
        worker: The silent worker.
        steady_seconds: For how long the heartbeats of this worker have arrived.
    """
    beat = number(worker.details.get("heartbeat")) if worker.version is not None else None
    # During an outage it tries once per heartbeat interval; the second time and the second are for slowness.
    return steady_seconds >= 2 * (beat or _SEEN_MOVING_SECONDS) + 1.0


def read_registry(entries: Any, last_seen: Any) -> dict[str, Registered]:
    """Return the registry by worker id; entries that cannot be read count by their last heartbeat alone."""
    seen = {name: float(score) for name, score in pairs(last_seen)}
    texts = dict(pairs(entries))
    workers = {}
    for name in {*texts, *seen}:
        entry, seen_at = texts.get(name, b""), seen.get(name)
        worker_id = name.decode(errors="replace")
        workers[worker_id] = Registered(_info(worker_id, entry, seen_at), entry, seen_at)
    return workers


def _info(worker_id: str, entry: bytes, seen_at: float | None) -> WorkerInfo:
    try:
        facts = json.loads(entry)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        return WorkerInfo(worker_id, "", 0.0, seen_at or 0.0, UPSTREAM_DEAD_AFTER_SECONDS)
    if seen_at is not None and not isinstance(facts.get("last_seen_at"), (int, float)):
        facts["last_seen_at"] = seen_at
    return WorkerInfo.from_registry(worker_id, facts)


class Recoverer:
    """Finds dead workers and takes over their jobs.

    Args:
        session: The broker's session.
        held_jobs: Ends running jobs.
        presence: Says since when this worker can judge others.
    """

    def __init__(self, session: Session, held_jobs: HeldJobs, presence: Presence) -> None:
        self._session = session
        self._held_jobs = held_jobs
        self._presence = presence
        self._failure_detector = FailureDetector()
        self.seconds_until_next_death = 0.0

    def recover(self) -> list[Recovery]:
        """See `Broker.recover`."""
        session, keys = self._session, self._session.keys
        time, entries, last_seen, remembered, limits, parked = session.connection.read(
            ("TIME",),
            ("HGETALL", keys.brokers),
            ("ZRANGE", keys.brokers_by_last_seen, 0, -1, "WITHSCORES"),
            ("ZRANGE", keys.brokers_seen, 0, _ORPHANS_PER_CALL - 1, "WITHSCORES"),
            ("EXISTS", keys.limits),
            ("HKEYS", keys.parked_counts),
        )
        if isinstance(time, Exception):
            raise session.connection.translated(time)
        now = session.observe_time(time)
        workers = read_registry(value(entries, []), value(last_seen, []))
        elapsed = session.clock.elapsed()
        steady_seconds = self._presence.steady_seconds(elapsed)
        dead = [
            worker
            for worker in self._failure_detector.dead(workers, now, elapsed)
            if worker.info.id != session.worker_id and _had_time_to_return(worker.info, steady_seconds)
        ]
        seen = {name.decode(errors="replace"): float(score) for name, score in pairs(value(remembered, []))}
        self._plan(workers, now)
        recoveries: list[Recovery] = []
        try:
            for worker in dead:
                recoveries += filter(None, [self._declare_dead(worker)])
            self._remember({name for name in workers if name not in seen}, now)
            recoveries += self._adopt_orphans(seen, workers, now)
            self.count_slots(list(workers), [name for name in seen if name not in workers])
            registered = [worker.info for worker in workers.values()]
            unpark_when_needed(session, value(parked, []), registered, has_limits=value(limits, 0) == 1)
        except BrokerUnavailable:
            if not recoveries:
                raise
            # What was done is told now or never; the rest is found by the next look.
            self.seconds_until_next_death = 0.0
        return recoveries

    def recover_one(self, worker_id: str) -> Recovery:
        """Declare one worker dead whatever its heartbeat says, and take over its jobs."""
        keys = self._session.keys
        (entry,) = self._session.connection.read(("HGET", keys.brokers, worker_id))
        info = _info(worker_id, value(entry, b"") or b"", None)
        return self._declare_dead(Registered(info, b"", None)) or self._take_over(info, declared=False)

    def _declare_dead(self, worker: Registered) -> Recovery | None:
        """Declare a worker dead and take over; None when another did, or when its entry changed meanwhile."""
        now = self._session.clock.now()
        declared = self._session.run(
            scripts.REVOKE, worker_id=worker.info.id, judged_record=worker.entry,
            judged_last_seen="" if worker.seen_at is None else repr(worker.seen_at),
            lost_record=worker.info.lost_record(now), now=now,
        )  # fmt: skip
        return self._take_over(worker.info, declared=True) if declared else None

    def _adopt_orphans(
        self, seen: Mapping[str, float], workers: Mapping[str, Registered], now: float
    ) -> list[Recovery]:
        """Take over running hashes whose worker is registered nowhere."""
        recoveries = []
        for worker_id, seen_at in seen.items():
            if worker_id in workers or now - seen_at < _ORPHAN_SECONDS:
                continue
            info = WorkerInfo(worker_id, "", 0.0, seen_at, 0.0)
            recovery = self._take_over(info, declared=False)
            if recovery.requeued or recovery.failed:
                recoveries.append(recovery)
        return recoveries

    def _remember(self, worker_ids: set[str], now: float) -> None:
        """Note workers seen in the registry: the way to their running hashes once they are gone from it."""
        if worker_ids:
            pairs_ = [part for name in worker_ids for part in (int(now), name)]
            self._session.connection.read(("ZADD", self._session.keys.brokers_seen, "NX", *pairs_))

    def _plan(self, workers: Mapping[str, Registered], now: float) -> None:
        others = [worker.info for name, worker in workers.items() if name != self._session.worker_id]
        remaining = [info.last_seen_at + info.dead_after_seconds - now for info in others]
        self.seconds_until_next_death = max(1.0, min(remaining, default=60.0) + 0.5)

    def unpark_for_others(self) -> None:
        """Put parked jobs back if no worker that looks for them is left; a worker that left calls this."""
        session = self._session
        parked, entries = session.connection.read(
            ("HKEYS", session.keys.parked_counts), ("HGETALL", session.keys.brokers)
        )
        if value(parked, []):
            workers = [worker.info for worker in read_registry(value(entries, []), []).values()]
            left = [info for info in workers if info.version is not None]
            unpark_when_needed(session, parked, left, has_limits=True)

    # --- taking over -------------------------------------------------------------------------------

    def _take_over(self, worker: WorkerInfo, *, declared: bool) -> Recovery:
        """Move a dead worker's jobs, page by page; each move is one step that any survivor may make."""
        requeued: list[Job] = []
        failed: list[Job] = []
        keys, cursor = self._session.keys, b"0"
        reserved = set(value(self._session.connection.read(("HKEYS", keys.reserved(worker.id)))[0], []))
        while True:
            page = self._session.connection.read(("HSCAN", keys.running(worker.id), cursor, "COUNT", _PAGE))[
                0
            ]
            if isinstance(page, Exception):
                break
            cursor, entries = page
            try:
                self._end_page(worker, pairs(entries), reserved, requeued, failed)
            except LeaseRevoked:  # registered again meanwhile: an old worker that lives
                break
            if cursor in (b"0", 0):
                break
        return Recovery(worker, requeued, failed, declared)

    def _end_page(
        self,
        worker: WorkerInfo,
        entries: list[tuple[bytes, bytes]],
        reserved: set[bytes],
        requeued: list[Job],
        failed: list[Job],
    ) -> None:
        found = (self._ending_of(worker, field, raw, field in reserved) for field, raw in entries)
        endings = [ending for ending in found if ending]
        tally = Tally()
        for ending in endings:
            counter = "failed" if ending.kind == "fail" else "recovered"
            tally.count(ending.job.queue, ending.job.task_name, counter)
        statuses = self._held_jobs.end(worker.id, "dead", endings, tally)
        for ending, status in zip(endings, statuses, strict=True):
            if status:
                ending.job.status = JobStatus(status)
                (failed if status == JobStatus.FAILED else requeued).append(ending.job)

    def _ending_of(self, worker: WorkerInfo, field: bytes, raw: bytes, was_reserved: bool) -> Ending | None:
        session, now = self._session, self._session.clock.now()
        try:
            job = Job.deserialize(raw)
            job._field = _field_text(field)
        except MalformedJob as error:
            key, place = session.keys.running(worker.id), dead_letters.jobs_of(worker.id)
            session.set_aside(key, place, kind="hash", member=field, error=error, raw=raw)
            return None
        if not was_reserved and not job.should_retry:
            return Ending.failed(job, dead_letters.in_doubt(job, raw, worker, now), raw)
        if not was_reserved:
            job.retries += 1
            mark_recovered(job, worker.id)
        job.enqueued_at = now
        return Ending(job, "push", job.text(JobStatus.QUEUED, now), raw)

    def count_slots(self, registered: list[str], orphaned: list[str]) -> None:
        """Correct the slots taken of each limited task by counting its running jobs."""
        running = [self._session.keys.running(worker_id) for worker_id in (*registered, *orphaned)]
        self._session.run(
            scripts.COUNT_SLOTS, holds_ms=_SLOTS_COUNT_HOLDS_MS, registered=len(registered), more_keys=running
        )


def _field_text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        raise MalformedJob(f"it stands under {field!r}, which is no id") from None
