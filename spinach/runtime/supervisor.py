"""The supervisor: starts and stops everything that runs in a worker process, in the right order.

It does none of the duties itself::

    subscriber ──notifications──► arbiter ──jobs──► workers
                                     │  ▲              │
                                     │  └───attempts───┘
                                     └──────errors─────► result notifier
    heartbeat, rescuer: independent, so that a busy arbiter never makes the worker look dead
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic, time
from typing import Final

from ..brokers.base import Broker, WorkerProfile, WorkerState
from ..exc import BrokerUnavailable
from ..execution import Environment
from ..hooks import Hooks
from ..logger import SafeLogger
from ..task import Tasks
from ..worker import BaseWorkers
from .arbiter import Arbiter
from .heartbeat import Heartbeat
from .notifier import ResultNotifier
from .rescuer import Rescuer
from .service import Service
from .subscriber import BrokerSubscriber
from .vitals import ServiceVitals, Vitals

logger = SafeLogger(__name__)

# A stop tries for so long to hand in the last results; after that, other workers recover their jobs.
_REPORT_SECONDS: Final = 10.0
_JOIN_SECONDS: Final = 5.0
# A job that blocks the event loop for so long is reported.
_SILENCE_SECONDS: Final = 10.0


class Supervisor:
    """The services and workers of one engine, from one start to its stop.

    Args:
        broker: A started broker.
        workers: Workers that are not started.
        tasks: The engine's registry.
        queue: Queue to serve.
        hooks: The engine's hooks.
        on_drained: Called once the queue is empty and nothing runs, when given.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        workers: BaseWorkers,
        tasks: Tasks,
        queue: str,
        hooks: Hooks,
        on_drained: Callable[[], None] | None,
    ) -> None:
        self._broker = broker
        self._workers = workers
        self._tasks = tasks
        self._hooks = hooks
        self._state = "starting"
        self._is_silent = False
        self._process = os.getpid()
        self._rejoin_lock = threading.Lock()
        self._profile = WorkerProfile(
            queue=queue,
            slots=workers.num_workers,
            kind=type(workers).__name__,
            task_names=tuple(tasks.names),
            announced=hooks.announced,
        )
        self._started_at = broker.clock.local.now()
        self.notifier = ResultNotifier(broker=broker, on_revoked=self._rejoin)
        self.arbiter = Arbiter(
            broker=broker,
            workers=workers,
            notifier=self.notifier,
            tasks=tasks,
            queue=queue,
            on_revoked=self._rejoin,
            on_drained=on_drained,
        )
        self.heartbeat = Heartbeat(broker=broker, state=self.state, on_revoked=self._rejoin)
        self.rescuer = Rescuer(broker=broker)
        self.subscriber = BrokerSubscriber(broker=broker, on_notification=self.arbiter.on_notification)
        self._environment = Environment(broker.namespace, broker.clock, self.arbiter.report, hooks.attempts)

    @property
    def runs_here(self) -> bool:
        """Whether this process runs the threads: a forked child has only a copy of this object."""
        return self._process == os.getpid()

    @property
    def services(self) -> tuple[Service, ...]:
        """The background duties."""
        return (self.subscriber, self.notifier, self.heartbeat, self.rescuer, self.arbiter)

    def state(self) -> WorkerState:
        """Return what the heartbeat sends about this worker."""
        self._report_silence(self._workers.silent_seconds())
        is_blocked = self._is_silent and self._state == "running"
        return WorkerState(
            "blocked" if is_blocked else self._state,
            self.arbiter.busy,
            self.arbiter.fetched,
            self.arbiter.longest(),
        )

    def vitals(self) -> Vitals:
        """Return the vitals of this process."""
        accepted_at, accepted = self.heartbeat.accepted
        contact = self._broker.contact()
        return Vitals(
            state=self._state,
            slots=self._workers.num_workers,
            busy=self.arbiter.busy,
            started_at=self._started_at,
            heartbeat_at=accepted_at,
            heartbeat_seconds=max(0.0, monotonic() - accepted),
            answered_seconds=contact.answered_seconds,
            unacknowledged=self.arbiter.unacknowledged + self.notifier.unacknowledged,
            services=(*(service.vitals(contact) for service in self.services), self._workers_vitals()),
        )

    def _workers_vitals(self) -> ServiceVitals:
        silent = self._workers.silent_seconds()
        return ServiceVitals(
            name="workers", expected=self._state != "stopping", alive=True, last_run_at=time() - silent,
            silent_seconds=silent, interval_seconds=0.0, failures=0,
        )  # fmt: skip

    def _report_silence(self, seconds: float) -> None:
        was_silent, self._is_silent = self._is_silent, seconds > _SILENCE_SECONDS
        if self._is_silent and not was_silent:
            logger.error(
                "A job has blocked the event loop for %.0f s: no other job of this worker runs; move what "
                "blocks to a plain function, or to asyncio.to_thread", seconds,
                extra={"action": "loop_blocked"},
            )  # fmt: skip

    def start(self) -> None:
        """Register the worker, then start workers and services.

        Raises:
            BrokerUnavailable: the broker cannot be reached; nothing was started.
        """
        self._broker.join(self._profile)
        try:
            self._broker.register(self._tasks.tasks.values())
            self._workers.start(self._environment)
        except BaseException:
            self._leave()
            raise
        self._state = "running"
        for service in self.services:
            service.start(self._hooks.services)

    def stop(self) -> bool:
        """Stop in order: fetch no more, finish running jobs, hand in their results, unregister.

        Returns:
            Whether the broker confirmed all results and that the worker left.
        """
        self._state = "stopping"
        self.heartbeat.wake()
        self.arbiter.close(_JOIN_SECONDS)
        self._workers.stop()
        all_reported = self._report_last_results()
        for service in (self.heartbeat, self.rescuer):
            service.stop()
            service.join(_JOIN_SECONDS)
        self.subscriber.stop()  # before leaving, whose notification ends its wait
        has_left = self._leave()
        self.subscriber.join(_JOIN_SECONDS)
        self.subscriber.disconnect()
        return has_left and all_reported

    def _report_last_results(self) -> bool:
        """Hand in all results, trying for a bounded time; return whether the broker confirmed them."""
        for service in (self.arbiter, self.notifier):
            service.stop()
        if not all(service.join(_REPORT_SECONDS) for service in (self.arbiter, self.notifier)):
            logger.error("Stopped while the broker did not answer; results of the last jobs may be lost")
            return False
        deadline = self._broker.clock.elapsed() + _REPORT_SECONDS
        pause = threading.Event()
        while True:
            try:
                self.arbiter.flush()
                self.notifier.flush()
            except BrokerUnavailable as error:
                if self._broker.clock.elapsed() > deadline:
                    logger.error("Stopped before the broker confirmed all results: %s", error)
                    return False
                pause.wait(0.2)
            else:
                return True

    def _leave(self) -> bool:
        try:
            self._broker.leave()
        except BrokerUnavailable as error:
            logger.warning("Stopped, but the worker could not unregister: %s", error)
            return False
        return True

    def _rejoin(self, worker_id: str) -> None:
        """Register under a new id after `worker_id` was declared dead; only the first caller does."""
        with self._rejoin_lock:
            if self._broker.worker_id != worker_id:
                return
            logger.warning(
                "This worker (%s) was declared dead; it joins again under a new id, and results of "
                "the jobs it held are void",
                worker_id,
                extra={"action": "lease_revoked"},
            )
            self._broker.join(self._profile)
            self._broker.register(self._tasks.tasks.values())
        self.arbiter.wake()
