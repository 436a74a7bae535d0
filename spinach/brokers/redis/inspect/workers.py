"""The workers of a snapshot: the registry, how many jobs each holds, and who left without its jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ....stats import NamespaceSnapshot
from ....stats.numbers import parse_number
from ....stats.workers import OrphanStats, WorkerStats
from ..connection import pairs
from ..keys import Keys
from ..recovery import read_registry
from . import replies
from .pipeline import Pipeline, Request

MAX_WORKERS: Final = 500
_MAX_ORPHANS: Final = 100
# Workers of the published package do not announce their queues: the jobs of ten are read, by turns.
_SAMPLED_WORKERS: Final = 10
_SAMPLED_JOBS: Final = 10


class Workers:
    """Reads the workers of a namespace.

    Args:
        keys: The namespace's keys.
        pipeline: Collects the commands.
        known: The snapshot before, whose workers are asked for at once.
        turn: Number of the poll: decides whose jobs are sampled.
    """

    def __init__(self, keys: Keys, pipeline: Pipeline, known: NamespaceSnapshot | None, turn: int) -> None:
        self._keys = keys
        self._pipeline = pipeline
        self._known = known
        self._turn = turn
        self._asked: dict[bytes, None] = {}
        self._entries: list[tuple[list[bytes], Request]] = []
        self._rest: Request | None = None
        self._running: dict[bytes, Request] = {}
        self._reserved: dict[bytes, Request] = {}
        self._samples: list[Request] = []

    def ask(self) -> None:
        """Ask for the registry, and about the known workers."""
        keys, pipeline = self._keys, self._pipeline
        self._size = pipeline.ask("HLEN", keys.brokers)
        self._heartbeats_request = pipeline.ask(
            "ZREVRANGE", keys.brokers_by_last_seen, 0, MAX_WORKERS - 1, "WITHSCORES"
        )
        self._seen = pipeline.ask("ZRANGE", keys.brokers_seen, 0, MAX_WORKERS + _MAX_ORPHANS - 1)
        self._connected = pipeline.ask("PUBSUB", "NUMSUB", keys.notifications)
        if self._known is None:
            return
        ours = [worker.info.id.encode() for worker in self._known.workers if worker.runs_this_package]
        old = [worker.info.id.encode() for worker in self._known.workers if not worker.runs_this_package]
        self._ask_entries(ours + old)
        self._ask_holdings(ours, reserved=True)
        self._ask_holdings(old, reserved=False)
        self._ask_holdings((orphan.id.encode() for orphan in self._known.orphans), reserved=False)
        start = self._turn * _SAMPLED_WORKERS % max(1, len(old))
        self._sample([*old, *old][start : start + min(_SAMPLED_WORKERS, len(old))])

    def ask_about_new(self) -> None:
        """Ask about the workers that the first answers name."""
        heartbeats = self._heartbeats()
        new = [name for name in heartbeats if name not in self._asked]
        if self._registered > len(self._entries_read(heartbeats)) + len(new):
            # Some entries have no heartbeat, or there are too many: read as many as the bound allows.
            self._rest = self._pipeline.ask("HSCAN", self._keys.brokers, 0, "COUNT", 2 * MAX_WORKERS)
        self._ask_entries(new)
        self._ask_holdings(new, reserved=True)
        self._sample(new[:_SAMPLED_WORKERS])
        registered = {*heartbeats, *self._asked}
        gone = [name for name in self._pipeline.answer(self._seen, []) if name not in registered]
        self._ask_holdings(
            (name for name in gone[:_MAX_ORPHANS] if name not in self._running), reserved=False
        )

    def _ask_entries(self, names: list[bytes]) -> None:
        if names:
            self._asked.update(dict.fromkeys(names))
            self._entries.append((names, self._pipeline.ask("HMGET", self._keys.brokers, *names)))

    def _ask_holdings(self, names: Iterable[bytes], *, reserved: bool) -> None:
        for name in names:
            worker_id = name.decode(errors="replace")
            self._running[name] = self._pipeline.ask("HLEN", self._keys.running(worker_id))
            if reserved:
                self._reserved[name] = self._pipeline.ask("HLEN", self._keys.reserved(worker_id))

    def _sample(self, names: Iterable[bytes]) -> None:
        for name in names:
            key = self._keys.running(name.decode(errors="replace"))
            self._samples.append(self._pipeline.ask("HSCAN", key, 0, "COUNT", _SAMPLED_JOBS))

    # --- answers ---------------------------------------------------------------------------------

    @property
    def _registered(self) -> int:
        return min(int(self._pipeline.answer(self._size, 0)), MAX_WORKERS)

    @property
    def is_cut(self) -> bool:
        """Whether there are more workers than were read."""
        return int(self._pipeline.answer(self._size, 0)) > MAX_WORKERS

    @property
    def is_readable(self) -> bool:
        """Whether the registry could be read at all."""
        return not isinstance(self._size.reply, Exception)

    def names(self) -> list[str]:
        """Return the ids of those that may hold jobs, the registered ones first."""
        found = dict.fromkeys([*self._heartbeats(), *self._running])
        return [name.decode(errors="replace") for name in found]

    def connected(self) -> int | None:
        """Return how many processes subscribe to the namespace's notifications."""
        reply = self._pipeline.answer(self._connected, None)
        return int(reply[1]) if isinstance(reply, list) and len(reply) == 2 else None

    def sampled_jobs(self) -> list[bytes]:
        """Return texts of some jobs that workers of the published package hold."""
        pages = [self._pipeline.answer(sample, None) for sample in self._samples]
        return [text for page in pages for text in replies.hash_of(page).values()]

    def stats(self, now: float) -> list[WorkerStats]:
        """Return the registered workers, by host name."""
        heartbeats = self._heartbeats()
        entries = self._entries_read(heartbeats)
        found = []
        for worker_id, worker in read_registry(entries, heartbeats).items():
            if replies.is_malformed(worker.info, worker.entry):
                self._pipeline.note("malformed", f"worker {worker_id}", "its entry is not a JSON object")
            name = worker_id.encode()
            running = self._size_of(self._running.get(name))
            reserved = self._reserved_of(name, running) if worker.info.version is not None else 0
            if running is not None and reserved is not None:
                running -= reserved
            found.append(WorkerStats.of(worker.info, now, running=running, reserved=reserved))
        return sorted(found, key=lambda stats: (stats.info.name, stats.info.id))[:MAX_WORKERS]

    def orphans(self, workers: Iterable[WorkerStats]) -> tuple[OrphanStats, ...]:
        """Return the holders of jobs that are not among the workers."""
        registered = {stats.info.id.encode() for stats in workers}
        held = {name: self._size_of(request) or 0 for name, request in self._running.items()}
        return tuple(
            OrphanStats(name.decode(errors="replace"), running)
            for name, running in sorted(held.items())
            if running and name not in registered
        )

    def _size_of(self, request: Request | None) -> int | None:
        size = self._pipeline.answer(request, None)
        return size if type(size) is int else None

    def _reserved_of(self, name: bytes, running: int | None) -> int | None:
        fields = self._size_of(self._reserved.get(name))
        # One field is `seq`, the number of the last exchange.
        return None if fields is None else min(max(0, fields - 1), running or 0)

    def _heartbeats(self) -> dict[bytes, float]:
        heartbeats = pairs(self._pipeline.answer(self._heartbeats_request, []))
        return {name: parse_number(score) or 0.0 for name, score in heartbeats}

    def _entries_read(self, heartbeats: dict[bytes, float]) -> dict[bytes, bytes]:
        texts: dict[bytes, bytes] = {}
        for names, request in self._entries:
            found: list[bytes | None] = self._pipeline.answer(request, [])
            texts |= {name: text for name, text in zip(names, found, strict=False) if text is not None}
        for name, text in replies.hash_of(self._pipeline.answer(self._rest, None)).items():
            if len(texts) < MAX_WORKERS or name in heartbeats:
                texts.setdefault(name, text)
        return texts
