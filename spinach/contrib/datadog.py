"""Datadog: a span around every attempt at a job, made by receivers of the engine's signals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from .. import signals
from ..job import Job

__all__ = ["register_datadog", "register_datadog_if_module_patched"]

_OPERATION: Final = "spinach.task"
_TAGGED_FIELDS: Final = ("id", "task_name", "queue", "at", "max_retries", "retries")


def register_datadog(
    tracer: Any = None, namespace: str | None = None, service: str = "spinach"
) -> Callable[[], None]:
    """Trace the jobs of this process. The arguments of jobs are not recorded.

    Args:
        tracer: A Datadog tracer; by default the one of `ddtrace`.
        namespace: Trace only jobs of this namespace; by default those of every engine.
        service: Name of the service that the spans name.

    Returns:
        A function that ends the tracing.

    Raises:
        ImportError: No tracer was given and `ddtrace` is not installed.
    """
    if tracer is None:
        import ddtrace.trace  # an optional dependency, and importing it starts threads

        tracer = ddtrace.trace.tracer
    return _AttemptSpans(tracer, service).connect(namespace)


def register_datadog_if_module_patched(module: str, *args: Any, **kwargs: Any) -> Callable[[], None] | None:
    """Trace jobs if Datadog already traces a module, as under `ddtrace-run`; else do nothing.

    Args:
        module: Name of an imported module, such as ``"django"``.
        *args: Passed to `register_datadog`.
        **kwargs: Passed to `register_datadog`.

    Returns:
        A function that ends the tracing, or None where the module is not traced.

    Example:
        >>> register_datadog_if_module_patched("django", service="shop")
    """
    # Every integration of ddtrace sets this attribute on the module it patches.
    if not getattr(sys.modules.get(module), "_datadog_patch", False):
        return None
    return register_datadog(*args, **kwargs)


class _AttemptSpans:
    """Starts a span with each attempt and finishes it with it, in the same thread or asyncio task."""

    def __init__(self, tracer: Any, service: str) -> None:
        self._tracer = tracer
        self._service = service
        # By identity, not id: after a revoked lease, two engines of one process may run the same job at once.
        self._spans: dict[int, Any] = {}

    def connect(self, namespace: str | None) -> Callable[[], None]:
        connected: list[tuple[signals.SafeNamedSignal, Callable[..., None]]] = [
            (signals.job_started, self._start),
            (signals.job_schedule_retry, self._set_error),
            (signals.job_failed, self._set_error),
            (signals.job_finished, self._finish),
        ]
        for signal, receiver in connected:
            signal.connect(receiver, sender=namespace, weak=False)

        def disconnect() -> None:
            for signal, receiver in connected:
                signal.disconnect(receiver)

        return disconnect

    def _start(self, namespace: str, job: Job, queue_wait: float, attempt: int) -> None:
        span = self._tracer.trace(
            _OPERATION, service=self._service, resource=job.task_name, span_type="worker"
        )
        self._spans[id(job)] = span
        span.set_tag("component", "spinach")
        span.set_tag("span.kind", "consumer")
        span.set_tag("spinach.namespace", namespace)
        for name in _TAGGED_FIELDS:
            span.set_tag(f"spinach.{name}", str(getattr(job, name)))
        span.set_metric("spinach.attempt", attempt)
        span.set_metric("spinach.queue_wait", queue_wait)

    def _set_error(self, _namespace: str, job: Job, err: BaseException) -> None:
        # A job that did not start has no span.
        span = self._spans.get(id(job))
        if span is not None:
            span.set_exc_info(type(err), err, err.__traceback__)

    def _finish(self, _namespace: str, job: Job, outcome: str) -> None:
        span = self._spans.pop(id(job), None)
        if span is not None:
            span.set_tag("spinach.outcome", outcome)
            span.finish()
