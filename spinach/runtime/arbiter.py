"""The arbiter: fetches jobs for the workers, hands in what they finished, and keeps time.

It owns the worker's side of every job from the claim to the acknowledgement. It never runs a job and never
blocks a worker: results come in by `report`, from any thread, without a lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from logging import getLogger
from typing import Final

from ..brokers.base import Broker, Exchange
from ..exc import LeaseRevoked, UnknownTask
from ..execution import Attempt
from ..job import Job, JobStatus
from ..retry import Verdict
from ..stats import Tally
from ..task import Tasks
from ..worker import BaseWorkers
from .notifier import ResultNotifier
from .prefetch import Pace, startable
from .service import Service
from .timers import Timers

logger = getLogger(__name__)

# Jobs held here for so long without progress are given to whoever is free.
_STALL_SECONDS: Final = 0.15
_POLL_WHILE_HOLDING_SECONDS: Final = 0.05
# A queue that cannot be read (foreign type) is looked at again after this time.
_QUEUE_ERROR_SECONDS: Final = 2.0
# A worker that ends with its queue looks so often whether jobs blocked by a limit may run.
_POLL_UNTIL_DRAINED_SECONDS: Final = 0.1


class Arbiter(Service):
    """Moves jobs between the broker and the workers of one engine.

    Args:
        broker: Where jobs come from.
        workers: Who runs them.
        notifier: Takes the attempts that did not succeed.
        tasks: The engine's registry; tasks attached later are seen.
        queue: Queue to serve.
        on_revoked: Called with the worker id that was declared dead.
        on_drained: Called once the queue is empty and nothing runs, when given.
    """

    duty = "arbiter"

    def __init__(
        self,
        *,
        broker: Broker,
        workers: BaseWorkers,
        notifier: ResultNotifier,
        tasks: Tasks,
        queue: str,
        on_revoked: Callable[[str], None],
        on_drained: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(f"{broker.namespace}-arbiter", on_revoked)
        self._broker = broker
        self._workers = workers
        self._notifier = notifier
        self._tasks = tasks
        self._queue = queue
        self._on_drained = on_drained
        self._pace = Pace(workers.num_workers)
        self._ended: deque[Attempt] = deque()
        self._held: dict[int, Job] = {}  # claimed under the present lease, by identity
        self._reserved: list[Job] = []
        self._returning: list[Job] = []  # given back; a lost reply may hide that they are another's already
        self._busy = 0  # handed to the workers and not ended, under whatever lease
        self._low_water = 0  # a backlog this small asks for more
        self._pending: Exchange | None = None  # sent, not answered
        self._closing = False
        self._closed = threading.Event()
        self._last_progress = 0.0
        self._timers = Timers(broker)
        self._lease = broker.worker_id  # under which jobs are held
        self._queue_error = ""
        self.fetched = 0

    # --- called by others ------------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """How many jobs run here."""
        return min(self._busy, self._workers.num_workers)

    @property
    def unacknowledged(self) -> int:
        """How many attempts ended of which the broker has not heard."""
        pending = self._pending
        return len(self._ended) + (len(pending.done) if pending is not None else 0)

    def report(self, attempt: Attempt) -> None:
        """Take a finished attempt; called in the worker's thread."""
        self._ended.append(attempt)
        if self._workers.backlog() <= self._low_water:
            self.wake()

    def hear_news(self) -> None:
        """Look again at queue and timers: something happened in the namespace."""
        self._timers.hear_news()
        self.wake()

    def close(self, timeout_seconds: float) -> None:
        """Fetch no more and give back what did not start; acknowledgements go on.

        Returns once no further job will be handed to the workers, or after the timeout.
        """
        self._closing = True
        self.wake()
        self._closed.wait(timeout_seconds)

    def flush(self) -> None:
        """Hand in what ended; called after the workers stopped and the thread was joined.

        Raises:
            BrokerUnavailable: results are still here.
        """
        while self._ended or self._pending or self._reserved or self._returning:
            try:
                self._exchange()
                self._give_back(self._workers.reclaim() + self._reserved)
            except LeaseRevoked:
                self._abandon()

    # --- the duty --------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Exchange with the broker, then look at the timers when they are due."""
        if self._lease != self._broker.worker_id:
            self._abandon()
        closing = self._closing
        full = self._exchange()
        if closing:
            self._give_back(self._workers.reclaim() + self._reserved)
            self._closed.set()
            return 0.0 if self._ended else None
        self._give_back_stalled()
        if self._timers.run_when_due() or full or self._ended:
            return 0.0
        self._end_when_drained()
        return self._pause()

    def _exchange(self) -> bool:
        """Hand in, claim and fetch; return whether there may be more to fetch at once."""
        exchange = self._pending or self._next_exchange()
        if exchange is None:
            return False
        self._pending = exchange
        delivery = self._broker.exchange(exchange)
        self._pending = None
        self._note_queue_error(delivery.error)
        self._reserved = self._reserved[len(exchange.starting) :] + self._known(delivery.reserved)
        self._start([*exchange.starting, *self._known(delivery.claimed)])
        fetched = len(delivery.claimed) + len(delivery.reserved)
        self.fetched += fetched
        return fetched > 0 and fetched >= exchange.free_slots + exchange.claim_ahead + exchange.reserve_ahead

    def _next_exchange(self) -> Exchange | None:
        done, tally = self._collect()
        free_slots = claim_ahead = reserve_ahead = 0
        starting: list[Job] = []
        if not self._closing:
            allowed = self._pace.allowance()
            free_slots = max(0, self._workers.num_workers - self._busy)
            claim_ahead = max(0, self._workers.num_workers + allowed.claim_ahead - self._busy - free_slots)
            starting, free_slots, claim_ahead = startable(self._reserved, free_slots, claim_ahead)
            reserve_ahead = max(0, allowed.reserve_ahead - (len(self._reserved) - len(starting)))
            self._low_water = allowed.claim_ahead // 2
        if not (done or tally or starting or free_slots or claim_ahead):
            return None
        return Exchange(
            self._queue,
            done,
            starting,
            free_slots,
            claim_ahead,
            reserve_ahead,
            tally,
            self._lease,
            self._jobs_held,
        )

    def _jobs_held(self) -> list[Job]:
        unsettled = self._notifier.unsettled(self._lease)
        return [*self._held.values(), *self._reserved, *self._returning, *unsettled]

    def _collect(self) -> tuple[list[Job], Tally]:
        """Take in what ended: successes to be acknowledged, the rest to the notifier."""
        done: list[Job] = []
        tally = Tally()
        run_seconds = 0.0
        jobs = 0
        while self._ended:
            attempt = self._ended.popleft()
            job = attempt.job
            jobs += 1
            self._busy -= 1
            run_seconds += attempt.duration
            if self._held.pop(id(job), None) is None:
                logger.warning("Result of %s is void: its worker was declared dead meanwhile", job)
                continue
            tally.observe(job.queue, wait_seconds=attempt.queue_wait, run_seconds=attempt.duration)
            if attempt.outcome is not None and attempt.outcome.verdict is Verdict.SUCCEEDED:
                done.append(job)
                tally.count(job.queue, job.task_name, "succeeded")
            else:
                self._notifier.submit(attempt, self._lease)
        if jobs:
            self._pace.observe(jobs, run_seconds)
            self._last_progress = self._broker.clock.elapsed()
        return done, tally

    def _known(self, jobs: list[Job]) -> list[Job]:
        """Give each job its function; those without one are settled."""
        known = []
        for job in jobs:
            try:
                job.task_func = self._tasks.get(job.task_name).func
            except UnknownTask as error:
                self._notifier.refuse(job, error, self._lease)
            else:
                known.append(job)
        return known

    def _start(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        if self._closing:  # claimed by a call that was under way: given back unstarted
            self._reserved += jobs
            return
        for job in jobs:
            job.status = JobStatus.RUNNING
            self._held[id(job)] = job
        self._busy += len(jobs)
        self._last_progress = self._broker.clock.elapsed()
        self._workers.submit(jobs)

    # --- giving back -----------------------------------------------------------------------------

    def _give_back_stalled(self) -> None:
        """Give back what waits here behind long jobs, so that an idle worker elsewhere may run it."""
        if self._returning:
            self._give_back([])
        if not (self._workers.backlog() or self._reserved):
            return
        if self._broker.clock.elapsed() - self._last_progress < _STALL_SECONDS:
            return
        self._pace.stall()
        self._give_back(self._workers.reclaim() + self._reserved)

    def _give_back(self, jobs: list[Job]) -> None:
        reclaimed = [job for job in jobs if self._held.pop(id(job), None) is not None]
        self._busy -= len(reclaimed)
        self._reserved = []
        self._returning += jobs
        if self._returning:
            self._broker.give_back(self._returning, worker_id=self._lease)
            self._returning = []

    def _abandon(self) -> None:
        """Forget what is held: the lease was revoked, the jobs are others' now."""
        self._busy -= len(self._workers.reclaim())
        self._held = {}
        self._reserved = []
        self._returning = []
        self._pending = None
        self._lease = self._broker.worker_id

    # --- waiting -----------------------------------------------------------------------------------

    def _pause(self) -> float:
        pause = self._timers.seconds_left
        if self._workers.backlog() or self._reserved or self._returning:
            pause = min(pause, _POLL_WHILE_HOLDING_SECONDS)
        if self._queue_error:
            pause = min(pause, _QUEUE_ERROR_SECONDS)
        if self._on_drained is not None:
            pause = min(pause, _POLL_UNTIL_DRAINED_SECONDS)
        return pause

    def _end_when_drained(self) -> None:
        if (
            self._on_drained is None
            or self._busy
            or self._reserved
            or self._returning
            or not self._notifier.idle
        ):
            return
        if self._broker.is_queue_empty(self._queue):
            self._on_drained()

    def _note_queue_error(self, error: str) -> None:
        if error and error != self._queue_error:
            logger.error("Queue %r cannot be read: %s", self._queue, error, extra={"action": "queue_error"})
        self._queue_error = error
