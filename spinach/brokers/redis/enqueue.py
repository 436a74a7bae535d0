"""The producer's side: jobs to their queues, once, even when a reply is lost."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from ...job import Job, JobStatus
from ...stats import Tally
from . import keys, scripts
from .connection import Argument, ConnectionLost, RedisUnavailable, RedisUncertain
from .counter_fields import count_arguments
from .session import Session

# Bounds the server's work per call; a call of this size takes it some milliseconds.
_CHUNK_JOBS: Final = 5_000
_CHUNK_BYTES: Final = 16 * 1024 * 1024
# Redis refuses larger strings; said before anything is sent.
_MAX_JOB_BYTES: Final = 256 * 1024 * 1024
_FIRST_PAUSE_SECONDS: Final = 0.1


class _Lane:
    """A sequence of enqueue calls, one at a time, so that the last one can be recognised when repeated."""

    __slots__ = ("id", "number", "process")

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.number = 0
        self.process = os.getpid()


class Producer:
    """Enqueues jobs in a namespace.

    Args:
        session: The broker's session.
        retries: How often a call is repeated while the server cannot be reached.
    """

    def __init__(self, session: Session, retries: int) -> None:
        self._session = session
        self._retries = retries
        self._lanes: deque[_Lane] = deque()

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """See `Broker.enqueue`."""
        for chunk in _chunks(jobs, self._session.clock.now()):
            self._enqueue_chunk(chunk)

    def _enqueue_chunk(self, chunk: list[tuple[Job, str]]) -> None:
        lane = self._free_lane()
        lane.number += 1
        call_keys, arguments, dated = self._arguments(lane, chunk)
        reply = self._call(call_keys, arguments)
        self._lanes.append(lane)
        self._session.observe_time(reply)
        for job, _ in chunk:
            job.status = JobStatus.QUEUED
        for job, status in zip(dated, reply[2:], strict=True):
            job.status = JobStatus(status)

    def _free_lane(self) -> _Lane:
        try:
            lane = self._lanes.popleft()
        except IndexError:
            return _Lane()
        # A forked child must not repeat its parent's call numbers.
        return lane if lane.process == os.getpid() else _Lane()

    def _arguments(
        self, lane: _Lane, chunk: list[tuple[Job, str]]
    ) -> tuple[list[str], list[Argument], list[Job]]:
        session = self._session
        by_queue: dict[str, list[str]] = {}
        dated: list[tuple[Job, str]] = []
        tally = Tally()
        for job, text in chunk:
            texts = by_queue.setdefault(job.queue, [])
            tally.count(job.queue, job.task_name, "enqueued")
            if job.status is JobStatus.WAITING:
                dated.append((job, text))
            else:
                texts.append(text)
        index = {name: position for position, name in enumerate(by_queue, 1)}
        counts = count_arguments(tally)
        arguments: list[Argument] = [
            lane.number, keys.PRODUCER_TTL_SECONDS, session.keys.notifications,
            len(by_queue), len(dated), len(counts) // 2,
        ]  # fmt: skip
        for name, texts in by_queue.items():
            arguments += (name, len(texts), *texts)
        for job, text in dated:
            arguments += (index[job.queue], f"{job.due_timestamp:.6f}", text)
        call_keys = [
            session.keys.future, session.keys.producer(lane.id), session.keys.queues,
            session.keys.counters, session.minute_key,
            *map(session.keys.queue, by_queue),
        ]  # fmt: skip
        return call_keys, arguments + counts, [job for job, _ in dated]

    def _call(self, call_keys: list[str], arguments: list[Argument]) -> list[Any]:
        """Call, and call again with the same number while the server cannot be reached."""
        sent = False
        for attempt in range(self._retries + 1):
            if attempt:
                pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
                time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, not a secret
            try:
                reply: list[Any] = self._session.run(scripts.ENQUEUE, call_keys, *arguments)
            except RedisUnavailable as error:
                last = error
                sent = sent or isinstance(error, ConnectionLost)
            else:
                return reply
        tried = f"after {self._retries + 1} attempts"
        if sent:
            raise RedisUncertain(
                f"the jobs may or may not have been accepted, {tried}: {last}; scheduling them again may run "
                "them twice"
            ) from last
        raise RedisUnavailable(f"the jobs were not accepted, {tried}: {last}") from last


def _chunks(jobs: Sequence[Job], now: float) -> list[list[tuple[Job, str]]]:
    """Return jobs with their texts in pieces that one call may carry; all texts first, so that a bad one stops all."""
    chunks: list[list[tuple[Job, str]]] = []
    size = _CHUNK_BYTES
    for job in jobs:
        text = job.text(job.status, now)
        if len(text) > _MAX_JOB_BYTES:
            raise ValueError(f"{job} takes {len(text)} bytes, more than the {_MAX_JOB_BYTES} a job may have")
        if size + len(text) > _CHUNK_BYTES or len(chunks[-1]) >= _CHUNK_JOBS:
            chunks.append([])
            size = 0
        job.enqueued_at = now
        chunks[-1].append((job, text))
        size += len(text)
    return chunks
