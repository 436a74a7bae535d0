"""The Redis broker: gives each verb of the contract to the module that does it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from inspect import iscoroutinefunction
from typing import Any, ClassVar

import redis

from ... import const
from ...clock import Clock
from ...exc import BrokerError
from ...job import Job
from ...stats import (
    DEFAULT_DEAD_AFTER_SECONDS,
    FailedJob,
    FailureGroup,
    JobInfo,
    NamespaceSnapshot,
    Tally,
    Wanted,
)
from ...task import Task
from ..base import (
    Broker,
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
from . import inspect
from .connection import Connection, pairs, value
from .enqueue import Producer
from .exchange import HeldJobs
from .keys import Keys
from .membership import Membership
from .recovery import Recoverer
from .session import Session
from .subscription import RedisSubscription
from .timers import Timers

# Longer than a slow server takes, short enough to notice a dead connection.
recommended_socket_opts: dict[str, Any] = {
    "socket_timeout": 15.0,
    "socket_connect_timeout": 5.0,
    "socket_keepalive": True,
}

_FLUSH_PAGE = 1000


class RedisBroker(Broker):
    """Keeps jobs in Redis or Valkey.

    Args:
        redis: A redis-py client; by default one to localhost:6379 with `recommended_socket_opts`.
        enqueue_job_max_retries: How often scheduling is repeated while the server cannot be reached; a
            repeated call never adds a job twice.
        clock: Gives the time until the server's time is known; the system's by default.

    Attributes:
        broker_dead_threshold_seconds: Seconds of silence after which other workers declare this one dead; it
            sends six heartbeats in that time.
        must_stop_periodicity: Kept for compatibility; stopping needs no polling.
    """

    broker_dead_threshold_seconds: ClassVar[float] = DEFAULT_DEAD_AFTER_SECONDS
    must_stop_periodicity: ClassVar[float] = 5

    def __init__(
        self,
        redis: redis.Redis | None = None,
        enqueue_job_max_retries: int = const.DEFAULT_ENQUEUE_JOB_RETRIES,
        *,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(clock=clock)
        self._redis = _checked(redis) if redis is not None else _default_client()
        self._retries = enqueue_job_max_retries

    @property
    def namespace(self) -> str:
        """The namespace, set once by the engine."""
        return Broker.namespace.fget(self)  # type: ignore[attr-defined, no-any-return]

    @namespace.setter
    def namespace(self, value: str) -> None:
        Broker.namespace.fset(self, value)  # type: ignore[attr-defined]
        keys = Keys(value)
        connection = Connection(self._redis, keys.brokers)
        if connection.is_cluster and not _has_hash_tag(value):
            raise BrokerError(
                f"on a cluster all keys of a namespace must be in one slot: name it {{{value}}}, not {value}"
            )
        self._session = Session(connection, keys, self.clock)
        self._producer = Producer(self._session, self._retries)
        self._held_jobs = HeldJobs(self._session)
        self._timers = Timers(self._session)
        self._membership = Membership(self._session)
        self._recoverer = Recoverer(self._session, self._held_jobs, self._membership.presence)

    # --- the broker itself -------------------------------------------------------------------------

    def observe_requests(self, observer: RequestObserver | None) -> None:
        """See `Broker.observe_requests`."""
        self._session.connection.request_log.observer = observer

    def contact(self) -> Contact:
        """See `Broker.contact`."""
        return self._session.connection.request_log.contact()

    def flush(self) -> None:
        """Delete everything in the namespace; others, even those that continue its name, are not touched."""
        connection, keys = self._session.connection, self._session.keys
        prefix, neighbours = keys("").encode(), inspect.Neighbours(connection, keys)
        for page in inspect.scan(connection, keys.pattern, _FLUSH_PAGE):
            names = [name for name in page if name.startswith(prefix)]
            own = [name for name in names if neighbours.own(name[len(prefix) :].decode(errors="replace"))]
            if own:
                connection.call("UNLINK", *own)

    # --- jobs --------------------------------------------------------------------------------------

    def enqueue(self, jobs: Sequence[Job]) -> None:
        """See `Broker.enqueue`."""
        self._producer.enqueue(jobs)

    def exchange(self, exchange: Exchange) -> Delivery:
        """See `Broker.exchange`."""
        return self._held_jobs.exchange(exchange)

    def settle(self, settlements: Sequence[Settlement], tally: Tally, *, worker_id: str = "") -> None:
        """See `Broker.settle`."""
        self._held_jobs.settle(settlements, tally, worker_id or self.worker_id)

    def give_back(self, jobs: Sequence[Job], *, worker_id: str = "") -> None:
        """See `Broker.give_back`."""
        self._held_jobs.give_back(jobs, worker_id or self.worker_id)

    def is_queue_empty(self, queue: str) -> bool:
        """Return whether the queue has no job that may run."""
        length, parked = self._session.connection.read(
            ("LLEN", self._session.keys.queue(queue)), ("HGET", self._session.keys.parked_counts, queue)
        )
        if isinstance(length, Exception):
            raise self._session.connection.translated(length)
        return bool(length == 0 and not value(parked, None))

    # --- time --------------------------------------------------------------------------------------

    def promote(self) -> Due:
        """See `Broker.promote`."""
        return self._timers.promote()

    def run_periodic(self) -> Due:
        """See `Broker.run_periodic`."""
        return self._timers.run_periodic()

    def register(self, tasks: Iterable[Task]) -> None:
        """See `Broker.register`."""
        known = list(tasks)
        self._timers.register(known)
        self._membership.announce_tasks(task.name for task in known)

    def remove_periodic_task(self, task_name: str) -> bool:
        """See `Broker.remove_periodic_task`."""
        return self._timers.remove_periodic(task_name)

    def inspect_periodic_tasks(self) -> list[tuple[int, str]]:
        """See `Broker.inspect_periodic_tasks`."""
        return self._timers.inspect()

    # --- life --------------------------------------------------------------------------------------

    @property
    def worker_id(self) -> str:
        """Id of this worker, a new one at each `join`."""
        return self._session.worker_id

    @property
    def heartbeat_seconds(self) -> float:
        """A sixth of the time after which this worker is declared dead."""
        return max(0.1, self.broker_dead_threshold_seconds / 6)

    def join(self, profile: WorkerProfile) -> None:
        """See `Broker.join`."""
        self._membership.join(
            profile, dead_after=self.broker_dead_threshold_seconds, beat_every=self.heartbeat_seconds
        )

    def beat(self, state: WorkerState) -> None:
        """See `Broker.beat`."""
        self._membership.beat(state)
        self._timers.register_missing()

    def leave(self) -> None:
        """See `Broker.leave`."""
        self._membership.leave()
        self._recoverer.unpark_for_others()

    def recover(self) -> list[Recovery]:
        """See `Broker.recover`."""
        return self._recoverer.recover()

    @property
    def recovery_check_seconds(self) -> float:
        """Seconds until another worker may have died; at most a heartbeat where slots must be counted."""
        until_death = self._recoverer.seconds_until_next_death
        return min(until_death, self.heartbeat_seconds) if self._timers.has_limits else until_death

    def enqueue_jobs_from_dead_broker(self, dead_broker_id: object) -> tuple[int, list[bytes]]:
        """Declare a worker dead, for failure detectors of your own, and queue its jobs again.

        Args:
            dead_broker_id: Its id, as in `get_all_brokers`.

        Returns:
            How many jobs were queued again, and the texts of those that must not be repeated, which are
            dead letters now.
        """
        recovery = self._recoverer.recover_one(str(dead_broker_id))
        return len(recovery.requeued), [job.serialize().encode() for job in recovery.failed]

    def subscribe(self) -> Subscription:
        """See `Broker.subscribe`."""
        return RedisSubscription(self._session.connection, self._session.keys.notifications)

    # --- inspection --------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the server is, without credentials."""
        return self._session.connection.address

    @property
    def endpoint(self) -> tuple[str, int | None] | None:
        """See `Broker.endpoint`."""
        return self._session.connection.endpoint

    def get_all_brokers(self) -> list[dict[str, Any]]:
        """Return the registered workers as they announced themselves."""
        found = []
        for _, text in pairs(self._session.connection.call("HGETALL", self._session.keys.brokers)):
            try:
                entry = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def failed_jobs(self, limit: int = 100) -> list[FailedJob]:
        """Return the newest dead letters, newest first."""
        return inspect.failed_jobs(self._session, limit)

    def failure_groups(self) -> list[FailureGroup]:
        """See `Broker.failure_groups`."""
        return inspect.failure_groups(self._session)

    def queued_jobs(self, queue: str, limit: int = 100) -> list[JobInfo]:
        """See `Broker.queued_jobs`."""
        return inspect.queued_jobs(self._session, queue, limit)

    def running_jobs(self, worker_id: str, limit: int = 100) -> list[JobInfo]:
        """See `Broker.running_jobs`."""
        return inspect.running_jobs(self._session, worker_id, limit)

    def namespaces(self) -> set[str]:
        """Return the namespaces that have registered workers, as far as a bounded scan finds them."""
        return inspect.namespaces(self._session.connection)

    def snapshot(
        self,
        *,
        known: NamespaceSnapshot | None = None,
        queues: Sequence[str] = (),
        totals: bool = True,
        discover: bool = False,
        wanted: Sequence[Wanted] = (),
    ) -> NamespaceSnapshot:
        """See `Broker.snapshot`."""
        return inspect.snapshot(
            self._session, known=known, queues=queues, totals=totals, discover=discover, wanted=wanted
        )


def _default_client() -> redis.Redis:
    return redis.Redis(**recommended_socket_opts)


def _checked(client: Any) -> Any:
    """Return the client, unless no call through it could ever work."""
    send = getattr(client, "execute_command", None)
    if send is None or iscoroutinefunction(send):
        raise TypeError(
            f"RedisBroker needs a client such as redis.Redis.from_url(...), a synchronous one of redis-py; "
            f"this is {type(client).__module__}.{type(client).__qualname__}"
        )
    return client


def _has_hash_tag(namespace: str) -> bool:
    start = namespace.find("{")
    return start >= 0 and namespace.find("}", start) > start + 1
