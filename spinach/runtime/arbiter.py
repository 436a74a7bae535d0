"""The arbiter: fetches jobs for the workers, hands in their results, and runs the timers.

It owns the worker's side of every job from the claim to the acknowledgement. It never runs a job and never
blocks a worker: workers hand in results with `report`, from any thread, without a lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..brokers.base import Broker, Exchange
from ..exc import LeaseRevoked, UnknownTask
from ..execution import Attempt
from ..job import Job
from ..logger import SafeLogger
from ..retry import Verdict
from ..stats import MAX_LONGEST, RunningJob, Tally
from ..task import Tasks
from ..worker import BaseWorkers
from .lease import Lease
from .notifier import ResultNotifier
from .prefetch import NOTHING, ClaimAhead
from .service import Service
from .timers import Timers

logger = SafeLogger(__name__)

# Jobs that wait here for a slot are given back after so long without progress: another worker may be free.
_GIVE_BACK_SECONDS: Final = 0.15
# How often the arbiter checks for that while jobs wait here.
_CHECK_WAITING_SECONDS: Final = 0.05
# The pause before the next attempt to read a queue whose key holds a foreign type.
_QUEUE_ERROR_SECONDS: Final = 2.0
# How often a worker that ends with its queue checks whether jobs blocked by a limit may run.
_CHECK_DRAINED_SECONDS: Final = 0.1


class Arbiter(Service):
    """Moves jobs between the broker and the workers of one engine.

    Args:
        broker: Where jobs come from.
        workers: Run the jobs.
        notifier: Takes the attempts that did not succeed.
        tasks: The engine's registry; tasks attached later count, too.
        queue: Queue to serve.
        on_revoked: Called with the worker id that was declared dead.
        on_drained: Called once the queue is empty and nothing runs, when given.

    Attributes:
        fetched: How many jobs the broker handed out to this worker since the start.
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
        super().__init__(broker.namespace, "arbiter", on_revoked)
        self._broker = broker
        self._workers = workers
        self._notifier = notifier
        self._tasks = tasks
        self._queue = queue
        self._on_drained = on_drained
        self._timers = Timers(broker)
        self._claim_ahead = ClaimAhead(workers.num_workers)
        self._lease = Lease(broker.worker_id)
        self._ended: deque[Attempt] = deque()
        self._busy = 0  # handed to the workers and not ended, under any lease
        self._wake_at_backlog = 0  # fetch more once no more jobs than this wait for a slot
        self._last_progress = 0.0
        self._queue_error = ""
        self._closing = False
        self._closed = threading.Event()
        self.fetched = 0

    # --- called by others ------------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """How many jobs run here."""
        return min(self._busy, self._workers.num_workers)

    def longest(self) -> list[RunningJob]:
        """Return the jobs that run here for longest, as far as a heartbeat names them."""
        return self._lease.longest(min(MAX_LONGEST, self._workers.num_workers))

    @property
    def unacknowledged(self) -> int:
        """How many ended attempts the broker has not confirmed."""
        unanswered = self._lease.unanswered
        return len(self._ended) + (len(unanswered.done) if unanswered is not None else 0)

    def report(self, attempt: Attempt) -> None:
        """Take a finished attempt; called in the worker's thread."""
        self._ended.append(attempt)
        if self._workers.backlog() <= self._wake_at_backlog:
            self.wake()

    def on_notification(self) -> None:
        """Check queue and timers soon: something happened in the namespace."""
        self._timers.run_soon()
        self.wake()

    def close(self, timeout_seconds: float) -> None:
        """Fetch no more and give back what did not start; acknowledgements go on.

        Returns once no further job will be handed to the workers, or after the timeout.
        """
        self._closing = True
        self.wake()
        self._closed.wait(timeout_seconds)

    def flush(self) -> None:
        """Hand in all results; called after the workers stopped and the thread was joined.

        Raises:
            BrokerUnavailable: the broker has not confirmed all results.
        """
        while self._ended or self._lease.unanswered or self._lease.has_unstarted:
            try:
                self._exchange()
                self._give_back_unstarted()
            except LeaseRevoked:
                self._replace_lease()

    # --- the duty --------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Exchange jobs, give back those that wait too long, run the timers, then end or pause."""
        if self._lease.worker_id != self._broker.worker_id:
            self._replace_lease()
        if self._closing:
            return self._closing_tick()
        may_fetch_more = self._exchange()
        self._give_back_waiting()
        released = self._timers.run_when_due()
        if may_fetch_more or released or self._ended:
            return 0.0
        self._end_when_drained()
        return self._pause()

    def _closing_tick(self) -> float | None:
        self._exchange()
        self._give_back_unstarted()
        self._closed.set()
        return 0.0 if self._ended else None

    # --- step 1: exchange ------------------------------------------------------------------------

    def _exchange(self) -> bool:
        """Hand in results and receive jobs; return whether there may be more to fetch at once."""
        lease = self._lease
        exchange = lease.unanswered or self._next_exchange()
        if exchange is None:
            return False
        lease.unanswered = exchange
        delivery = self._broker.exchange(exchange)
        lease.unanswered = None
        self._log_queue_error(delivery.error)
        lease.reserved = lease.reserved[len(exchange.starting) :] + self._with_functions(delivery.reserved)
        self._start([*exchange.starting, *self._with_functions(delivery.claimed)])
        self.fetched += len(delivery.claimed) + len(delivery.reserved)
        return delivery.full

    def _next_exchange(self) -> Exchange | None:
        """Return what to tell the broker and to ask for, None when there is neither."""
        done, tally = self._collect_results()
        request = NOTHING
        if not self._closing:
            request = self._claim_ahead.next_request(self._lease.reserved, self._busy)
        self._wake_at_backlog = self._claim_ahead.limit // 2
        if not (done or tally or request.starting or request.free_slots or request.claim_ahead):
            return None
        worker_id = self._lease.worker_id
        return Exchange(self._queue, done, *request, tally=tally, worker_id=worker_id, held=self._held_jobs)

    def _held_jobs(self) -> list[Job]:
        return [*self._lease.jobs, *self._notifier.unsettled(self._lease.worker_id)]

    def _collect_results(self) -> tuple[list[Job], Tally]:
        """Return the jobs that succeeded, and counts of all; the notifier gets the other attempts."""
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
            if not self._lease.end(job):
                logger.warning("Result of %s is void: its worker was declared dead meanwhile", job)
                continue
            tally.observe(job.queue, wait_seconds=attempt.queue_wait, run_seconds=attempt.duration)
            if attempt.outcome is not None and attempt.outcome.verdict is Verdict.SUCCEEDED:
                done.append(job)
                tally.count(job.queue, job.task_name, "succeeded")
            else:
                self._notifier.submit(attempt, self._lease.worker_id)
        if jobs:
            self._claim_ahead.observe(jobs, run_seconds)
            self._last_progress = self._broker.clock.elapsed()
        return done, tally

    def _with_functions(self, jobs: list[Job]) -> list[Job]:
        """Give each job its task's function; the notifier gets the jobs of unknown tasks."""
        known = []
        for job in jobs:
            try:
                job.task_func = self._tasks.get(job.task_name).func
            except UnknownTask as error:
                self._notifier.refuse(job, error, self._lease.worker_id)
            else:
                known.append(job)
        return known

    def _start(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        if self._closing:  # the call was under way when the stop began: the next tick gives them back
            self._lease.reserved += jobs
            return
        self._lease.start(jobs, self._broker.clock.now())
        self._busy += len(jobs)
        self._last_progress = self._broker.clock.elapsed()
        self._workers.submit(jobs)

    # --- step 2: give back -----------------------------------------------------------------------

    def _give_back_waiting(self) -> None:
        """Give back jobs that wait here behind long ones, so that a free worker may run them."""
        self._send_returning()
        if not (self._workers.backlog() or self._lease.reserved):
            return
        if self._broker.clock.elapsed() - self._last_progress < _GIVE_BACK_SECONDS:
            return
        self._claim_ahead.forget()
        self._give_back_unstarted()

    def _give_back_unstarted(self) -> None:
        reclaimed = self._workers.reclaim()
        self._busy -= len(reclaimed)
        self._lease.return_unstarted(reclaimed)
        self._send_returning()

    def _send_returning(self) -> None:
        lease = self._lease
        if lease.returning:
            self._broker.give_back(lease.returning, worker_id=lease.worker_id)
            lease.returning = []

    def _replace_lease(self) -> None:
        """Drop what is held: the lease was revoked, and other workers may have the jobs now."""
        self._busy -= len(self._workers.reclaim())
        self._lease = Lease(self._broker.worker_id)

    # --- step 3, the timers, is in `timers`; step 4: end when drained, or pause ------------------

    def _end_when_drained(self) -> None:
        if self._on_drained is None or self._busy or self._lease.has_unstarted or not self._notifier.idle:
            return
        if self._broker.is_queue_empty(self._queue):
            self._on_drained()

    def _pause(self) -> float:
        pause = self._timers.seconds_left
        if self._workers.backlog() or self._lease.has_unstarted:
            pause = min(pause, _CHECK_WAITING_SECONDS)
        if self._queue_error:
            pause = min(pause, _QUEUE_ERROR_SECONDS)
        if self._on_drained is not None:
            pause = min(pause, _CHECK_DRAINED_SECONDS)
        return pause

    def _log_queue_error(self, error: str) -> None:
        if error and error != self._queue_error:
            logger.error("Queue %r cannot be read: %s", self._queue, error, extra={"action": "queue_error"})
        self._queue_error = error
