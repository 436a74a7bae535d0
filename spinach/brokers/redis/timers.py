"""What happens by the clock: waiting jobs that become due, and periodic tasks."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterable
from typing import Any, Final

from ...clock import to_datetime
from ...exc import MalformedJob
from ...job import Job, JobStatus
from ...origin import Origin, mark
from ...schedule import next_run
from ...stats.workers import is_abandoned
from ...task import Task
from .. import dead_letters
from ..limits import MAX_PROMOTED
from ..messages import Due
from . import scripts
from .connection import Argument, pairs
from .counter_fields import counter_field
from .recovery import read_registry
from .session import Session

# Old producers write scores up to a second after the date.
_OLD_SCORE_SECONDS: Final = 1.0
# Bounds one call of the script; the next call runs the others.
_MAX_PERIODIC_RUNS: Final = 500
# How long a worker that found no worker for a periodic task waits before it checks again.
_ABANDONED_SECONDS: Final = 60.0
# What `timedelta` can hold, and what a job's text can.
_MAX_PERIOD_SECONDS: Final = 86_400 * 999_999_999
_MAX_RETRIES: Final = 2**53

_Promoted = scripts.PROMOTE.record("job")
_PeriodicRun = scripts.RUN_PERIODIC.record("task")
_RegisteredTask = scripts.REGISTER.record("task")


class Timers:
    """Promotes waiting jobs and runs periodic tasks.

    Args:
        session: The broker's session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._registered: dict[str, Task] = {}
        self._planned: dict[str, float] = {}
        self._abandoned_until: dict[str, float] = {}

    # --- waiting jobs ------------------------------------------------------------------------------

    def promote(self) -> Due:
        """See `Broker.promote`."""
        session, key = self._session, self._session.keys.future
        horizon = session.clock.now() + _OLD_SCORE_SECONDS
        time, page, later = session.connection.read(
            ("TIME",),
            ("ZRANGEBYSCORE", key, "-inf", f"{horizon:.6f}", "LIMIT", 0, MAX_PROMOTED),
            ("ZRANGEBYSCORE", key, f"({horizon:.6f}", "+inf", "WITHSCORES", "LIMIT", 0, 1),
        )
        for reply in (time, page, later):
            if isinstance(reply, Exception):
                raise session.connection.translated(reply)
        now = session.observe_time(time)
        due, upcoming = self._split(page, now)
        moved = self._push(due) if due else []
        upcoming += [float(score) - _OLD_SCORE_SECONDS for _, score in pairs(later)]
        if len(page) == MAX_PROMOTED and due:
            upcoming.append(now)
        return Due(moved, min(upcoming, default=None))

    def _split(self, page: Iterable[bytes], now: float) -> tuple[list[tuple[bytes, Job]], list[float]]:
        """Return the jobs that are due, and the dates of the others."""
        due, upcoming = [], []
        for raw in page:
            try:
                job = Job.deserialize(raw)
            except MalformedJob as error:
                session, place = self._session, dead_letters.WAITING_JOBS
                session.set_aside(session.keys.future, place, kind="zset", member=raw, error=error, raw=raw)
                continue
            # The date decides, not the score, which old producers round.
            if job.due_timestamp <= now:
                due.append((raw, job))
            else:
                upcoming.append(job.due_timestamp)
        return due, upcoming

    def _push(self, due: list[tuple[bytes, Job]]) -> list[Job]:
        numbers, queues = self._session.keys.numbered_queues(job.queue for _, job in due)
        records: list[Argument] = []
        for raw, job in due:
            counter = counter_field(job.queue, job.task_name, "promoted")
            records += _Promoted(text=raw, queue=numbers[job.queue], counter=counter)
        reply = self._session.run(scripts.PROMOTE, jobs=len(due), more_keys=queues, records=records)
        moved = []
        for (_, job), done in zip(due, reply, strict=True):
            if done == 1:
                job.status = JobStatus.QUEUED
                moved.append(job)
            elif done == -1:
                self._report_foreign_queue(job.queue)
        return moved

    def _report_foreign_queue(self, queue: str) -> None:
        self._session.report_once(
            f"jobs wait for queue {queue!r}, but its key {self._session.keys.queue(queue)!r} "
            "holds another type"
        )

    # --- periodic tasks ----------------------------------------------------------------------------

    def run_periodic(self) -> Due:
        """See `Broker.run_periodic`."""
        session, keys = self._session, self._session.keys
        horizon = f"{session.clock.now():.6f}"
        time, ready, later = session.connection.read(
            ("TIME",),
            (
                "ZRANGEBYSCORE",
                keys.periodic_queue,
                "-inf",
                horizon,
                "WITHSCORES",
                "LIMIT",
                0,
                _MAX_PERIODIC_RUNS,
            ),
            ("ZRANGEBYSCORE", keys.periodic_queue, f"({horizon}", "+inf", "WITHSCORES", "LIMIT", 0, 1),
        )
        for reply in (time, ready, later):
            if isinstance(reply, Exception):
                raise session.connection.translated(reply)
        now = session.observe_time(time)
        upcoming = [float(score) for _, score in pairs(later)]
        planned = [(name, float(score)) for name, score in pairs(ready) if float(score) <= now]
        jobs = self._push_periodic(planned, now) if planned else []
        upcoming += [self._planned[job.task_name] for job in jobs]
        return Due(jobs, min(upcoming, default=None))

    def _without_abandoned(
        self, runs: list[tuple[dict[str, Any], float]]
    ) -> list[tuple[dict[str, Any], float]]:
        """Leave out tasks that no worker can run: each job would become a dead letter.

        Their runs stay planned: when a worker that can run the task starts, it schedules the missed run.
        """
        session, elapsed = self._session, self._session.clock.elapsed()
        unknown = {task["name"] for task, _ in runs} - self._registered.keys()
        unchecked = {name for name in unknown if elapsed >= self._abandoned_until.get(name, 0.0)}
        if unchecked:
            entries = session.connection.call("HGETALL", session.keys.brokers)
            workers = [worker.info for worker in read_registry(entries, []).values()]
            for name in unchecked:
                self._abandoned_until.pop(name, None)
                if is_abandoned(name, workers):
                    self._abandoned_until[name] = elapsed + _ABANDONED_SECONDS
                    session.report_once(
                        f"periodic task {name!r} is due, and no worker of {session.keys.namespace!r} can "
                        "run it: it is not scheduled. Start a worker that has the task, or remove the task: "
                        f"spinach-ops periodic --remove {shlex.quote(name)}",
                        level=logging.WARNING,
                    )
        abandoned = unknown & self._abandoned_until.keys()
        return [(task, score) for task, score in runs if task["name"] not in abandoned]

    def remove_periodic(self, task_name: str) -> bool:
        """See `Broker.remove_periodic_task`."""
        keys = self._session.keys
        removed, _ = self._session.connection.read(
            ("HDEL", keys.periodic_tasks, task_name), ("ZREM", keys.periodic_queue, task_name)
        )
        if isinstance(removed, Exception):
            raise self._session.connection.translated(removed)
        return bool(removed)

    def _push_periodic(self, planned: list[tuple[bytes, float]], now: float) -> list[Job]:
        keys = self._session.keys
        texts = self._session.connection.call("HMGET", keys.periodic_tasks, *(name for name, _ in planned))
        runs = []
        for (name, score), text in zip(planned, texts, strict=True):
            task = self._readable_task(name, text)
            if task is not None:
                runs.append((task, score))
        runs = self._without_abandoned(runs)
        if not runs:
            return []
        numbers, queues = keys.numbered_queues(task["queue"] for task, _ in runs)
        jobs = [_job_of(task, now) for task, _ in runs]
        records: list[Argument] = []
        for (task, score), job in zip(runs, jobs, strict=True):
            following = next_run(score, task["periodicity"], now)
            self._planned[job.task_name] = following
            records += _PeriodicRun(
                name=job.task_name, planned=repr(score), following=repr(following),
                queue=numbers[job.queue], queue_name=job.queue, text=job.text(JobStatus.QUEUED, now),
                counter=counter_field(job.queue, job.task_name, "enqueued"),
            )  # fmt: skip
        reply = self._session.run(scripts.RUN_PERIODIC, tasks=len(runs), more_keys=queues, records=records)
        for job, done in zip(jobs, reply, strict=True):
            if done == -1:
                self._report_foreign_queue(job.queue)
        return [job for job, done in zip(jobs, reply, strict=True) if done == 1]

    def _readable_task(self, name: bytes, text: bytes | None) -> dict[str, Any] | None:
        """Return a registered task. Set a malformed one aside: it would stop old workers for good."""
        keys = self._session.keys
        if text is None:
            self._session.connection.call("ZREM", keys.periodic_queue, name)
            return None
        try:
            return _parse_task(name, text)
        except MalformedJob as error:
            place = dead_letters.PERIODIC_TASKS
            self._session.set_aside(
                keys.periodic_tasks, place, kind="hash", member=name, error=error, raw=text
            )
            self._session.connection.call("ZREM", keys.periodic_queue, name)
            return None

    def inspect(self) -> list[tuple[int, str]]:
        """See `Broker.inspect_periodic_tasks`."""
        planned = pairs(
            self._session.connection.call("ZRANGE", self._session.keys.periodic_queue, 0, -1, "WITHSCORES")
        )
        return [(int(float(score)), name.decode(errors="replace")) for name, score in planned]

    # --- registration ------------------------------------------------------------------------------

    def register(self, tasks: Iterable[Task]) -> None:
        """See `Broker.register`."""
        registered = {task.name: task for task in tasks}
        self._registered.update(registered)
        if registered:
            self._register(list(registered.values()))

    def register_missing(self) -> None:
        """Register again what old workers removed: they delete periodic tasks and limits they do not know."""
        keys = self._session.keys
        periodic = [task for task in self._registered.values() if task.periodicity is not None]
        limited = [task for task in self._registered.values() if task.max_concurrency is not None]
        missing: list[Task] = []
        for key, tasks in ((keys.periodic_tasks, periodic), (keys.limits, limited)):
            if tasks:
                known = self._session.connection.read(("HMGET", key, *(task.name for task in tasks)))[0]
                absent = isinstance(known, BaseException)
                missing += [task for i, task in enumerate(tasks) if absent or known[i] is None]
        if missing:
            self._register(missing)

    def _register(self, tasks: list[Task]) -> None:
        records: list[Argument] = []
        for task in tasks:
            planned = self._planned.get(task.name)
            records += _RegisteredTask(
                name=task.name, text=_task_text(task), period=task.period_seconds or "",
                limit=task.max_concurrency or "", planned="" if planned is None else repr(planned),
            )  # fmt: skip
        self._session.run(scripts.REGISTER, tasks=len(tasks), records=records)

    @property
    def has_limits(self) -> bool:
        """Whether this worker's tasks have concurrency limits."""
        return any(task.max_concurrency is not None for task in self._registered.values())


def _task_text(task: Task) -> str:
    return json.dumps(
        {
            "max_concurrency": task.max_concurrency or -1,
            "max_retries": task.max_retries,
            "name": task.name,
            "periodicity": task.period_seconds,
            "queue": task.queue,
        },
        sort_keys=True,
    )


def _parse_task(field: bytes, text: bytes) -> dict[str, Any]:
    try:
        task = json.loads(text)
        period, retries = task["periodicity"], task["max_retries"]
        usable = type(period) is int and 1 <= period <= _MAX_PERIOD_SECONDS
        usable = usable and type(retries) is int and 0 <= retries <= _MAX_RETRIES
        # Planned under one name and run under another, its next run would never be planned.
        usable = usable and task["name"].encode() == field and task["queue"].encode() != b""
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise MalformedJob(f"not a periodic task: {error!r}") from None
    if not usable:
        raise MalformedJob(f"not a periodic task with a period of 1 second or more: {text[:200]!r}")
    return dict(task)


def _job_of(task: dict[str, Any], now: float) -> Job:
    job = Job(task["name"], task["queue"], to_datetime(now), task["max_retries"])
    job.status = JobStatus.QUEUED
    job.enqueued_at = now
    mark(job, Origin.PERIODIC)
    return job
