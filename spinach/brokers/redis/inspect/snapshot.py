"""The snapshot: a whole namespace in one round trip, two when the first names new queues or workers.

Cost: at most 20 commands, 4 per queue and a transaction around each 25 queues, 2 per worker, some samples,
and the cost of the pages (see `pages.py`). Each reply is bounded. It never uses Lua or KEYS, never reads all
jobs, and scans the key space only when the caller wants that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from ....exc import NotPermitted
from ....stats import (
    OVERDUE_SECONDS,
    Costs,
    FailureGroup,
    LimitStats,
    NamespaceSnapshot,
    PeriodicStats,
    Wanted,
)
from ....stats.jobs import JobInfo
from ....stats.numbers import parse_number
from ....stats.workers import WorkerStats
from ...limits import MAX_LOST_WORKERS
from ..connection import pairs
from ..session import Session
from . import replies
from .jobs import GROUP_FIELDS, erring_groups, groups_of
from .pages import WantedPages
from .pipeline import Pipeline, Request
from .queues import Queues
from .recent import RecentMinutes
from .scanning import list_names
from .workers import Workers

_MAX_TASKS: Final = 500
_MAX_FIELDS: Final = 4100  # a little more than `MAX_COUNTER_FIELDS`


def snapshot(
    session: Session,
    *,
    known: NamespaceSnapshot | None = None,
    queues: Sequence[str] = (),
    totals: bool = True,
    discover: bool = False,
    wanted: Sequence[Wanted] = (),
) -> NamespaceSnapshot:
    """Return the state of the namespace; see `Broker.snapshot`."""
    return _Poll(session, known, queues, totals, discover, wanted).read()


class _Poll:
    """One poll: asks for what is known, then for what the answers name, then puts the snapshot together."""

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
        atomically = known is None or all(queue.consistent for queue in known.queues)
        self._pipeline = Pipeline(session.connection, atomically)
        self._queues = Queues(
            session.keys, self._pipeline, known, queues, self._list_names() if discover else ()
        )
        self._workers = Workers(session.keys, self._pipeline, known, int(session.clock.now() / 2))
        self._pages = WantedPages(session.keys, self._pipeline, known, wanted)
        self._recent = RecentMinutes(session.keys, self._pipeline, known if totals else None)

    def _list_names(self) -> set[str]:
        try:
            names, steps = list_names(self._session.connection, self._session.keys)
        except NotPermitted as error:
            self._pipeline.note("permission", "SCAN", str(error))
            return set()
        self._pipeline.round_trips += steps
        self._pipeline.commands += steps
        return names

    def read(self) -> NamespaceSnapshot:
        """Return the snapshot."""
        self._ask()
        wall_before = self._session.clock.local.now()
        self._pipeline.send()
        wall = (wall_before + self._session.clock.local.now()) / 2
        self._read_time(wall)
        self._workers.ask_about_new()
        self._pages.ask_about_new(self._workers.names())
        self._recent.ask_about_unknown(self._pipeline.answer(self._counters, None), self._now)
        self._queues.ask_about(self._names_found())
        self._queues.ask_about_parked()
        if self._overdue is None:
            self._ask_overdue(self._now)
        self._pipeline.send()
        if self._discover:
            self._queues.ask_about(self._names_of_workers())
            self._pipeline.send()
        return self._put_together()

    def _ask(self) -> None:
        keys, ask = self._session.keys, self._pipeline.ask
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
        self._groups = [
            ask("HSCAN", key, 0, "COUNT", GROUP_FIELDS)
            for key in (keys.failure_groups, keys.attempt_errors)
            if self._totals and self._may_fail()
        ]
        self._histograms = (
            ask("HSCAN", keys.histograms, 0, "COUNT", 2 * _MAX_FIELDS) if self._totals else None
        )
        self._overdue: Request | None = None
        if self._known is not None:  # then the clock follows the server already
            self._ask_overdue(self._session.clock.now())
            self._recent.ask(self._session.clock.now())
        self._workers.ask()
        self._queues.ask()
        self._pages.ask()

    def _may_fail(self) -> bool:
        """Return whether attempts ended in errors lately, or nothing is known of that."""
        recent = self._known.recent if self._known is not None else None
        return recent is None or recent.errors > 0

    def _ask_overdue(self, now: float) -> None:
        limit = f"{now - OVERDUE_SECONDS:.6f}"
        self._overdue = self._pipeline.ask("ZCOUNT", self._session.keys.future, "-inf", limit)

    def _read_time(self, wall: float) -> None:
        if isinstance(self._time.reply, Exception):
            raise self._session.connection.translated(self._time.reply)
        self._now = self._session.observe_time(self._time.reply)
        self._skew = wall - self._now

    def _names_found(self) -> Iterable[object]:
        """Return the queues that the first answers name: index, periodic tasks, waiting and running jobs."""
        waiting = [text for text, _ in pairs(self._pipeline.answer(self._next, []))]
        jobs = [JobInfo.read(text) for text in (*waiting, *self._workers.sampled_jobs())]
        return [
            *self._queues.indexed(),
            *(task.queue for task in self._periodic_tasks()),
            *(job.queue for job in jobs),
        ]

    def _names_of_workers(self, workers: Iterable[WorkerStats] | None = None) -> Iterable[object]:
        """Return the queues that workers announce, and those that their jobs name."""
        known = self._workers.stats(self._now) if workers is None else workers
        announced = [name for worker in known for name in worker.queues]
        return [*announced, *(JobInfo.read(text).queue for text in self._workers.sampled_jobs())]

    def _periodic_tasks(self, workers: Sequence[WorkerStats] = ()) -> tuple[PeriodicStats, ...]:
        answer, infos = self._pipeline.answer, [worker.info for worker in workers]
        return replies.periodic(
            self._pipeline, answer(self._periodic, None), answer(self._planned, []), self._now, infos
        )

    def _put_together(self) -> NamespaceSnapshot:
        answer, workers = self._pipeline.answer, self._workers.stats(self._now)
        orphans = self._workers.orphans(workers)
        self._queues.note(self._names_of_workers(workers))
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
            periodic=None if answer(self._periodic, None) is None else self._periodic_tasks(workers),
            failed=answer(self._failed, None),
            lost=replies.lost(self._pipeline, answer(self._lost, ())),
            server=replies.server((answer(fact, None) for fact in self._facts), self._skew),
        )
        if self._workers.is_readable:
            snapshot = replace(
                snapshot,
                running=sum(one.running or 0 for one in workers) + sum(one.running for one in orphans),
                reserved=sum(worker.reserved or 0 for worker in workers),
                exact=not self._workers.is_cut and all(worker.runs_this_package for worker in workers),
            )
        return self._finished(self._with_totals(snapshot))

    def _connected(self, workers: list[WorkerStats]) -> int | None:
        if self._session.connection.is_cluster:  # a node counts only its own subscribers
            return sum(worker.state not in ("silent", "dead") for worker in workers)
        return self._workers.connected()

    def _overdue_seconds(self, overdue: int | None) -> float | None:
        first = pairs(self._pipeline.answer(self._next, []))
        if overdue is None or (overdue and not first):
            return None
        if not overdue:
            return 0.0
        due = parse_number(first[0][1])
        return None if due is None else max(0.0, self._now - due)

    def _limits_read(self) -> tuple[LimitStats, ...] | None:
        limited = self._pipeline.answer(self._limits, None)
        taken = self._pipeline.answer(self._slots, None)
        return None if limited is None else replies.limits(self._pipeline, limited, taken)

    def _with_totals(self, snapshot: NamespaceSnapshot) -> NamespaceSnapshot:
        counters = self._pipeline.answer(self._counters, None)
        if counters is not None:
            totals, lost, trimmed, folded = replies.counters(counters)
            self._tasks_are_cut = self._tasks_are_cut or folded > 0 or replies.is_cut(counters)
            recent = self._recent.counts(totals)
            snapshot = replace(
                snapshot, counters=totals, recent=recent, workers_lost=lost, trimmed=trimmed,
                failing=self._failing(),
            )  # fmt: skip
        histograms = self._pipeline.answer(self._histograms, None)
        if histograms is not None:
            waits, runs = replies.histograms(histograms)
            snapshot = replace(snapshot, waits=waits, runs=runs)
        return snapshot

    def _failing(self) -> tuple[FailureGroup, ...] | None:
        found: list[Any] = [self._pipeline.answer(groups, None) for groups in self._groups]
        if not found or None in found:
            return None
        failed, erring = (reply[1] for reply in found)
        return tuple(FailureGroup.merged(groups_of(failed), erring_groups(erring)))

    def _finished(self, snapshot: NamespaceSnapshot) -> NamespaceSnapshot:
        pages = (self._pipeline.answer(page, None) for page in (self._periodic, self._limits))
        cut = {
            "queues": self._queues.is_cut,
            "workers": self._workers.is_cut,
            "tasks": self._tasks_are_cut or any(map(replies.is_cut, pages)),
        }
        pipeline, wanted = self._pipeline, self._pages.pages()
        seconds = self._session.clock.elapsed() - self._began
        return replace(
            snapshot,
            truncated=tuple(name for name, is_cut in cut.items() if is_cut),
            errors=tuple(pipeline.errors),
            pages=wanted,
            costs=Costs(pipeline.round_trips, pipeline.commands, seconds),
        )
