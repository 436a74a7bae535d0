"""The broker contract: where jobs are kept, and every verb by which they move.

Brokers store; they never emit signals, run tasks or decide on retries. Each verb is one transition, atomic
in the store, and safe to call again when its reply was lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from ..clock import Clock, ServerClock
from ..job import Job
from ..stats import FailedJob, FailureGroup, JobInfo, NamespaceSnapshot, Tally, Wanted
from ..task import Task
from ..validation import check_namespace
from .messages import (
    Contact,
    Delivery,
    Due,
    Exchange,
    Recovery,
    RequestObserver,
    Settlement,
    Subscription,
    WorkerProfile,
    WorkerState,
)

__all__ = [
    "Broker",
    "Contact",
    "Delivery",
    "Due",
    "Exchange",
    "Recovery",
    "RequestObserver",
    "Settlement",
    "Subscription",
    "WorkerProfile",
    "WorkerState",
]


class Broker(ABC):
    """Abstract base of brokers.

    One broker serves one engine. An engine that only schedules calls `start`, `enqueue` and `stop`; a worker
    also joins, exchanges and leaves.

    Args:
        clock: The clock of this machine, by default the system's; tests pass their own.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._namespace: str | None = None
        self.clock = ServerClock(clock)

    @property
    def namespace(self) -> str:
        """The namespace, set once by the engine.

        Raises:
            RuntimeError: It is not set yet, or set a second time to another name.
            InvalidNamespace: It is set to something that cannot be a namespace.
        """
        if self._namespace is None:
            raise RuntimeError("the broker has no namespace yet: give it to an Engine first")
        return self._namespace

    @namespace.setter
    def namespace(self, value: str) -> None:
        if self._namespace is not None and self._namespace != value:
            raise RuntimeError(
                f"the broker serves namespace {self._namespace!r}; make another one for {value!r}"
            )
        self._namespace = check_namespace(value)

    # --- the broker itself ---------------------------------------------------------------------

    def start(self) -> None:  # noqa: B027 - an optional hook
        """Get ready; the engine calls it before its first use and again after `stop`."""

    def stop(self) -> None:  # noqa: B027 - an optional hook
        """Close connections; `start` may follow."""

    def observe_requests(self, observer: RequestObserver | None) -> None:  # noqa: B027 - nothing to tell by default
        """Call an observer after every round trip to the store. There is one observer at a time.

        Args:
            observer: Called in the thread that waited for the reply, with the operation (name of a script or
                command), the seconds it took, and the error or None. None ends the observation.
        """

    def contact(self) -> Contact:
        """Return when the store last answered, and which threads wait for it now; for health checks."""
        return Contact()

    @abstractmethod
    def flush(self) -> None:
        """Delete everything in the namespace: jobs, dead letters, counters, registered workers."""

    # --- jobs ----------------------------------------------------------------------------------

    @abstractmethod
    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Accept jobs in order: all of them, or (beyond one chunk) a known number.

        Args:
            jobs: A job with status QUEUED goes to its queue at once. One with status WAITING waits for its
                `at`, by the broker's clock. On return the status says where each job is.

        Raises:
            BrokerUnavailable: No job was accepted.
            EnqueueUncertain: The reply was lost; the jobs may have been accepted.
            WrongKeyType: The key of a queue belongs to something else.
        """

    @abstractmethod
    def exchange(self, exchange: Exchange) -> Delivery:
        """Acknowledge, claim and fetch in one step. Malformed entries of the queue become dead letters.

        Args:
            exchange: What the worker has done, what it starts, and how many jobs it asks for.

        Returns:
            The jobs that the worker may start, and those that it holds in reserve.

        Raises:
            LeaseRevoked: This worker was declared dead; nothing was changed.
            BrokerUnavailable: The call may or may not have been applied; call again with the same exchange.
        """

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement], tally: Tally, *, worker_id: str = "") -> None:
        """Store the retries and dead letters of attempts that ended, and release their jobs.

        Args:
            settlements: The attempts. Jobs that the worker does not hold any more are skipped. On return the
                status of a retried job says where it is.
            tally: Counts to add.
            worker_id: The worker that claimed the jobs, by default the present one.

        Raises:
            LeaseRevoked: This worker was declared dead; nothing was changed.
        """

    @abstractmethod
    def give_back(self, jobs: Sequence[Job], *, worker_id: str = "") -> None:
        """Put jobs that did not start back at the head of their queue, in order, with the same retries.

        Args:
            jobs: The jobs.
            worker_id: The worker that holds the jobs, by default the present one.

        Raises:
            LeaseRevoked: This worker was declared dead; nothing was changed.
        """

    @abstractmethod
    def is_queue_empty(self, queue: str) -> bool:
        """Return whether no job is in a queue.

        Args:
            queue: The queue. Future and running jobs do not count.
        """

    # --- time ----------------------------------------------------------------------------------

    @abstractmethod
    def promote(self) -> Due:
        """Move waiting jobs that are due to their queues, a bounded number per call."""

    @abstractmethod
    def run_periodic(self) -> Due:
        """Push one job for every periodic task that is due."""

    @abstractmethod
    def register(self, tasks: Iterable[Task]) -> None:
        """Make periodic tasks and concurrency limits known. Those of other applications stay.

        Args:
            tasks: Tasks of this application; those with neither are ignored.
        """

    @abstractmethod
    def remove_periodic_task(self, task_name: str) -> bool:
        """Remove a periodic task, so that no further job of it is scheduled; return whether there was one.

        A worker that has the task registers it again when it starts.

        Args:
            task_name: The task.
        """

    @abstractmethod
    def inspect_periodic_tasks(self) -> list[tuple[int, str]]:
        """Return (next run in epoch seconds, task name) of each periodic task, soonest first."""

    # --- life ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def worker_id(self) -> str:
        """Id of this worker in the namespace, a new one at each `join`."""

    @abstractmethod
    def join(self, profile: WorkerProfile) -> None:
        """Register as a worker under a new id.

        Args:
            profile: What the worker announces about itself.
        """

    @abstractmethod
    def beat(self, state: WorkerState) -> None:
        """Send a heartbeat, and register again the tasks that old workers may have removed.

        Args:
            state: What the worker does now.

        Raises:
            LeaseRevoked: This worker was declared dead.
        """

    @abstractmethod
    def leave(self) -> None:
        """Unregister. Other workers recover the jobs that this one still holds."""

    @property
    @abstractmethod
    def heartbeat_seconds(self) -> float:
        """Seconds between heartbeats."""

    @abstractmethod
    def recover(self) -> list[Recovery]:
        """Look for dead workers, and recover the jobs they held."""

    @property
    @abstractmethod
    def recovery_check_seconds(self) -> float:
        """Seconds until the earliest moment at which a worker that is alive now can count as dead."""

    @abstractmethod
    def subscribe(self) -> Subscription:
        """Listen for the notifications of the namespace.

        Raises:
            NoNotifications: The broker can be reached, and cannot notify this client.
        """

    # --- inspection ----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the jobs are kept, to show to a person; without credentials."""
        return "the memory of this process"

    @property
    def endpoint(self) -> tuple[str, int | None] | None:
        """Host and port of the server, or path of its socket and None; None where there is no single one."""
        return None

    @abstractmethod
    def get_all_brokers(self) -> list[dict[str, Any]]:
        """Return the registered workers as they announced themselves."""

    @abstractmethod
    def failed_jobs(self, limit: int = 100) -> list[FailedJob]:
        """Return the newest dead letters, the latest first.

        Args:
            limit: How many at most.
        """

    @abstractmethod
    def failure_groups(self) -> list[FailureGroup]:
        """Return dead letters grouped by task and type of error, the latest group first."""

    @abstractmethod
    def queued_jobs(self, queue: str, limit: int = 100) -> list[JobInfo]:
        """Return the first jobs of a queue, malformed ones included.

        Args:
            queue: The queue.
            limit: How many at most.
        """

    @abstractmethod
    def running_jobs(self, worker_id: str, limit: int = 100) -> list[JobInfo]:
        """Return the jobs that a worker has claimed or reserved.

        Args:
            worker_id: The worker.
            limit: How many at most.
        """

    @abstractmethod
    def snapshot(
        self,
        *,
        known: NamespaceSnapshot | None = None,
        queues: Sequence[str] = (),
        totals: bool = True,
        discover: bool = False,
        wanted: Sequence[Wanted] = (),
    ) -> NamespaceSnapshot:
        """Return the state of the namespace now. Changes nothing: a user who may only read can call it.

        Args:
            known: The previous snapshot of the same namespace. It makes this one cheaper, and its markers are
                searched for.
            queues: Queues to read beside those in the namespace's index.
            totals: Whether to read counters and histograms.
            discover: Whether to search all keys for queues, in bounded steps: for a single poll of a
                namespace whose workers keep no index.
            wanted: Pages of details to read in the same round trips.

        Raises:
            BrokerUnavailable: The broker cannot be reached, or refuses (`NotPermitted`).
        """
