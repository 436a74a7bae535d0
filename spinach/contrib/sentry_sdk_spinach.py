"""Sentry: each attempt runs in a scope of its own, and errors are sent with the fields of the job."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

import sentry_sdk
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scope import Scope, should_send_default_pii
from sentry_sdk.utils import event_from_exception

from .. import signals
from ..job import Job, JobStatus

__all__ = ["SpinachIntegration"]

_FIELDS: Final = ("id", "status", "task_name", "queue", "at", "max_retries", "retries")
_ARGUMENTS: Final = ("task_args", "task_kwargs")
# This logger logs the errors that are sent from here; Sentry's logging integration would send them twice.
_LOGGER_OF_FAILURES: Final = "spinach.execution"

# By identity of the job, while an attempt runs. One dict per process: the SDK sets up integrations once.
_scopes: dict[int, tuple[AbstractContextManager[Scope], Scope]] = {}


class SpinachIntegration(Integration):
    """Sends failed jobs to Sentry.

    An event has the task's name as transaction and the job's fields as extra data. It has the arguments of
    the job only with ``send_default_pii=True``, or with ``data_collection={"queues": True}`` where the SDK
    knows that. What a task itself reports to Sentry gets the same data.

    Args:
        send_retries: Also send the errors of attempts that are retried.

    Example:
        >>> sentry_sdk.init(dsn="...", integrations=[SpinachIntegration()])
    """

    identifier = "spinach"

    def __init__(self, send_retries: bool = False) -> None:
        self.send_retries = send_retries

    @staticmethod
    def setup_once() -> None:
        """Connect to the signals of every engine; called by the SDK once per process."""
        signals.job_started.connect(_enter_scope, weak=False)
        signals.job_schedule_retry.connect(_send_retry, weak=False)
        signals.job_failed.connect(_send_failure, weak=False)
        signals.job_finished.connect(_leave_scope, weak=False)
        ignore_logger(_LOGGER_OF_FAILURES)


def _integration() -> SpinachIntegration | None:
    # None where the current client was made without this integration.
    return sentry_sdk.get_client().get_integration(SpinachIntegration)


def _enter_scope(_namespace: str, job: Job) -> None:
    if _integration() is None:
        return
    manager = sentry_sdk.isolation_scope()
    scope = manager.__enter__()
    _scopes[id(job)] = manager, scope
    scope.clear_breadcrumbs()
    scope.set_new_propagation_context()
    _describe(scope, job)


def _leave_scope(_namespace: str, job: Job) -> None:
    entered = _scopes.pop(id(job), None)
    if entered is not None:
        entered[0].__exit__(None, None, None)


def _send_retry(_namespace: str, job: Job, err: BaseException) -> None:
    integration = _integration()
    if integration is not None and integration.send_retries:
        _send(job, err, handled=True)


def _send_failure(_namespace: str, job: Job, err: BaseException) -> None:
    if _integration() is not None:
        _send(job, err, handled=False)


def _send(job: Job, error: BaseException, *, handled: bool) -> None:
    if id(job) in _scopes:
        _capture(_scopes[id(job)][1], job, error, handled=handled)
        return
    # The job did not start here: its worker died, or its task is unknown.
    with sentry_sdk.isolation_scope() as scope:
        _capture(scope, job, error, handled=handled)


def _capture(scope: Scope, job: Job, error: BaseException, *, handled: bool) -> None:
    _describe(scope, job)
    event, hint = event_from_exception(
        error,
        client_options=sentry_sdk.get_client().options,
        mechanism={"type": SpinachIntegration.identifier, "handled": handled},
    )
    sentry_sdk.capture_event(event, hint=hint)


def _describe(scope: Scope, job: Job) -> None:
    scope.set_transaction_name(job.task_name, source="task")
    for name in _FIELDS:
        scope.set_extra(name, _shown(getattr(job, name)))
    if _may_send_arguments():
        for name in _ARGUMENTS:
            scope.set_extra(name, getattr(job, name))


def _may_send_arguments() -> bool:
    # Recent releases of the SDK ask for this with `data_collection` instead.
    collection = sentry_sdk.get_client().options.get("data_collection")
    return bool(collection["queues"]) if collection else should_send_default_pii()


def _shown(value: Any) -> str | int:
    if isinstance(value, JobStatus):
        return value.name
    return value if isinstance(value, int) else str(value)
