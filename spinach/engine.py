"""The engine that applications embed: it connects tasks, jobs, a broker and workers.

It decides nothing itself: tasks check themselves, brokers keep jobs, `runtime` runs the worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import const, signals
from .brokers.base import Broker
from .clock import as_utc, to_datetime
from .codec import check_arrives_equal
from .decorator import TaskDecorator
from .execution import AttemptWrapper, this_thread
from .hooks import EnqueueWrapper, Hooks, ServiceWrapper, StopListener, added
from .job import Job, JobStatus
from .logger import SafeLogger
from .runtime.shutdown import StopRequest, stop_at_exit, stop_on_signal
from .task import GIVEN_BY_NAME, AnyTask, Batch, Task, Tasks, by_name
from .validation import check_queue_name
from .worker import BaseWorkers, ThreadWorkers

if TYPE_CHECKING:
    from .runtime.supervisor import Supervisor
    from .runtime.vitals import Vitals

__all__ = ["Engine"]

logger = SafeLogger(__name__)


class Engine(TaskDecorator):
    """Schedules jobs and runs workers, on one broker and in one namespace.

    Scheduling starts no thread. `start_workers` makes this process a worker.

    Args:
        broker: Where jobs are kept. Each engine needs a broker of its own.
        namespace: Name under which the broker keeps the jobs. Applications that share a server use different
            ones.
        strict_arguments: Refuse arguments that JSON changes without an error: tuples (they arrive as lists),
            keys of dicts that are not strings, enums and instances of other subclasses of JSON types. Two
            keys that become one, and nesting beyond 500 levels, are always refused.

    Attributes:
        stopped_cleanly: False when the workers last stopped before the broker had accepted all their results.

    Raises:
        InvalidNamespace: The namespace is empty or contains control characters.
        RuntimeError: The broker already serves another namespace.

    Example:
        >>> engine = Engine(RedisBroker(), namespace="shop")
        >>> @engine.task(name="shop:send_receipt", max_retries=5)
        ... def send_receipt(order_id): ...
        >>> engine.schedule(send_receipt, 42)
    """

    def __init__(
        self, broker: Broker, namespace: str = const.DEFAULT_NAMESPACE, *, strict_arguments: bool = False
    ) -> None:
        self._broker = broker
        self._broker.namespace = namespace
        self._strict_arguments = strict_arguments
        self._tasks = Tasks()
        self._tasks.bind(self)
        self._hooks = Hooks()
        self._supervisor: Supervisor | None = None
        self._lock = threading.Lock()
        self._must_stop = StopRequest()
        self.stopped_cleanly = True
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
        """Health of the workers of this process: threads, heartbeat, results; None while no workers run."""
        supervisor = self._supervisor
        return supervisor.vitals() if supervisor is not None and supervisor.runs_here else None

    # --- tasks -----------------------------------------------------------------------------------

    def _add_task(self, func: Callable[..., Any], name: str | None, *settings: Any) -> None:
        self._tasks.add(func, name, *settings)

    def attach_tasks(self, tasks: Tasks) -> None:
        """Make tasks known to this engine, also while workers run.

        The tasks are copied: attach the registry again after adding a task to it. A task replaces one of the
        same name, and the registry schedules through the engine it was attached to last; both are logged.

        Args:
            tasks: The registry.

        Raises:
            BrokerUnavailable: Workers run, and the broker cannot be told about periodic tasks and limits.
        """
        for name in tasks.names:
            if name in self._tasks.tasks and self._tasks.tasks[name] is not tasks.tasks[name]:
                logger.warning("Task %s is attached twice; the later one replaces the earlier one", name)
        self._tasks.update(tasks)
        if tasks.bind(self):
            logger.warning(
                "These tasks were attached to another engine before; they now schedule through the engine of "
                "namespace %s: %s",
                self.namespace,
                tasks.names,
            )
        if self._supervisor is not None:
            self._broker.register(tasks.tasks.values())

    def execute(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> Any:
        """Run a task's function now, in this thread. No job is made and the broker is not asked.

        Args:
            task: Name, decorated function, or `Task`.
            *args: Positional arguments of the function.
            **kwargs: Keyword arguments of the function.

        Returns:
            What the function returns.

        Raises:
            UnknownTask: The task is not attached.
        """
        if task is GIVEN_BY_NAME:
            task = by_name(kwargs, "task")
        return self._tasks.get(task).func(*args, **kwargs)

    # --- scheduling --------------------------------------------------------------------------------

    def schedule(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job to run as soon as possible.

        Args:
            task: Name, decorated function, or `Task`.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.

        Returns:
            The job, with its id.

        Raises:
            UnknownTask: The task is not attached.
            InvalidJobSignatureError: The arguments do not fit the function.
            InvalidJobArguments: The arguments are not strict JSON.
            BrokerUnavailable: The broker cannot be reached; nothing was scheduled.
            EnqueueUncertain: The broker's reply was lost; the job may have been scheduled.
        """
        if task is GIVEN_BY_NAME:
            task = by_name(kwargs, "task")
        return self._enqueue([self._new_job(task, None, args, kwargs)])[0]

    def schedule_at(
        self, task: AnyTask = GIVEN_BY_NAME, at: datetime = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job that does not run before a date.

        Args:
            task: Name, decorated function, or `Task`.
            at: The date, by the broker's clock; a naive one is UTC. A past one means now.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.

        Returns:
            The job, with its id.

        Raises:
            TypeError: `at` is not a datetime.
            SpinachError: As for `schedule`.

        Example:
            >>> tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
            >>> engine.schedule_at(send_receipt, tomorrow, 42)
        """
        if task is GIVEN_BY_NAME:
            task = by_name(kwargs, "task")
        if at is GIVEN_BY_NAME:
            at = by_name(kwargs, "at")
        return self._enqueue([self._new_job(task, at, args, kwargs)])[0]

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule all jobs of a batch in one round trip.

        All jobs are checked before the first is sent: if one is not valid, none is scheduled. The Redis
        broker sends more than 5,000 jobs in several calls, of which later ones may fail.

        Args:
            batch: The jobs. It stays as it is.

        Returns:
            The jobs in the order of the batch.

        Raises:
            SpinachError: As for `schedule`.

        Example:
            >>> batch = Batch()
            >>> for order_id in orders:
            ...     batch.schedule(send_receipt, order_id)
            >>> engine.schedule_batch(batch)
        """
        jobs = [self._new_job(entry.task, entry.at, entry.args, entry.kwargs) for entry in batch.entries]
        return self._enqueue(jobs, is_batch=True) if jobs else []

    def _new_job(
        self, wanted: AnyTask, at: datetime | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Job:
        task = self._tasks.get(wanted)
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
        if self._strict_arguments:
            check_arrives_equal([*args, kwargs])
        job.payload()
        return job

    def _enqueue(self, jobs: list[Job], *, is_batch: bool = False) -> list[Job]:
        with self._hooks.around_enqueue(jobs, is_batch=is_batch):
            self._broker.enqueue(jobs)
        for job in jobs:
            signal = signals.job_queued if job.status is JobStatus.QUEUED else signals.job_waiting
            if signal.receivers:
                signal.send(self.namespace, job=job)
        return jobs

    # --- hooks for instrumentation and integrations; each returns a function that removes it ---------

    def wrap_attempts(self, wrapper: AttemptWrapper) -> Callable[[], None]:
        """Put a context manager around every attempt, in the thread or asyncio task that runs it.

        Args:
            wrapper: Called with the `spinach.execution.Attempt`; returns a context manager, or None. On exit
                the context manager gets the exception that the function raised, and the attempt has its
                `outcome` and `duration`. What the wrapper and the context manager raise or swallow does not
                affect the job.
        """
        return added(self._hooks.attempts, wrapper)

    def wrap_enqueues(self, wrapper: EnqueueWrapper) -> Callable[[], None]:
        """Put a context manager around every call that enqueues jobs, in the caller's thread.

        Args:
            wrapper: Called with the jobs (a `spinach.hooks.Submission`) before they are written; returns a
                context manager, or None. On entry it may set the jobs' `headers`, a flat mapping of strings.
                On exit it gets the error if the call failed. What it raises or swallows does not affect the
                call.
        """
        return added(self._hooks.enqueues, wrapper)

    def wrap_services(self, wrapper: ServiceWrapper) -> Callable[[], None]:
        """Put a context manager around every background thread of the worker, from its start to its end.

        Args:
            wrapper: Called without arguments in the thread of the arbiter, the notifier and so on; returns a
                context manager, or None. It counts for threads that start later.
        """
        return added(self._hooks.services, wrapper)

    def when_stopped(self, listener: StopListener) -> Callable[[], None]:
        """Call a function after each stop of the workers, for example to send gathered data.

        Args:
            listener: Called without arguments in the thread that stops the workers. What it raises is logged.
        """
        return added(self._hooks.stops, listener)

    def announce(self, name: str, value: str) -> Callable[[], None]:
        """Publish a fact about this process in its worker's record in the broker.

        Args:
            name: Name of the fact, such as ``"metrics_url"``; a later value replaces the earlier.
            value: The fact. The next heartbeat publishes it.
        """
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
            block: Wait until the workers are stopped. In the main thread SIGINT, SIGTERM and SIGHUP then stop
                them: running jobs finish and are acknowledged, others go back to the queue. A second signal
                ends the wait: it raises `KeyboardInterrupt`, and jobs that still run count as those of a dead
                worker. The previous signal handlers are restored on return.
            stop_when_queue_empty: Stop once the queue is empty and nothing runs here. Jobs that a concurrency
                limit holds back are waited for; future jobs and retries are not.
            workers_class: Kind of workers: `ThreadWorkers` or `AsyncioWorkers`. Called with `number` and the
                namespace.

        Raises:
            RuntimeError: Workers of this engine already run.
            ValueError: `number` is not positive, or the queue is reserved.
            BrokerUnavailable: The broker cannot be reached.
            KeyboardInterrupt: A second signal came.
        """
        check_queue_name(queue)
        request = StopRequest()
        if not block:
            self._start(number, queue, stop_when_queue_empty, workers_class, request)
            if stop_when_queue_empty:
                threading.Thread(target=self._stop_on_request, args=(request,), daemon=True).start()
            return
        # Set the handlers before the first worker runs: the default ones would kill it amid a job.
        with stop_on_signal(request):
            self._start(number, queue, stop_when_queue_empty, workers_class, request)
            self._stop_on_request(request)

    def _start(
        self,
        number: int,
        queue: str,
        stop_when_empty: bool,
        workers_class: type[BaseWorkers],
        request: StopRequest,
    ) -> None:
        # A client never needs the supervisor, which is half of all there is to import.
        from .runtime.supervisor import Supervisor

        with self._lock:
            if self._supervisor is not None and self._supervisor.runs_here:
                raise RuntimeError("workers of this engine run already: call stop_workers() first")
            supervisor = Supervisor(
                broker=self._broker,
                workers=workers_class(number, self.namespace),
                tasks=self._tasks,
                queue=queue,
                hooks=self._hooks,
                on_drained=request.make if stop_when_empty else None,
            )
            self._broker.start()
            supervisor.start()
            self._supervisor, self._must_stop = supervisor, request
        stop_at_exit(self)
        logger.info("%d workers of %s serve queue %s", number, self.namespace, queue)

    def stop_workers(self) -> None:
        """Stop the workers and wait: no new job starts, running jobs finish, the others go back to the queue.

        Does nothing when no workers run. `start_workers` may follow. Called by a job or a receiver of these
        workers, which they wait for, it requests the stop and returns at once.
        """
        if getattr(this_thread, "namespace", None) == self.namespace:
            self._must_stop.make()
            threading.Thread(target=self.stop_workers, name=f"{self.namespace}-stop", daemon=True).start()
            return
        with self._lock:
            supervisor = self._supervisor
            if supervisor is None or not supervisor.runs_here:
                return
            self._must_stop.make()
            try:
                self.stopped_cleanly = supervisor.stop()
            finally:
                self._supervisor = None
            self._broker.stop()
            self._hooks.call_stop_listeners()
        logger.info("Workers of namespace %s stopped", self.namespace, extra={"action": "workers_stopped"})

    def _stop_on_request(self, request: StopRequest) -> None:
        if reason := request.wait():
            logger.info("%s: finishing running jobs", reason)
        self.stop_workers()
