"""The worker's side: claim, acknowledge, settle, give back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...codec import quote
from ...exc import LeaseRevoked, MalformedJob
from ...job import Job, JobStatus
from ...retry import Verdict
from ...stats import Tally
from ..base import Delivery, Exchange, Settlement
from . import letters, scripts
from .counting import count_arguments, group_field, histogram_arguments
from .link import Argument, pairs
from .session import Session, decoded

# The head of a failure's message is what a list of failure groups shows.
_SAMPLE_CHARACTERS: Final = 200


class Work:
    """What a registered worker does with its jobs.

    Args:
        session: The broker's session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._number = 0
        self._unanswered: Exchange | None = None

    # --- exchange --------------------------------------------------------------------------------

    def exchange(self, exchange: Exchange) -> Delivery:
        """See `Broker.exchange`."""
        worker_id = self._session.worker_id
        if exchange is not self._unanswered:  # else the same call again, under the same number
            self._number += 1
            self._unanswered = exchange
            for job in exchange.starting:
                exchange.tally.count(job.queue, job.task_name, "started")
        reply = self._session.run(
            scripts.EXCHANGE,
            self._exchange_keys(worker_id, exchange.queue),
            *self._arguments(worker_id, exchange),
        )
        if reply == b"revoked":
            self._unanswered = None
            raise LeaseRevoked(worker_id)
        delivery = (
            self._redelivery(worker_id, exchange) if reply == b"again" else self._delivery(worker_id, reply)
        )
        self._unanswered = None
        return delivery

    def _exchange_keys(self, worker_id: str, queue: str) -> list[str]:
        keys = self._session.keys
        return [
            keys.brokers, keys.running(worker_id), keys.reserved(worker_id), keys.queue(queue),
            keys.limits, keys.slots_taken, keys.counters, self._session.minute_key, keys.histograms,
        ]  # fmt: skip

    def _arguments(self, worker_id: str, exchange: Exchange) -> list[Argument]:
        counts = count_arguments(exchange.tally)
        increments = histogram_arguments(exchange.tally)
        arguments: list[Argument] = [
            worker_id, self._number, exchange.room, exchange.extra, exchange.prefetch,
            self._session.keys.notifications, quote(exchange.queue),
            len(exchange.done), len(exchange.starting), len(counts) // 2, len(increments) // 2,
        ]  # fmt: skip
        for job in exchange.done:
            arguments += (job.held_as, job.task_name)
        arguments += [job.held_as for job in exchange.starting]
        return arguments + counts + increments

    def _delivery(self, worker_id: str, reply: list[Any]) -> Delivery:
        claimed, reserved, error = reply
        return Delivery(
            claimed=list(self._readable(worker_id, ((raw, None) for raw in claimed))),
            reserved=list(self._readable(worker_id, pairs(reserved))),
            error=error.decode(errors="replace"),
        )

    def _redelivery(self, worker_id: str, exchange: Exchange) -> Delivery:
        """Return what an exchange brought whose reply was lost: what is held and was not held before."""
        keys = self._session.keys
        running, marks = self._session.link.read(
            ("HGETALL", keys.running(worker_id)), ("HKEYS", keys.reserved(worker_id))
        )
        reserved = set() if isinstance(marks, Exception) else set(marks)
        known = {held.encode() for held in exchange.held()}
        fresh = [(raw, field) for field, raw in pairs(running) if field not in known]
        return Delivery(
            claimed=list(self._readable(worker_id, (entry for entry in fresh if entry[1] not in reserved))),
            reserved=list(self._readable(worker_id, (entry for entry in fresh if entry[1] in reserved))),
        )

    def _readable(self, worker_id: str, entries: Iterable[tuple[bytes, bytes | None]]) -> Iterable[Job]:
        """Yield the jobs of held texts; set aside those that are none."""
        for raw, field in entries:
            try:
                job = decoded(raw)
            except MalformedJob as error:
                self._set_aside_held(worker_id, raw, field, error)
                continue
            if field is not None and field.decode(errors="replace") != str(job.id):
                job._field = field.decode(errors="replace")
            job.status = JobStatus.QUEUED
            yield job

    def _set_aside_held(self, worker_id: str, raw: bytes, field: bytes | None, error: MalformedJob) -> None:
        """Move a held text that is no job from the running hash to the dead letters."""
        key = self._session.keys.running(worker_id)
        for held, text in pairs(self._session.link.call("HGETALL", key)):
            if held == field or (field is None and _same_but_status(text, raw)):
                self._session.set_aside(key, "hash", held, error, text)

    # --- settle ----------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement], tally: Tally) -> None:
        """See `Broker.settle`."""
        moves = [self._move_of(settlement) for settlement in settlements]
        reply = self.move(self._session.worker_id, "own", moves, tally)
        for settlement, placed in zip(settlements, reply, strict=True):
            if placed:
                settlement.job.status = JobStatus(placed)

    def _move_of(self, settlement: Settlement) -> Move:
        job, letter = settlement.job, settlement.failure
        if settlement.verdict is Verdict.FAILED and letter is not None:
            return Move(
                job, "fail", letters.to_record(letter), letter_id=letter.id,
                group=group_field(letter.task_name, letter.error_type),
                message=letter.message[:_SAMPLE_CHARACTERS],
            )  # fmt: skip
        now = self._session.clock.now()
        job.enqueued_at = now
        return Move(job, "date", job.text(JobStatus.WAITING, now), due=job.due_timestamp)

    def give_back(self, jobs: Sequence[Job]) -> None:
        """See `Broker.give_back`."""
        now = self._session.clock.now()
        moves = []
        # Each goes to the head, so the first in order goes last.
        for job in reversed(jobs):
            job.enqueued_at = now
            moves.append(Move(job, "head", job.text(JobStatus.QUEUED, now)))
        self.move(self._session.worker_id, "own", moves, Tally())
        for job in jobs:
            job.status = JobStatus.QUEUED

    def move(self, worker_id: str, whose: str, moves: Sequence[Move], tally: Tally) -> list[int]:
        """End running entries of a worker; see `lua/settle.lua`.

        Args:
            worker_id: Whose entries.
            whose: ``own`` or ``dead``.
            moves: What becomes of each.
            tally: Counts to add.

        Raises:
            LeaseRevoked: the worker is ours and not registered, or dead and registered.
        """
        keys = self._session.keys
        index, queues = keys.numbered_queues(move.job.queue for move in moves)
        call_keys = [
            keys.brokers, keys.running(worker_id), keys.reserved(worker_id), keys.future, keys.limits,
            keys.slots_taken, keys.failed, keys.failed_data, keys.failure_groups, keys.counters,
            self._session.minute_key, keys.brokers_seen, *queues,
        ]  # fmt: skip
        counts = count_arguments(tally)
        arguments: list[Argument] = [worker_id, whose, keys.notifications, len(moves), len(counts) // 2]
        for move in moves:
            arguments += move.arguments(index[move.job.queue])
        reply = self._session.run(scripts.SETTLE, call_keys, *arguments, *counts)
        if isinstance(reply, bytes):
            raise LeaseRevoked(worker_id)
        return list(reply)


class Move:
    """What becomes of one running entry.

    Args:
        job: The job.
        kind: ``push``, ``head``, ``date`` or ``fail``.
        text: Its new text, or the record of its dead letter.
        expected: The text that must stand there, empty for whatever does.
        due: Epoch seconds, for ``date``.
        letter_id: Id of the dead letter.
        group: Failure group it counts in.
        message: Sample for the group.
    """

    __slots__ = ("due", "expected", "group", "job", "kind", "letter_id", "message", "text")

    def __init__(
        self,
        job: Job,
        kind: str,
        text: str | bytes,
        *,
        expected: bytes = b"",
        due: float = 0.0,
        letter_id: str = "",
        group: str = "",
        message: str = "",
    ) -> None:
        self.job = job
        self.kind = kind
        self.text = text
        self.expected = expected
        self.due = due
        self.letter_id = letter_id
        self.group = group
        self.message = message

    def arguments(self, queue_index: int) -> tuple[Argument, ...]:
        """Return the move as the script takes it."""
        return (
            self.job.held_as, self.expected, self.kind, self.job.task_name, queue_index,
            f"{self.due:.6f}", self.text, self.letter_id, self.group, self.message.encode("utf-8", "replace"),
        )  # fmt: skip


def _same_but_status(text: bytes, raw: bytes) -> bool:
    """Whether a held text is the raw one, but for its patched status digit."""
    return len(text) == len(raw) and sum(map(int.__ne__, text, raw)) <= 1
