"""The part of a snapshot that is about workers: registry, who holds how much, who is gone with jobs in hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ....stats import NamespaceSnapshot
from ....stats.workers import OrphanStats, WorkerStats
from ..connection import pairs
from ..keys import Keys
from ..recovery import read_registry
from . import parts
from .reader import Question, Reader

MAX_WORKERS: Final = 500
_MAX_ORPHANS: Final = 100
# Old workers do not say which queues they serve: their jobs do. A few of them, by turns.
_SAMPLED_WORKERS: Final = 10
_SAMPLED_JOBS: Final = 10


class Workers:
    """Asks about the workers of a namespace.

    Args:
        keys: The namespace's keys.
        reader: Gathers the questions.
        known: The snapshot before, whose workers are asked for at once.
        turn: Counts up, so that other old workers are sampled each time.
    """

    def __init__(self, keys: Keys, reader: Reader, known: NamespaceSnapshot | None, turn: int) -> None:
        self._keys = keys
        self._reader = reader
        self._known = known
        self._turn = turn
        self._asked: dict[bytes, None] = {}
        self._entries: list[tuple[list[bytes], Question]] = []
        self._rest: Question | None = None
        self._running: dict[bytes, Question] = {}
        self._reserved: dict[bytes, Question] = {}
        self._samples: list[Question] = []

    def ask(self) -> None:
        """Ask for the registry, and all about the workers that are known."""
        keys, reader = self._keys, self._reader
        self._size = reader.ask("HLEN", keys.brokers)
        self._sights = reader.ask("ZREVRANGE", keys.brokers_by_sight, 0, MAX_WORKERS - 1, "WITHSCORES")
        self._seen = reader.ask("ZRANGE", keys.brokers_seen, 0, MAX_WORKERS + _MAX_ORPHANS - 1)
        self._connected = reader.ask("PUBSUB", "NUMSUB", keys.notifications)
        if self._known is None:
            return
        ours = [worker.info.id.encode() for worker in self._known.workers if worker.is_ours]
        old = [worker.info.id.encode() for worker in self._known.workers if not worker.is_ours]
        self._ask_entries(ours + old)
        self._ask_holdings(ours, reserved=True)
        self._ask_holdings(old, reserved=False)
        self._ask_holdings((orphan.id.encode() for orphan in self._known.orphans), reserved=False)
        start = self._turn * _SAMPLED_WORKERS % max(1, len(old))
        self._sample([*old, *old][start : start + min(_SAMPLED_WORKERS, len(old))])

    def learn(self) -> None:
        """Ask about the workers that turned out to be there."""
        sights = self._sights_read()
        new = [name for name in sights if name not in self._asked]
        if self._registered > len(self._entries_read(sights)) + len(new):
            # Entries without a sight, or more than fit: whatever a bounded look brings.
            self._rest = self._reader.ask("HSCAN", self._keys.brokers, 0, "COUNT", 2 * MAX_WORKERS)
        self._ask_entries(new)
        self._ask_holdings(new, reserved=True)
        self._sample(new[:_SAMPLED_WORKERS])
        registered = {*sights, *self._asked}
        gone = [name for name in self._reader.answer(self._seen, []) if name not in registered]
        self._ask_holdings(
            (name for name in gone[:_MAX_ORPHANS] if name not in self._running), reserved=False
        )

    def _ask_entries(self, names: list[bytes]) -> None:
        if names:
            self._asked.update(dict.fromkeys(names))
            self._entries.append((names, self._reader.ask("HMGET", self._keys.brokers, *names)))

    def _ask_holdings(self, names: Iterable[bytes], *, reserved: bool) -> None:
        for name in names:
            worker_id = name.decode(errors="replace")
            self._running[name] = self._reader.ask("HLEN", self._keys.running(worker_id))
            if reserved:
                self._reserved[name] = self._reader.ask("HLEN", self._keys.reserved(worker_id))

    def _sample(self, names: Iterable[bytes]) -> None:
        for name in names:
            key = self._keys.running(name.decode(errors="replace"))
            self._samples.append(self._reader.ask("HSCAN", key, 0, "COUNT", _SAMPLED_JOBS))

    # --- answers ---------------------------------------------------------------------------------

    @property
    def _registered(self) -> int:
        return min(int(self._reader.answer(self._size, 0)), MAX_WORKERS)

    @property
    def is_cut(self) -> bool:
        """Whether there are more workers than were read."""
        return int(self._reader.answer(self._size, 0)) > MAX_WORKERS

    @property
    def is_readable(self) -> bool:
        """Whether the registry could be read at all."""
        return not isinstance(self._size.reply, Exception)

    def names(self) -> list[str]:
        """Return the ids of those that may hold jobs, the registered ones first."""
        found = dict.fromkeys([*self._sights_read(), *self._running])
        return [name.decode(errors="replace") for name in found]

    def connected(self) -> int | None:
        """Return how many processes listen to the namespace's news."""
        reply = self._reader.answer(self._connected, None)
        return int(reply[1]) if isinstance(reply, list) and len(reply) == 2 else None

    def sampled_jobs(self) -> list[bytes]:
        """Return texts of some jobs in the hands of old workers."""
        pages = [self._reader.answer(sample, None) for sample in self._samples]
        return [text for page in pages for text in parts.hash_of(page).values()]

    def stats(self, now: float) -> list[WorkerStats]:
        """Return the registered workers, by host name."""
        sights = self._sights_read()
        entries = self._entries_read(sights)
        found = []
        for worker_id, worker in read_registry(entries, sights).items():
            if parts.is_malformed(worker.info, worker.entry):
                self._reader.note("malformed", f"worker {worker_id}", "its entry is not a JSON object")
            name = worker_id.encode()
            running = self._size_of(self._running.get(name))
            reserved = self._reserved_of(name, running) if worker.info.version is not None else 0
            if running is not None and reserved is not None:
                running -= reserved
            found.append(WorkerStats.of(worker.info, now, running=running, reserved=reserved))
        return sorted(found, key=lambda stats: (stats.info.name, stats.info.id))[:MAX_WORKERS]

    def orphans(self, workers: Iterable[WorkerStats]) -> tuple[OrphanStats, ...]:
        """Return who holds jobs and is not among the workers."""
        registered = {stats.info.id.encode() for stats in workers}
        held = {name: self._size_of(question) or 0 for name, question in self._running.items()}
        return tuple(
            OrphanStats(name.decode(errors="replace"), running)
            for name, running in sorted(held.items())
            if running and name not in registered
        )

    def _size_of(self, question: Question | None) -> int | None:
        size = self._reader.answer(question, None)
        return size if type(size) is int else None

    def _reserved_of(self, name: bytes, running: int | None) -> int | None:
        fields = self._size_of(self._reserved.get(name))
        # One field is the number of the last call.
        return None if fields is None else min(max(0, fields - 1), running or 0)

    def _sights_read(self) -> dict[bytes, float]:
        sights = pairs(self._reader.answer(self._sights, []))
        return {name: parts.time_of(score) or 0.0 for name, score in sights}

    def _entries_read(self, sights: dict[bytes, float]) -> dict[bytes, bytes]:
        texts: dict[bytes, bytes] = {}
        for names, question in self._entries:
            replies: list[bytes | None] = self._reader.answer(question, [])
            texts |= {name: text for name, text in zip(names, replies, strict=False) if text is not None}
        for name, text in parts.hash_of(self._reader.answer(self._rest, None)).items():
            if len(texts) < MAX_WORKERS or name in sights:
                texts.setdefault(name, text)
        return texts
