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

    One broker serves one engine. An engine that only schedules calls `start`, `enqueue` and `stop`;
    a worker also joins, exchanges and leaves.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._namespace: str | None = None
        self.clock = ServerClock(clock)

    @property
    def namespace(self) -> str:
        """The namespace, set once by the engine.

        Raises:
            RuntimeError: it is not set yet.
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

    def observe_requests(self, observer: RequestObserver | None) -> None:  # noqa: B027 - no round trips here
        """Call `observer` after every round trip from now on; it replaces an earlier one, None removes it.

        The thread that waited for the reply calls it, with an operation (a script's or command's name), seconds,
        and the error or None.
        """

    def contact(self) -> Contact:
        """Return when the store last answered this process, and which threads wait for it; for health checks."""
        return Contact()

    @abstractmethod
    def flush(self) -> None:
        """Delete everything in the namespace."""

    # --- jobs ----------------------------------------------------------------------------------

    @abstractmethod
    def enqueue(self, jobs: Sequence[Job]) -> None:
        """Accept jobs in order.

        A broker may take more jobs than one call can carry in several calls. `accepted` of an error says how many
        jobs the calls before the failed one took: always the first ones.

        A job with status QUEUED is pushed to its queue, whatever its date; one with status WAITING waits for its
        date by the broker's clock. On return `status` says where each job is.

        Raises:
            BrokerUnavailable: no further job was accepted.
            EnqueueUncertain: the jobs of the failed call may or may not have been accepted.
            WrongKeyType: a queue's key belongs to something else.
        """

    @abstractmethod
    def exchange(self, exchange: Exchange) -> Delivery:
        """Acknowledge, claim and reserve in one step.

        Malformed entries of the queue become dead letters.

        Raises:
            LeaseRevoked: this worker was declared dead; nothing was changed.
            BrokerUnavailable: call again with the same exchange.
        """

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement], tally: Tally, *, worker_id: str = "") -> None:
        """Store retries and dead letters of attempts that ended; the worker holds their jobs no longer.

        `worker_id` is the worker that claimed the jobs, by default the present one.

        Jobs that this worker does not hold any more are left alone. On return the status of a retried job says
        where it is.

        Raises:
            LeaseRevoked: this worker was declared dead; nothing was changed.
        """

    @abstractmethod
    def give_back(self, jobs: Sequence[Job], *, worker_id: str = "") -> None:
        """Put jobs that did not start back at the head of their queue, in order, retries untouched.

        `worker_id` is the worker that holds the jobs, by default the present one.

        Raises:
            LeaseRevoked: this worker was declared dead; nothing was changed.
        """

    @abstractmethod
    def is_queue_empty(self, queue: str) -> bool:
        """Return whether the queue has no job that may run."""

    # --- time ----------------------------------------------------------------------------------

    @abstractmethod
    def promote(self) -> Due:
        """Move waiting jobs that are due to their queues, a bounded page per call."""

    @abstractmethod
    def run_periodic(self) -> Due:
        """Push one job for every periodic task that is due."""

    @abstractmethod
    def register(self, tasks: Iterable[Task]) -> None:
        """Make periodic tasks and concurrency limits known; those of other applications stay."""

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
        """Register as a worker under a new id."""

    @abstractmethod
    def beat(self, state: WorkerState) -> None:
        """Say that this worker is alive, and register again the tasks that others removed.

        Raises:
            LeaseRevoked: this worker was declared dead.
        """

    @abstractmethod
    def leave(self) -> None:
        """Unregister; another worker recovers the jobs that this one still holds."""

    @property
    @abstractmethod
    def heartbeat_seconds(self) -> float:
        """Seconds between heartbeats."""

    @abstractmethod
    def recover(self) -> list[Recovery]:
        """Look for dead workers and take over what they held."""

    @property
    @abstractmethod
    def recovery_check_seconds(self) -> float:
        """Seconds until another worker may have died."""

    @abstractmethod
    def subscribe(self) -> Subscription:
        """Listen for notifications of the namespace."""

    # --- inspection ----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the jobs are kept, for a person; without credentials."""
        return "the memory of this process"

    @property
    def endpoint(self) -> tuple[str, int | None] | None:
        """Host and port of the server, a socket's path and None, or None where there is not one server."""
        return None

    @abstractmethod
    def get_all_brokers(self) -> list[dict[str, Any]]:
        """Return the registered workers as they announced themselves."""

    @abstractmethod
    def failed_jobs(self, limit: int = 100) -> list[FailedJob]:
        """Return the newest dead letters."""

    @abstractmethod
    def failure_groups(self) -> list[FailureGroup]:
        """Return what fails and since when, the latest first."""

    @abstractmethod
    def queued_jobs(self, queue: str, limit: int = 100) -> list[JobInfo]:
        """Return the first jobs of a queue; those that cannot be read, too."""

    @abstractmethod
    def running_jobs(self, worker_id: str, limit: int = 100) -> list[JobInfo]:
        """Return jobs that a worker holds, those it reserved included."""

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
        """Return what the namespace looks like now. Changes nothing, and needs no permission but to read.

        Args:
            known: The snapshot before, of the same namespace: it makes this one cheaper, and this one says where
                the last jobs of that one are now.
            queues: Names of queues to read, beside those that the namespace itself names.
            totals: Whether to read counters and histograms.
            discover: Whether to search all keys for queues, in bounded steps: for a single poll of a namespace
                whose workers keep no index of queues.
            wanted: Pages of jobs, dead letters or failure groups to read in the same calls.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or refuses (`NotPermitted`).
        """
