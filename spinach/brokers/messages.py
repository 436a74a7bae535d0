"""The arguments and results of the broker contract's verbs. Values only: nothing here calls a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..job import Job
from ..retry import Verdict
from ..stats import AttemptError, FailedJob, RunningJob, Tally, WorkerInfo

# Called after each round trip: operation, seconds, and the error it ended with, if any.
RequestObserver = Callable[[str, float, Exception | None], None]


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """What a worker announces about itself when it joins.

    Attributes:
        queue: The queue it serves.
        slots: How many jobs it runs at once.
        kind: Name of its workers class.
        task_names: Tasks it can run.
        announced: Further facts, read again at each heartbeat.
    """

    queue: str
    slots: int
    kind: str = ""
    task_names: tuple[str, ...] = ()
    announced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What changes about a worker from heartbeat to heartbeat.

    Attributes:
        state: ``starting``, ``running``, ``stopping``, or ``blocked``: a job blocks the event loop, and no
            other job runs. Reserved, not produced yet: ``quiet``, for a worker that takes no new jobs.
        busy: Jobs it runs now.
        fetched: Jobs it has fetched since its start.
        longest: The jobs that it has run for longest, at most `MAX_LONGEST`, the longest first.
    """

    state: str = "running"
    busy: int = 0
    fetched: int = 0
    longest: Sequence[RunningJob] = ()


@dataclass(slots=True)
class Exchange:
    """One call of a worker: acknowledge jobs that are done, start reserved jobs, ask for more.

    Attributes:
        queue: The queue to fetch from.
        done: Jobs that succeeded.
        starting: Jobs reserved by earlier calls that now start.
        free_slots: How many slots run no job. Only a free slot gets a job that is on its last allowed attempt
            or whose task has a concurrency limit: such a job has to start at once.
        claim_ahead: How many jobs may be claimed beyond `free_slots`; only jobs that may be repeated.
        reserve_ahead: How many more jobs may be reserved; only jobs that may be repeated.
        tally: Counts to add.
        worker_id: The worker that holds the jobs named here; by default the present one.
        held: Returns the jobs that the worker holds, those that ended and are not settled included; asked
            only when a reply was lost, to find out what the exchange brought.
    """

    queue: str
    done: Sequence[Job] = ()
    starting: Sequence[Job] = ()
    free_slots: int = 0
    claim_ahead: int = 0
    reserve_ahead: int = 0
    tally: Tally = field(default_factory=Tally)
    worker_id: str = ""
    held: Callable[[], Iterable[Job]] = tuple

    def is_filled_by(self, delivery: Delivery) -> bool:
        """Return whether a delivery brings as many jobs as this exchange asks for, and at least one.

        Args:
            delivery: The reply to this exchange.
        """
        wanted = self.free_slots + self.claim_ahead + self.reserve_ahead
        return len(delivery.claimed) + len(delivery.reserved) >= max(1, wanted)


@dataclass(slots=True)
class Delivery:
    """The reply to an `Exchange`.

    Attributes:
        claimed: Jobs that may start now.
        reserved: Jobs held for this worker; they start only after a later call named them as `starting`.
        error: Why the queue could not be read, empty when it could. What was handed in is applied anyway.
        full: Whether the worker got as many jobs as it asked for: the queue may hold more for it now.
    """

    claimed: list[Job] = field(default_factory=list)
    reserved: list[Job] = field(default_factory=list)
    error: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of an attempt that did not succeed.

    Attributes:
        job: The job; for a retry its `at`, `retries` and `headers` are already those of the next attempt.
        verdict: RETRIED or FAILED.
        failure: The dead letter to keep (FAILED), else None.
        error: What the attempt ended with, None where it is not known.
    """

    job: Job
    verdict: Verdict
    failure: FailedJob | None = None
    error: AttemptError | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """Jobs that became due.

    Attributes:
        jobs: Those that were moved to their queues.
        next_at: Epoch seconds at which the next job is due; None where none is planned.
    """

    jobs: list[Job] = field(default_factory=list)
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done about one dead worker.

    Attributes:
        worker: The dead one.
        requeued: Its jobs that are back in their queues.
        failed: Its jobs that must not be repeated, now dead letters.
        declared: Whether this call declared it dead; False when it continued what another worker began.
    """

    worker: WorkerInfo
    requeued: list[Job]
    failed: list[Job]
    declared: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """How the broker answers.

    Attributes:
        answered_seconds: Seconds since it last answered a thread of this process.
        asking: Identifiers of the threads that wait for an answer now.
    """

    answered_seconds: float = 0.0
    asking: frozenset[int] = frozenset()


class Subscription(Protocol):
    """Receives notifications of a namespace: something changed, ask again."""

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for a notification.

        Args:
            timeout_seconds: How long to wait at most.

        Returns:
            Whether there was one.

        Raises:
            BrokerUnavailable: The connection broke.
        """

    def close(self) -> None:
        """Stop listening."""
