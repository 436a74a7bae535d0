"""Flask: an engine per application, an application context around each job, the command `flask spinach`."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final

import click
from flask import Flask, current_app, has_app_context

from .. import const
from ..brokers.base import Broker
from ..decorator import TaskDecorator
from ..engine import Engine
from ..exc import BrokerError
from ..execution import Attempt
from ..job import Job
from ..task import GIVEN_BY_NAME, AnyTask, Batch, Tasks
from ..validation import check_queue_name

__all__ = ["Spinach"]

_EXTENSION: Final = "spinach"
_SECOND_SIGNAL: Final = 130


class Spinach(TaskDecorator):
    """The Flask extension. Pass it the application, or call `init_app` in an application factory.

    Args:
        app: The application, where there is one already.

    Configuration, read by `init_app`:

    - ``SPINACH_BROKER``: a `Broker`; by default a `RedisBroker` on localhost.
    - ``SPINACH_NAMESPACE``: a string; by default the name of the application.

    Tasks may be declared before there is an application. Every application gets them. Subclasses may override
    `make_broker`, `make_engine`, `job_context` and `start_workers`.

    Example:
        >>> spinach = Spinach()
        >>> @spinach.task(name="shop:send_receipt", max_retries=5)
        ... def send_receipt(order_id): ...
        >>> def create_app():
        ...     app = Flask("shop")
        ...     spinach.init_app(app)
        ...     return app
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._tasks = Tasks()
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._last_app: Flask | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make the application's engine, attach the tasks, and add the command `flask spinach`.

        Args:
            app: The application.

        Raises:
            RuntimeError: The application has a Spinach extension already.
            TypeError: `SPINACH_BROKER` is not a broker.
        """
        if _EXTENSION in app.extensions:
            raise RuntimeError(f"application {app.name!r} has a Spinach extension already")
        engine = self.make_engine(app, self.make_broker(app))
        engine.wrap_attempts(lambda attempt: self.job_context(app, attempt))
        app.extensions[_EXTENSION] = engine
        app.cli.add_command(_command(self, app))
        self._apps.add(app)
        self._last_app = app
        engine.attach_tasks(self._copy_of_tasks())

    # --- for subclasses ----------------------------------------------------------------------------

    def make_broker(self, app: Flask) -> Broker:
        """Return the broker of an application.

        Args:
            app: The application.

        Raises:
            TypeError: `SPINACH_BROKER` is not a broker.
        """
        broker = app.config.get("SPINACH_BROKER")
        if broker is None:
            from ..brokers.redis import RedisBroker  # not loaded where another broker is configured

            return RedisBroker()
        if not isinstance(broker, Broker):
            raise TypeError(
                f"SPINACH_BROKER is {broker!r}, expected a broker, such as RedisBroker(redis.Redis(...))"
            )
        return broker

    def make_engine(self, app: Flask, broker: Broker) -> Engine:
        """Return the engine of an application.

        Args:
            app: The application.
            broker: What `make_broker` returned.
        """
        return Engine(broker, namespace=app.config.get("SPINACH_NAMESPACE") or app.name)

    def job_context(self, app: Flask, attempt: Attempt) -> AbstractContextManager[Any]:
        """Return the context manager to put around an attempt at a job: the application context.

        Receivers of the attempt's signals run inside it, too. Teardown functions get the error that the job
        raised.

        Args:
            app: The application.
            attempt: The attempt that starts.
        """
        return app.app_context()

    def start_workers(
        self, app: Flask, *, number: int, queue: str, stop_when_queue_empty: bool = False
    ) -> None:
        """Run the workers of an application until they are stopped; `flask spinach` calls it.

        Args:
            app: The application.
            number: How many jobs run at once.
            queue: Queue to serve.
            stop_when_queue_empty: Stop once the queue is empty and nothing runs here.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        self.engine_of(app).start_workers(
            number=number, queue=queue, stop_when_queue_empty=stop_when_queue_empty
        )

    # --- engines -------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The engine of the current application, or of the last one outside an application context.

        Raises:
            RuntimeError: `init_app` was not called for that application, or there is no application.
        """
        if has_app_context():
            return self.engine_of(current_app._get_current_object())  # type: ignore[attr-defined]
        if self._last_app is None:
            raise RuntimeError("this Spinach extension has no application: call init_app(app) first")
        return self.engine_of(self._last_app)

    def engine_of(self, app: Flask) -> Engine:
        """Return the engine of an application.

        Args:
            app: The application.

        Raises:
            RuntimeError: `init_app` was not called for the application.
        """
        if app not in self._apps:
            raise RuntimeError(
                f"application {app.name!r} is not known to this Spinach extension: call init_app(app) first"
            )
        engine: Engine = app.extensions[_EXTENSION]
        return engine

    # --- tasks ---------------------------------------------------------------------------------------

    def register_tasks(self, app: Flask, tasks: Tasks) -> None:
        """Attach a registry, such as that of a blueprint, to the engine of one application.

        Args:
            app: The application.
            tasks: The registry.
        """
        self.engine_of(app).attach_tasks(tasks)

    def add(
        self,
        func: Callable[..., Any],
        name: str | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        periodicity: timedelta | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        """Register a function as a task of every application without changing it.

        Args:
            func: The function.
            name: Name of the task, unique and required.
            queue: Queue of its jobs; by default ``"spinach"``.
            max_retries: How often a job may be repeated; 0 when the function is not safe to repeat.
            periodicity: Run the task by itself at this interval: whole seconds, at least one.
            max_concurrency: How many jobs of the task may run at once over the namespace.
        """
        self._tasks.add(func, name, queue, max_retries, periodicity, max_concurrency)
        self._attach_everywhere()

    def _add_task(self, func: Callable[..., Any], name: str | None, *settings: Any) -> None:
        self.add(func, name, *settings)

    def _attach_everywhere(self) -> None:
        for app in list(self._apps):
            self.engine_of(app).attach_tasks(self._copy_of_tasks())

    def _copy_of_tasks(self) -> Tasks:
        # A copy per engine: a registry schedules through the engine it was attached to last, the extension
        # through that of the current application.
        copy = Tasks()
        copy.update(self._tasks)
        return copy

    # --- scheduling on the current application's engine ------------------------------------------------

    def execute(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> Any:
        """Run a task's function now, in this thread; see `Engine.execute`.

        Args:
            task: Name, decorated function, or `Task`.
            *args: Positional arguments of the function.
            **kwargs: Keyword arguments of the function.
        """
        return self.engine.execute(task, *args, **kwargs)

    def schedule(self, task: AnyTask = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any) -> Job:
        """Schedule a job to run as soon as possible; see `Engine.schedule`.

        Args:
            task: Name, decorated function, or `Task`.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.
        """
        return self.engine.schedule(task, *args, **kwargs)

    def schedule_at(
        self, task: AnyTask = GIVEN_BY_NAME, at: datetime = GIVEN_BY_NAME, /, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job for a date; see `Engine.schedule_at`.

        Args:
            task: Name, decorated function, or `Task`.
            at: The date before which the job does not run; a naive one is UTC.
            *args: Positional arguments of the function, JSON-serializable.
            **kwargs: Keyword arguments of the function, JSON-serializable.
        """
        return self.engine.schedule_at(task, at, *args, **kwargs)

    def schedule_batch(self, batch: Batch) -> list[Job]:
        """Schedule jobs together; see `Engine.schedule_batch`.

        Args:
            batch: The jobs.
        """
        return self.engine.schedule_batch(batch)


def _queue(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        check_queue_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _command(extension: Spinach, app: Flask) -> click.Command:
    @click.command("spinach")
    @click.option(
        "--threads", type=click.IntRange(min=1), default=const.DEFAULT_WORKER_NUMBER, show_default=True,
        help="How many jobs run at once.",
    )  # fmt: skip
    @click.option(
        "--queue", callback=_queue, default=const.DEFAULT_QUEUE, show_default=True, help="Queue to serve."
    )
    @click.option(
        "--stop-when-queue-empty", is_flag=True, help="Stop once the queue is empty and nothing runs here."
    )
    def spinach(threads: int, queue: str, stop_when_queue_empty: bool) -> None:
        """Run the background jobs of the application."""
        try:
            extension.start_workers(
                app, number=threads, queue=queue, stop_when_queue_empty=stop_when_queue_empty
            )
        except BrokerError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as error:
            click.echo(f"{error}; jobs that still run count as those of a dead worker", err=True)
            raise click.exceptions.Exit(_SECOND_SIGNAL) from None

    return spinach
