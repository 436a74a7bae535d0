"""The facade that applications embed: connects tasks, jobs, a broker and workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from logging import getLogger
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import const, signals
from .brokers.base import Broker
from .clock import as_utc, to_datetime
from .execution import AttemptWrapper
from .hooks import EnqueueWrapper, Hooks, ServiceWrapper, StopListener, added
from .job import Job, JobStatus
from .runtime.shutdown import StopRequest, stop_on_signal
from .task import Batch, Task, Tasks
from .validation import check_queue_name
from .worker import BaseWorkers, ThreadWorkers

if TYPE_CHECKING:
    from .runtime.supervisor import Supervisor
    from .runtime.vitals import Vitals

logger = getLogger(__name__)


class Engine:
    """Schedules jobs and runs workers on one broker and namespace.

    Scheduling needs no thread; `start_workers` makes this process a worker.

    Args:
        broker: Where jobs are kept; one engine each.
        namespace: Keeps applications that share a broker apart.

    Raises:
        InvalidNamespace: it is empty or contains control characters.
        RuntimeError: the broker serves another namespace already.

    Example:
        >>> engine = Engine(RedisBroker(), namespace="shop")
        >>> @engine.task(name="shop:send_receipt", max_retries=5)
        ... def send_receipt(order_id): ...
        >>> engine.schedule(send_receipt, 42)
    """

    def __init__(self, broker: Broker, namespace: str = const.DEFAULT_NAMESPACE) -> None:
        self._broker = broker
        self._broker.namespace = namespace
        self._tasks = Tasks()
        self._tasks.bind(self)
        self.task = self._tasks.task
        self._hooks = Hooks()
        self._supervisor: Supervisor | None = None
        self._lock = threading.Lock()
        self._must_stop = StopRequest()
        self.stopped_cleanly = True  # whether the broker heard of all at the last stop
        self._broker.start()

    @property
    def namespace(self) -> str:
        """The namespace of this engine."""
        return self._broker.namespace

    @property
    def broker(self) -> Broker:
        """The broker of this engine."""
        return self._broker

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The attached tasks by name."""
        return MappingProxyType(self._tasks.tasks)

    @property
    def vitals(self) -> Vitals | None:
        """How the workers of this process fare, None while none run."""
        supervisor = self._supervisor
        return supervisor.vitals() if supervisor is not None and supervisor.is_here else None

    # --- tasks -----------------------------------------------------------------------------------

    def attach_tasks(self, tasks: Tasks) -> None:
        """Make tasks known, also while workers run; a later namesake wins, and the last engine of a registry."""
        for name in tasks.names:
            if name in self._tasks.tasks and self._tasks.tasks[name] is not tasks.tasks[name]:
                logger.warning("Task %s is attached again; the newcomer replaces it", name)
        self._tasks.update(tasks)
        if tasks.bind(self):
            logger.warning(
                "These tasks were attached to another engine before; they schedule through this one "
                "(namespace %s) from now on: %s",
                self.namespace,
                tasks.names,
            )
        if self._supervisor is not None:
            self._broker.register(tasks.tasks.values())

    def execute(self, task: str | Callable[..., Any] | Task, *args: Any, **kwargs: Any) -> Any:
        """Run a task's function now, in this thread, and return its value.

        Raises:
            UnknownTask: it is not attached.
        """
        return self._tasks.get(task).func(*args, **kwargs)

    # --- scheduling --------------------------------------------------------------------------------

    def schedule(self, task: str | Callable[..., Any] | Task, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job to run as soon as possible.

        Args:
            task: Name, decorated function, or `Task`.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.

        Raises:
            UnknownTask: the task is not attached.
            InvalidJobSignatureError: the arguments do not fit the function.
            InvalidJobArguments: the arguments are not strict JSON.
            BrokerUnavailable: the broker could not be reached; nothing was scheduled.
            EnqueueUncertain: the reply was lost; the job may have been scheduled.
        """
        job = self._new_job(task, None, args, kwargs)
        self._enqueue([job])
        return job

    def schedule_at(
        self, task: str | Callable[..., Any] | Task, at: datetime, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job that does not run before `at` (naive means UTC), else as `schedule`."""
        job = self._new_job(task, at, args, kwargs)
        self._enqueue([job])
        return job

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule all jobs of a batch and return them in order; if one of them is not valid, none is scheduled.

        One call to Redis takes up to 5,000 jobs or 16 MiB; a larger batch takes several calls, in order.

        Raises:
            BrokerUnavailable: a call failed. `accepted` is how many jobs the calls before it took: the first
                ones of the batch, which run. The others were not accepted.
            EnqueueUncertain: the reply to a call was lost. Besides the first `accepted` jobs, those of this call
                may have been accepted, too.
        """
        jobs = [self._new_job(entry.task, entry.at, entry.args, entry.kwargs) for entry in batch.entries]
        if jobs:
            self._enqueue(jobs, is_batch=True)
        return jobs

    def _new_job(
        self,
        name: str | Callable[..., Any] | Task,
        at: datetime | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Job:
        task = self._tasks.get(name)
        if at is None:
            due, status = to_datetime(self._broker.clock.now()), JobStatus.QUEUED
        elif isinstance(at, datetime):
            due, status = as_utc(at), JobStatus.WAITING
        else:
            raise TypeError(f"at is {at!r}, expected a datetime (naive means UTC)")
        job = Job(task.name, task.queue, due, task.max_retries, args, kwargs)
        job.status = status
        job.task_func = task.func
        job.check_signature()
        job.payload()
        return job

    def _enqueue(self, jobs: list[Job], *, is_batch: bool = False) -> None:
        with self._hooks.around_enqueue(jobs, is_batch=is_batch):
            self._broker.enqueue(jobs)
        for job in jobs:
            signal = signals.job_queued if job.status is JobStatus.QUEUED else signals.job_waiting
            if signal.receivers:
                signal.send(self.namespace, job=job)

    # --- hooks for instrumentation and integrations ------------------------------------------------

    def wrap_attempts(self, wrapper: AttemptWrapper) -> Callable[[], None]:
        """Put a context manager around every attempt, in its thread or asyncio task.

        Args:
            wrapper: Called with the `spinach.execution.Attempt`; returns a context manager, or None. That is
                given the exception the function raised; the attempt's `outcome` and `duration` are set by then.
                What it raises or swallows makes no difference to the job.

        Returns:
            A function that takes the wrapper away again; so do the other hooks.
        """
        return added(self._hooks.attempts, wrapper)

    def wrap_enqueues(self, wrapper: EnqueueWrapper) -> Callable[[], None]:
        """Put a context manager around every call that enqueues jobs.

        Args:
            wrapper: Called with the jobs (a `spinach.hooks.Submission`) before they are written; returns a
                context manager, or None. On entry it may set the jobs' `headers` (a flat mapping of texts), on exit
                it is given the error if the call failed. What it raises or swallows makes no difference.
        """
        return added(self._hooks.enqueues, wrapper)

    def wrap_services(self, wrapper: ServiceWrapper) -> Callable[[], None]:
        """Put a context manager around every background duty, in its thread; counts from the next start on."""
        return added(self._hooks.services, wrapper)

    def when_stopped(self, listener: StopListener) -> Callable[[], None]:
        """Call `listener` after each stop of the workers, such as to flush what it gathered."""
        return added(self._hooks.stops, listener)

    def announce(self, name: str, value: str) -> Callable[[], None]:
        """Tell a fact about this process in its worker's record, such as where its metrics are."""
        return self._hooks.announce(name, value)

    # --- workers -----------------------------------------------------------------------------------

    def start_workers(
        self,
        number: int = const.DEFAULT_WORKER_NUMBER,
        queue: str = const.DEFAULT_QUEUE,
        block: bool = True,
        stop_when_queue_empty: bool = False,
        workers_class: type[BaseWorkers] = ThreadWorkers,
    ) -> None:
        """Start workers in this process.

        Args:
            number: How many jobs run at once.
            queue: Queue to serve.
            block: Wait until the workers are stopped. In the main thread SIGINT and SIGTERM then stop them:
                running jobs finish and are acknowledged, others are handed back. A second signal
                gives up waiting: it raises `KeyboardInterrupt`, and jobs still running count as those of
                a dead worker. Previous signal handlers are restored on return.
            stop_when_queue_empty: Stop once the queue is empty and nothing runs here; jobs blocked by a
                limit are waited for, future ones and retries are not.
            workers_class: Kind of workers, called with `number` and the namespace.

        Raises:
            RuntimeError: workers run already.
            ValueError: `number` is not positive, or the queue is reserved.
            BrokerUnavailable: the broker cannot be reached.
        """
        check_queue_name(queue)
        request = StopRequest()
        if not block:
            self._start(number, queue, stop_when_queue_empty, workers_class, request)
            if stop_when_queue_empty:
                threading.Thread(target=self._stop_when_told, args=(request,), daemon=True).start()
            return
        # Before the first worker runs: a signal must not find the default handler.
        with stop_on_signal(request):
            self._start(number, queue, stop_when_queue_empty, workers_class, request)
            self._stop_when_told(request)

    def _start(
        self,
        number: int,
        queue: str,
        until_empty: bool,
        workers_class: type[BaseWorkers],
        request: StopRequest,
    ) -> None:
        from .runtime.supervisor import (
            Supervisor,  # a client never needs it, and it is half of what there is to import
        )

        with self._lock:
            if self._supervisor is not None and self._supervisor.is_here:
                raise RuntimeError("workers of this engine run already: call stop_workers() first")
            supervisor = Supervisor(
                broker=self._broker,
                workers=workers_class(number, self.namespace),
                tasks=self._tasks,
                queue=queue,
                hooks=self._hooks,
                on_drained=request.make if until_empty else None,
            )
            self._broker.start()
            supervisor.start()
            self._supervisor, self._must_stop = supervisor, request
        logger.info("%d workers of %s serve queue %s", number, self.namespace, queue)

    def stop_workers(self) -> None:
        """Stop the workers: no new jobs, running ones finish, the rest goes back to the queue.

        Does nothing when no workers run. They can be started again afterwards.
        """
        with self._lock:
            supervisor = self._supervisor
            if supervisor is None or not supervisor.is_here:
                return
            self._must_stop.make()
            try:
                self.stopped_cleanly = supervisor.stop()
            finally:
                self._supervisor = None
            self._broker.stop()
            self._hooks.tell_stopped()
        logger.info("Workers of namespace %s stopped", self.namespace, extra={"action": "workers_stopped"})

    def _stop_when_told(self, request: StopRequest) -> None:
        if reason := request.wait():
            logger.info("%s: finishing running jobs", reason)
        self.stop_workers()
