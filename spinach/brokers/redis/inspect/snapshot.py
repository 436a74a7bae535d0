"""The snapshot: a whole namespace in one round trip, two when there is something new to learn.

Cost: at most 20 commands, 4 per queue and a transaction around each 25 of them, 2 per worker, some samples, and what
`wanted.py` says of a page; each bounded whatever the keys hold. Never Lua, KEYS, a full read of jobs, nor a scan of the key space unless asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from ....exc import NotPermitted
from ....stats import OVERDUE_SECONDS, Costs, LimitStats, NamespaceSnapshot, PeriodicStats, Wanted
from ....stats.jobs import JobInfo
from ....stats.workers import WorkerStats
from ...limits import MAX_LOST_WORKERS
from ..connection import pairs
from ..session import Session
from . import parts
from .queues import Queues
from .reader import Question, Reader
from .scanning import list_names
from .wanted import WantedPages
from .workers import Workers

_MAX_TASKS: Final = 500
_MAX_FIELDS: Final = 4100  # a little more than the counters may have


def snapshot(
    session: Session,
    *,
    known: NamespaceSnapshot | None = None,
    queues: Sequence[str] = (),
    totals: bool = True,
    discover: bool = False,
    wanted: Sequence[Wanted] = (),
) -> NamespaceSnapshot:
    """Return what the namespace looks like now; see `Broker.snapshot`."""
    return _Look(session, known, queues, totals, discover, wanted).take()


class _Look:
    """One look at a namespace: asks, learns what is new, asks about that, puts together."""

    def __init__(
        self,
        session: Session,
        known: NamespaceSnapshot | None,
        queues: Sequence[str],
        totals: bool,
        discover: bool,
        wanted: Sequence[Wanted],
    ) -> None:
        self._session = session
        self._known = known
        self._totals = totals
        self._discover = discover
        self._began = session.clock.elapsed()
        self._tasks_are_cut = False
        together = known is None or all(queue.consistent for queue in known.queues)
        self._reader = Reader(session.connection, together)
        self._queues = Queues(session.keys, self._reader, known, queues, self._guesses() if discover else ())
        self._workers = Workers(session.keys, self._reader, known, int(session.clock.now() / 2))
        self._pages = WantedPages(session.keys, self._reader, known, wanted)

    def _guesses(self) -> set[str]:
        try:
            names, steps = list_names(self._session.connection, self._session.keys)
        except NotPermitted as error:
            self._reader.note("permission", "SCAN", str(error))
            return set()
        self._reader.round_trips += steps
        self._reader.commands += steps
        return names

    def take(self) -> NamespaceSnapshot:
        """Return the snapshot."""
        self._ask()
        wall_before = self._session.clock.local.now()
        self._reader.send()
        wall = (wall_before + self._session.clock.local.now()) / 2
        self._read_time(wall)
        self._workers.learn()
        self._pages.learn(self._workers.names())
        self._queues.ask_about(self._names_learnt())
        if self._overdue is None:
            self._ask_overdue(self._now)
        self._reader.send()
        if self._discover:
            self._queues.ask_about(self._names_of_workers())
            self._reader.send()
        return self._put_together()

    def _ask(self) -> None:
        keys, ask = self._session.keys, self._reader.ask
        self._time = ask("TIME")
        self._scheduled = ask("ZCARD", keys.future)
        self._next = ask("ZRANGE", keys.future, 0, 0, "WITHSCORES")
        self._periodic = ask("HSCAN", keys.periodic_tasks, 0, "COUNT", 2 * _MAX_TASKS)
        self._planned = ask("ZRANGE", keys.periodic_queue, 0, _MAX_TASKS - 1, "WITHSCORES")
        self._limits = ask("HSCAN", keys.limits, 0, "COUNT", 2 * _MAX_TASKS)
        self._slots = ask("HSCAN", keys.slots_taken, 0, "COUNT", 2 * _MAX_TASKS)
        self._failed = ask("ZCARD", keys.failed)
        self._lost = ask("ZREVRANGE", keys.lost_workers, 0, MAX_LOST_WORKERS - 1)
        self._facts = [ask("INFO", "server"), ask("INFO", "memory")]
        self._counters = ask("HSCAN", keys.counters, 0, "COUNT", 2 * _MAX_FIELDS) if self._totals else None
        self._histograms = (
            ask("HSCAN", keys.histograms, 0, "COUNT", 2 * _MAX_FIELDS) if self._totals else None
        )
        self._overdue: Question | None = None
        if self._known is not None:  # the server's time is known well enough
            self._ask_overdue(self._session.clock.now())
        self._workers.ask()
        self._queues.ask()
        self._pages.ask()

    def _ask_overdue(self, now: float) -> None:
        limit = f"{now - OVERDUE_SECONDS:.6f}"
        self._overdue = self._reader.ask("ZCOUNT", self._session.keys.future, "-inf", limit)

    def _read_time(self, wall: float) -> None:
        if isinstance(self._time.reply, Exception):
            raise self._session.connection.translated(self._time.reply)
        self._now = self._session.observe_time(self._time.reply)
        self._skew = wall - self._now

    def _names_learnt(self) -> Iterable[object]:
        """Return what the first answers name as queues: the index, periodic tasks, jobs that wait or run."""
        waiting = [text for text, _ in pairs(self._reader.answer(self._next, []))]
        jobs = [JobInfo.read(text) for text in (*waiting, *self._workers.sampled_jobs())]
        return [
            *self._queues.indexed(),
            *(task.queue for task in self._periodic_tasks()),
            *(job.queue for job in jobs),
        ]

    def _names_of_workers(self, workers: Iterable[WorkerStats] | None = None) -> Iterable[object]:
        """Return the queues that workers serve, as they say or as their jobs do."""
        known = self._workers.stats(self._now) if workers is None else workers
        announced = [name for worker in known for name in worker.queues]
        return [*announced, *(JobInfo.read(text).queue for text in self._workers.sampled_jobs())]

    def _periodic_tasks(self) -> tuple[PeriodicStats, ...]:
        answer = self._reader.answer
        return parts.periodic(
            self._reader, answer(self._periodic, None), answer(self._planned, []), self._now
        )

    def _put_together(self) -> NamespaceSnapshot:
        answer, workers = self._reader.answer, self._workers.stats(self._now)
        orphans = self._workers.orphans(workers)
        self._queues.mention(self._names_of_workers(workers))
        overdue = answer(self._overdue, None)
        snapshot = NamespaceSnapshot(
            namespace=self._session.keys.namespace,
            at=self._now,
            queues=self._queues.stats(self._now),
            workers=tuple(workers),
            orphans=orphans,
            connected=self._connected(workers),
            scheduled=answer(self._scheduled, None),
            overdue=overdue,
            overdue_seconds=self._overdue_seconds(overdue),
            limits=self._limits_read(),
            periodic=None if answer(self._periodic, None) is None else self._periodic_tasks(),
            failed=answer(self._failed, None),
            lost=parts.lost(self._reader, answer(self._lost, ())),
            server=parts.server((answer(fact, None) for fact in self._facts), self._skew),
        )
        if self._workers.is_readable:
            snapshot = replace(
                snapshot,
                running=sum(one.running or 0 for one in workers) + sum(one.running for one in orphans),
                reserved=sum(worker.reserved or 0 for worker in workers),
                exact=not self._workers.is_cut and all(worker.is_ours for worker in workers),
            )
        return self._finished(self._with_totals(snapshot))

    def _connected(self, workers: list[WorkerStats]) -> int | None:
        if self._session.connection.is_cluster:  # one node counts only those that ask it
            return sum(worker.state not in ("silent", "dead") for worker in workers)
        return self._workers.connected()

    def _overdue_seconds(self, overdue: int | None) -> float | None:
        first = pairs(self._reader.answer(self._next, []))
        if overdue is None or (overdue and not first):
            return None
        if not overdue:
            return 0.0
        due = parts.time_of(first[0][1])
        return None if due is None else max(0.0, self._now - due)

    def _limits_read(self) -> tuple[LimitStats, ...] | None:
        limited = self._reader.answer(self._limits, None)
        taken = self._reader.answer(self._slots, None)
        return None if limited is None else parts.limits(self._reader, limited, taken)

    def _with_totals(self, snapshot: NamespaceSnapshot) -> NamespaceSnapshot:
        counters = self._reader.answer(self._counters, None)
        if counters is not None:
            totals, lost, trimmed, folded = parts.counters(counters)
            self._tasks_are_cut = self._tasks_are_cut or folded > 0 or parts.is_cut(counters)
            snapshot = replace(snapshot, counters=totals, workers_lost=lost, trimmed=trimmed)
        histograms = self._reader.answer(self._histograms, None)
        if histograms is not None:
            waits, runs = parts.histograms(histograms)
            snapshot = replace(snapshot, waits=waits, runs=runs)
        return snapshot

    def _finished(self, snapshot: NamespaceSnapshot) -> NamespaceSnapshot:
        pages = (self._reader.answer(page, None) for page in (self._periodic, self._limits))
        cut = {
            "queues": self._queues.is_cut,
            "workers": self._workers.is_cut,
            "tasks": self._tasks_are_cut or any(map(parts.is_cut, pages)),
        }
        reader, wanted = self._reader, self._pages.found()
        seconds = self._session.clock.elapsed() - self._began
        return replace(
            snapshot,
            truncated=tuple(name for name, is_cut in cut.items() if is_cut),
            errors=tuple(reader.errors),
            pages=wanted,
            costs=Costs(reader.round_trips, reader.commands, seconds),
        )
