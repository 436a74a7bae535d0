"""The worker's side: claim, acknowledge, settle, give back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...codec import quote
from ...exc import LeaseRevoked, MalformedJob, WrongKeyType
from ...job import Job, JobStatus
from ...retry import Verdict
from ...stats import Tally
from .. import dead_letters
from ..base import Delivery, Exchange, Settlement
from . import scripts
from .connection import Argument, pairs
from .counter_fields import count_arguments, counter_field, group_field, histogram_arguments
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
        worker_id = exchange.worker_id or self._session.worker_id
        if exchange is not self._unanswered:  # else the same call again, under the same number
            self._number += 1
            self._unanswered = exchange
            for job in exchange.starting:
                if job.status is not JobStatus.RUNNING:  # else it was claimed, and counted, before
                    exchange.tally.count(job.queue, job.task_name, "started")
        keys = self._exchange_keys(worker_id, exchange.queue)
        try:
            reply = self._session.run(scripts.EXCHANGE, keys, *self._arguments(worker_id, exchange))
        except WrongKeyType:
            self._heal(worker_id)
            raise
        if reply == b"revoked":
            self._unanswered = None
            raise LeaseRevoked(worker_id)
        delivery = (
            self._redelivery(worker_id, exchange) if reply == b"again" else self._delivery(worker_id, reply)
        )
        self._unanswered = None
        delivery.full = exchange.is_filled_by(delivery)
        return delivery

    def _heal(self, worker_id: str) -> None:
        """Remove foreign types from the keys of this worker alone, where nobody's data can be."""
        keys, connection = self._session.keys, self._session.connection
        for key in (keys.running(worker_id), keys.reserved(worker_id)):
            if connection.call("TYPE", key) not in (b"hash", b"none", "hash", "none"):
                connection.call("DEL", key)

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
            worker_id, self._number, exchange.free_slots, exchange.claim_ahead, exchange.reserve_ahead,
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
            claimed=self._readable(worker_id, ((raw, None) for raw in claimed), JobStatus.RUNNING),
            reserved=self._readable(worker_id, pairs(reserved), JobStatus.QUEUED),
            error=error.decode(errors="replace"),
        )

    def _redelivery(self, worker_id: str, exchange: Exchange) -> Delivery:
        """Return what an exchange brought whose reply was lost: what is held and was not held before."""
        keys = self._session.keys
        # Asked first: what is settled between the two looks must not seem new.
        known = {(job.held_as.encode(), job._mark) for job in exchange.held()}
        running, reserves = self._session.connection.read(
            ("HGETALL", keys.running(worker_id)), ("HKEYS", keys.reserved(worker_id))
        )
        reserved = set() if isinstance(reserves, Exception) else set(reserves)
        fresh = [(raw, field) for field, raw in pairs(running) if (field, _mark_of(raw)) not in known]
        claimed = [entry for entry in fresh if entry[1] not in reserved]
        return Delivery(
            claimed=self._readable(worker_id, claimed, JobStatus.RUNNING),
            reserved=self._readable(worker_id, (e for e in fresh if e[1] in reserved), JobStatus.QUEUED),
        )

    def _readable(
        self, worker_id: str, entries: Iterable[tuple[bytes, bytes | None]], status: JobStatus
    ) -> list[Job]:
        """Return the jobs of held texts; set aside those that are none."""
        jobs = []
        for raw, field in entries:
            try:
                job = decoded(raw)
            except MalformedJob as error:
                self._set_aside_held(worker_id, raw, field, error)
                continue
            if field is not None and field.decode(errors="replace") != str(job.id):
                job._field = field.decode(errors="replace")
            job._mark = _mark_of(raw)
            job.status = status
            jobs.append(job)
        return jobs

    def _set_aside_held(self, worker_id: str, raw: bytes, field: bytes | None, error: MalformedJob) -> None:
        """Move a held text that is no job from the running hash to the dead letters."""
        key = self._session.keys.running(worker_id)
        for held, text in pairs(self._session.connection.call("HGETALL", key)):
            if held == field or (field is None and _same_but_status(text, raw)):
                self._session.set_aside(key, "hash", held, error, raw, text)

    # --- settle ----------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement], tally: Tally, worker_id: str) -> None:
        """See `Broker.settle`."""
        moves = [self._move_of(settlement) for settlement in settlements]
        reply = self.move(worker_id, "own", moves, tally)
        for settlement, placed in zip(settlements, reply, strict=True):
            if placed:
                settlement.job.status = JobStatus(placed)

    def _move_of(self, settlement: Settlement) -> Move:
        job, letter = settlement.job, settlement.failure
        if settlement.verdict is Verdict.FAILED and letter is not None:
            return Move(
                job, "fail", dead_letters.to_record(letter), expected=job._mark, letter_id=letter.id,
                group=group_field(letter.task_name, letter.error_type),
                message=letter.message[:_SAMPLE_CHARACTERS],
            )  # fmt: skip
        now = self._session.clock.now()
        job.enqueued_at = now
        return Move(job, "date", job.text(JobStatus.WAITING, now), expected=job._mark, due=job.due_timestamp)

    def give_back(self, jobs: Sequence[Job], worker_id: str) -> None:
        """See `Broker.give_back`."""
        now = self._session.clock.now()
        moves = []
        # Each goes to the head, so the first in order goes last.
        for job in reversed(jobs):
            job.enqueued_at = now
            started = counter_field(job.queue, job.task_name, "started")
            text = job.text(JobStatus.QUEUED, now)
            moves.append(Move(job, "head", text, expected=job._mark, group=started))
        self.move(worker_id, "own", moves, Tally())
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
            WrongKeyType: jobs that have to wait cannot; the others were moved.
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
        if -1 in reply:
            raise WrongKeyType(
                f"{keys.future} holds another type, not waiting jobs; what has to wait there stays where it is "
                "until that key is gone"
            )
        return list(reply)


class Move:
    """What becomes of one running entry.

    Args:
        job: The job.
        kind: ``push``, ``head``, ``date`` or ``fail``.
        text: Its new text, or the record of its dead letter.
        expected: The text that must stand there; of a worker's own job its beginning, empty for whatever does.
        due: Epoch seconds, for ``date``.
        letter_id: Id of the dead letter.
        group: Failure group it counts in; for ``head`` the counter that took it for started.
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


def _mark_of(raw: bytes) -> bytes:
    """Return the part of a stored text that differs each time it is handed out, and not with its status.

    A reply that was lost is asked for again, and by then the job may have run and be here once more.
    """
    end = raw.find(b'"status"')
    return raw if end < 0 else raw[:end]


def _same_but_status(text: bytes, raw: bytes) -> bool:
    """Whether a held text is the raw one, but for its patched status digit."""
    return len(text) == len(raw) and sum(map(int.__ne__, text, raw)) <= 1
