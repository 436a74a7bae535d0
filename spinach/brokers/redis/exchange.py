"""The jobs that a registered worker holds: it takes them, acknowledges them, settles them, gives them back.

It starts no job and decides on no retry. This module also says, for all verbs, what makes a lost reply
harmless: a connection may break after the server applied a call and before the reply arrived. The caller then
sends the call again, and no job may be lost, doubled, or counted twice.

- **Call numbers.** Each exchange has a number, one more than the one before. The script stores it, as `seq`
  in the hash of reserved jobs, together with everything else that it writes. The caller repeats an exchange
  by passing the same `Exchange` object, which is sent under the same number. If the server has stored this
  number, it applied the first call: it changes nothing and answers "again". Otherwise it applies the call
  now.
- **"Again".** This answer brings no jobs. The worker reads all jobs that it holds in Redis; those that it did
  not know of are what the first call brought. `Exchange.held` returns those it knows, ended but unsettled
  ones included.
- **Marks.** Meanwhile the same job may have run, failed, and been taken once more. So a held job is
  identified by its field and its mark: its text up to the status. Each time a job is pushed to a queue, that
  part changes.
- **Settling** needs no number. It changes only jobs that the worker still holds, under the mark that it
  knows. A repeated call finds them gone, leaves alone those that came back, and adds no counts where it ends
  no job.
- **Scheduling** has call numbers, too; there the broker repeats the call itself (`enqueue.Producer`).
- The other scripts say in their headers, at `Retry:`, why a second call does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...codec import quote
from ...exc import LeaseRevoked, MalformedJob, WrongKeyType
from ...job import Job, JobStatus
from ...retry import Verdict
from ...stats import FailedJob, Tally
from .. import dead_letters
from ..messages import Delivery, Exchange, Settlement
from . import scripts
from .connection import Argument, pairs
from .counter_fields import count_arguments, counter_field, error_arguments, histogram_arguments
from .session import Session, letter_arguments

_Done = scripts.EXCHANGE.record("done")
_Ending = scripts.SETTLE.record("job")


_STATUS: Final = re.compile(rb'("status": )\d')
_CLAIMED: Final = re.compile(rb'("status": )\d, "started_at": [\d.]+')


class HeldJobs:
    """What a registered worker does with the jobs it holds.

    Args:
        session: The broker's session.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._call_number = 0
        self._unanswered: Exchange | None = None

    # --- exchange --------------------------------------------------------------------------------

    def exchange(self, exchange: Exchange) -> Delivery:
        """See `Broker.exchange`."""
        worker_id = exchange.worker_id or self._session.worker_id
        if exchange is not self._unanswered:  # else it is the same call, under the same number
            self._call_number += 1
            self._unanswered = exchange
            for job in exchange.starting:
                if job.status is not JobStatus.RUNNING:  # else it was counted when it was claimed
                    exchange.tally.count(job.queue, job.task_name, "started")
        try:
            reply = self._send(worker_id, exchange)
        except WrongKeyType:
            self._drop_foreign(worker_id)
            raise
        if reply == b"revoked":
            self._unanswered = None
            raise LeaseRevoked(worker_id)
        delivery = (
            self._redelivery(worker_id, exchange) if reply == b"again" else self._delivery(worker_id, reply)
        )
        self._unanswered = None
        delivery.full = delivery.full or exchange.is_filled_by(delivery)
        return delivery

    def _send(self, worker_id: str, exchange: Exchange) -> Any:
        keys = self._session.keys
        counts, increments = count_arguments(exchange.tally), histogram_arguments(exchange.tally)
        records: list[Argument] = []
        for job in exchange.done:
            records += _Done(job.held_as, job.task_name)
        records += [job.held_as for job in exchange.starting]
        return self._session.run(
            scripts.EXCHANGE, worker_id=worker_id, call_number=self._call_number,
            running=keys.running(worker_id), reserved=keys.reserved(worker_id),
            queue=keys.queue(exchange.queue), parked=keys.parked(exchange.queue),
            queue_name=exchange.queue, queue_json=quote(exchange.queue),
            free_slots=exchange.free_slots, claim_ahead=exchange.claim_ahead,
            reserve_ahead=exchange.reserve_ahead,
            done_count=len(exchange.done), starting_count=len(exchange.starting),
            count_pairs=len(counts) // 2, histogram_pairs=len(increments) // 2,
            records=[*records, *counts, *increments],
        )  # fmt: skip

    def _drop_foreign(self, worker_id: str) -> None:
        """Remove foreign types from the keys of this worker alone: they hold no other's data."""
        keys, connection = self._session.keys, self._session.connection
        for key in (keys.running(worker_id), keys.reserved(worker_id)):
            if connection.call("TYPE", key) not in (b"hash", b"none", "hash", "none"):
                connection.call("DEL", key)

    def _delivery(self, worker_id: str, reply: list[Any]) -> Delivery:
        claimed, reserved, error, more = reply
        return Delivery(
            claimed=self._readable(worker_id, ((raw, None) for raw in claimed), JobStatus.RUNNING),
            reserved=self._readable(worker_id, pairs(reserved), JobStatus.QUEUED),
            error=error.decode(errors="replace"),
            full=bool(more),
        )

    def _redelivery(self, worker_id: str, exchange: Exchange) -> Delivery:
        """Return what an exchange brought whose reply was lost; see the module."""
        keys = self._session.keys
        # Ask the worker first: a job that it settles before the read below must not look like a new one.
        known = {(job.held_as.encode(), job._mark) for job in exchange.held()}
        running, reserves = self._session.connection.read(
            ("HGETALL", keys.running(worker_id)), ("HKEYS", keys.reserved(worker_id))
        )
        reserved = set() if isinstance(reserves, Exception) else set(reserves)
        brought = [(raw, field) for field, raw in pairs(running) if (field, _mark_of(raw)) not in known]
        claimed = [entry for entry in brought if entry[1] not in reserved]
        return Delivery(
            claimed=self._readable(worker_id, claimed, JobStatus.RUNNING),
            reserved=self._readable(worker_id, (e for e in brought if e[1] in reserved), JobStatus.QUEUED),
        )

    def _readable(
        self, worker_id: str, entries: Iterable[tuple[bytes, bytes | None]], status: JobStatus
    ) -> list[Job]:
        """Return the jobs of held texts; set aside texts that are malformed."""
        jobs = []
        for raw, field in entries:
            try:
                job = Job.deserialize(raw)
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
        """Move a held text that is malformed from the running hash to the dead letters."""
        key = self._session.keys.running(worker_id)
        for held, text in pairs(self._session.connection.call("HGETALL", key)):
            if held == field or (field is None and _same_but_status(text, raw)):
                place = dead_letters.jobs_of(worker_id)
                self._session.set_aside(key, place, kind="hash", member=held, error=error, raw=raw, held=text)

    # --- settle ----------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement], tally: Tally, worker_id: str) -> None:
        """See `Broker.settle`."""
        endings = [self._ending_of(settlement) for settlement in settlements]
        reply = self.end(worker_id, "own", endings, tally)
        for settlement, status in zip(settlements, reply, strict=True):
            if status:
                settlement.job.status = JobStatus(status)

    def _ending_of(self, settlement: Settlement) -> Ending:
        job, letter = settlement.job, settlement.failure
        if settlement.verdict is Verdict.FAILED and letter is not None:
            return Ending.failed(job, letter, job._mark)
        job.enqueued_at = now = self._session.clock.now()
        return Ending(job, "date", job.text(JobStatus.WAITING, now), job._mark)

    def give_back(self, jobs: Sequence[Job], worker_id: str) -> None:
        """See `Broker.give_back`."""
        now = self._session.clock.now()
        endings = []
        # Each goes to the head of the queue, so the first in order goes last.
        for job in reversed(jobs):
            job.enqueued_at = now
            started = counter_field(job.queue, job.task_name, "started")
            endings.append(Ending(job, "head", job.text(JobStatus.QUEUED, now), job._mark, started))
        self.end(worker_id, "own", endings, Tally())
        for job in jobs:
            job.status = JobStatus.QUEUED

    def end(self, worker_id: str, whose: str, endings: Sequence[Ending], tally: Tally) -> list[int]:
        """End running jobs of a worker; see `lua/settle.lua`.

        Args:
            worker_id: The worker that holds them.
            whose: ``own`` or ``dead``.
            endings: What becomes of each job.
            tally: Counts to add.

        Returns:
            The status of each job, 0 when it was not held.

        Raises:
            LeaseRevoked: the worker is this one and not registered, or dead and registered.
            WrongKeyType: jobs that have to wait cannot; the others were ended.
        """
        keys = self._session.keys
        numbers, queues = keys.numbered_queues(ending.job.queue for ending in endings)
        counts = count_arguments(tally)
        records: list[Argument] = []
        for ending in endings:
            records += ending.record(numbers[ending.job.queue])
        reply = self._session.run(
            scripts.SETTLE, worker_id=worker_id, whose=whose,
            running=keys.running(worker_id), reserved=keys.reserved(worker_id),
            jobs=len(endings), count_pairs=len(counts) // 2, errors=len(tally.errors),
            more_keys=queues, records=records + counts + error_arguments(tally),
        )  # fmt: skip
        if isinstance(reply, bytes):
            raise LeaseRevoked(worker_id)
        if -1 in reply:
            raise WrongKeyType(
                f"{keys.future} holds another type, not waiting jobs; jobs that have to wait there stay with "
                f"worker {worker_id} until you remove that key"
            )
        return list(reply)


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a job that a worker holds.

    Attributes:
        job: The job.
        kind: ``push``, ``head``, ``date`` or ``fail``.
        text: Its new text, or the record of its dead letter.
        expected: The text that must be held; of a worker's own job its mark, empty for any.
        counter: For ``head``, the counter that took the job for started.
        letter: What the script is told of a dead letter beside its record.
    """

    job: Job
    kind: str
    text: str | bytes
    expected: bytes
    counter: str = ""
    letter: Mapping[str, Argument] | None = None

    @classmethod
    def failed(cls, job: Job, letter: FailedJob, expected: bytes) -> Ending:
        """Return the ending of a job that becomes a dead letter."""
        return cls(job, "fail", dead_letters.to_record(letter), expected, letter=letter_arguments(letter))

    def record(self, queue_number: int) -> tuple[Argument, ...]:
        """Return the ending as the script takes it."""
        record: tuple[Argument, ...] = _Ending(
            held_as=self.job.held_as, expected=self.expected, kind=self.kind, task=self.job.task_name,
            queue=queue_number, due=f"{self.job.due_timestamp:.6f}", text=self.text,
            **(self.letter or {"letter_id": "", "group": self.counter, "message": ""}),
        )  # fmt: skip
        return record


def _mark_of(raw: bytes) -> bytes:
    """Return the mark of a stored text; see the module."""
    end = raw.find(b'"status"')
    return raw if end < 0 else raw[:end]


def _same_but_status(text: bytes, raw: bytes) -> bool:
    """Whether a held text is the raw one but for the status, behind which a claim writes its date."""
    held, digit = _CLAIMED.sub(rb"\g<1>", text, count=1), _STATUS.sub(rb"\g<1>", raw, count=1)
    return held == digit
