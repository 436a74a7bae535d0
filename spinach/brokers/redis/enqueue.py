"""Scheduling: puts each job into Redis once, even when a reply is lost; `exchange` says how."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...exc import BrokerError
from ...job import Job, JobStatus
from ...stats import Tally
from . import scripts
from .connection import Argument, ConnectionLost, RedisUnavailable, RedisUncertain
from .counter_fields import count_arguments
from .session import Session

# Bounds the server's work per call: some milliseconds.
CHUNK_JOBS: Final = 5_000
CHUNK_BYTES: Final = 16 * 1024 * 1024
# Redis refuses larger strings (512 MB with all that surrounds them); the error comes before anything is sent.
_MAX_JOB_BYTES: Final = 256 * 1024 * 1024
# Before the first repetition; it doubles with each.
_FIRST_PAUSE_SECONDS: Final = 0.1

_Queue = scripts.ENQUEUE.record("queue")
_Dated = scripts.ENQUEUE.record("dated")


class _CallSequence:
    """Numbers of calls that follow one another. The server remembers the last: so it knows a repeated call.

    Two threads that call at the same time use two sequences.
    """

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
        self._sequences: deque[_CallSequence] = deque()

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """See `Broker.enqueue`."""
        accepted = 0
        for chunk in _chunks(jobs, self._session.clock.now()):
            try:
                self._enqueue_chunk(chunk)
            except BrokerError as error:
                error.accepted = accepted
                if accepted:
                    error.args = (
                        f"of {len(jobs)} jobs the first {accepted} were accepted; the call with the next "
                        f"{len(chunk)} failed, and no further one was sent: {error}",
                    )
                raise
            accepted += len(chunk)

    def _enqueue_chunk(self, chunk: list[tuple[Job, str]]) -> None:
        sequence = self._free_sequence()
        sequence.number += 1
        dated = [(job, text) for job, text in chunk if job.status is JobStatus.WAITING]
        reply = self._send(sequence, chunk, dated)
        self._sequences.append(sequence)
        knew_time = self._session.clock.follows_server
        now = self._session.observe_time(reply)
        for job, _ in chunk:
            job.status = JobStatus.QUEUED
            if not knew_time:
                job.enqueued_at = now
        for (job, _), status in zip(dated, reply[2:], strict=True):
            job.status = JobStatus(status)

    def _free_sequence(self) -> _CallSequence:
        try:
            sequence = self._sequences.popleft()
        except IndexError:
            return _CallSequence()
        # A forked child must not repeat its parent's call numbers.
        return sequence if sequence.process == os.getpid() else _CallSequence()

    def _send(
        self, sequence: _CallSequence, chunk: list[tuple[Job, str]], dated: list[tuple[Job, str]]
    ) -> list[Any]:
        texts: dict[str, list[str]] = {}
        tally = Tally()
        for job, text in chunk:
            of_queue = texts.setdefault(job.queue, [])
            tally.count(job.queue, job.task_name, "enqueued")
            if job.status is not JobStatus.WAITING:
                of_queue.append(text)
        keys = self._session.keys
        numbers, queues = keys.numbered_queues(texts)
        counts = count_arguments(tally)
        records: list[Argument] = []
        for name, of_queue in texts.items():
            records += _Queue(name=name, texts=len(of_queue))
            records += of_queue
        for job, text in dated:
            records += _Dated(queue=numbers[job.queue], due=f"{job.due_timestamp:.6f}", text=text)
        named: dict[str, Argument] = {
            "producer": keys.producer(sequence.id), "call_number": sequence.number,
            "queue_count": len(texts), "dated_count": len(dated), "count_pairs": len(counts) // 2,
            "stamps": int(not self._session.clock.follows_server),
        }  # fmt: skip
        records += counts
        return self._repeat(
            lambda: self._session.run(scripts.ENQUEUE, more_keys=queues, records=records, **named)
        )

    def _repeat(self, call: Callable[[], list[Any]]) -> list[Any]:
        """Call, and call again with the same number while the server cannot be reached."""
        sent = False
        for attempt in range(self._retries + 1):
            if attempt:
                pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
                time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, not a secret
            try:
                return call()
            except RedisUnavailable as error:
                last = error
                sent = sent or isinstance(error, ConnectionLost)
        tried = f"after {self._retries + 1} attempts"
        if sent:
            raise RedisUncertain(
                f"the jobs may or may not have been accepted, {tried}: {last}; scheduling them again may run "
                "them twice",
                kind=last.kind,
            ) from last
        raise RedisUnavailable(f"the jobs were not accepted, {tried}: {last}", kind=last.kind) from last


def _chunks(jobs: Sequence[Job], now: float) -> list[list[tuple[Job, str]]]:
    """Return jobs with their texts, in pieces for one call each.

    All texts are written before the first is sent: one that cannot be written stops the whole batch.
    """
    chunks: list[list[tuple[Job, str]]] = []
    size = CHUNK_BYTES
    for job in jobs:
        text = job.text(job.status, now)
        if len(text) > _MAX_JOB_BYTES:
            raise ValueError(f"{job} takes {len(text)} bytes, more than the {_MAX_JOB_BYTES} a job may have")
        if size + len(text) > CHUNK_BYTES or len(chunks[-1]) >= CHUNK_JOBS:
            chunks.append([])
            size = 0
        job.enqueued_at = now
        chunks[-1].append((job, text))
        size += len(text)
    return chunks
