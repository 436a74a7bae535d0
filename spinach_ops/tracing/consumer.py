"""Spans around attempts: children of the call that scheduled the job, or linked to it."""

from __future__ import annotations

from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, SpanKind

from spinach.execution import Attempt
from spinach.job import Job
from spinach.origin import Origin, mark, origin_of
from spinach.retry import Verdict
from spinach.task import RetryException

from .attributes import JOB_OUTCOME, LINK, LINK_CREATION, LINK_PREVIOUS, PROCESS
from .propagation import (
    LINK_HEADER,
    PREVIOUS_HEADER,
    add_headers,
    format_traceparent,
    previous_attempt,
)
from .settings import PropagationMode
from .spans import GuardedSpan, SpanMaker
from .tracers import is_suppressed

_CREATION: Final = {LINK: LINK_CREATION}
_PREVIOUS: Final = {LINK: LINK_PREVIOUS}


class AttemptTracer(SpanMaker):
    """Wraps attempts; see `Engine.wrap_attempts`."""

    observation = "the span of an attempt"

    def __call__(self, attempt: Attempt) -> GuardedSpan | None:
        """Return the span to put around an attempt, or None if there is no tracer or spans are suppressed."""
        tracer = self.tracing.tracers.current()
        if tracer is None:
            return None
        current = context_api.get_current()
        return None if is_suppressed(current) else GuardedSpan(self, tracer, attempt, current)

    def open(self, tracer: trace.Tracer, attempt: Attempt, current: Context) -> tuple[trace.Span, Context]:
        """Start the span of an attempt; return it, and the context in which the function runs."""
        job, number = attempt.job, attempt.number
        origin = origin_of(job, number)
        context, links = self._parent_and_links(job, number, origin, current)
        if self.tracing.tracers.drops_child_of(trace.get_current_span(context).get_span_context()):
            return INVALID_SPAN, context
        span = tracer.start_span(
            self.tracing.settings.span_name_for(PROCESS, job, self.tracing.attributes),
            context=context,
            kind=SpanKind.CONSUMER,
            attributes=self.tracing.attributes.for_attempt(job, number, attempt.queue_wait, origin),
            links=links,
        )
        return span, trace.set_span_in_context(span, context)

    def close(self, span: trace.Span, attempt: Attempt, _error: BaseException | None) -> None:
        """Record how an attempt ended, on its span and in the headers for the attempt that may follow."""
        outcome = attempt.outcome
        if outcome is None:  # a process that the function forked: its parent records the outcome
            return
        if outcome.verdict is Verdict.RETRIED:
            self._remember_attempt(span, attempt.job)
        elif outcome.verdict is Verdict.FAILED and attempt.job.headers:
            # If an operator requeues the dead letter days later, its attempt is no child of this trace.
            add_headers(attempt.job, {LINK_HEADER: "1"})
        if span.is_recording():
            span.set_attribute(JOB_OUTCOME, outcome.verdict.value)
            error = outcome.error
            # A task that raises RetryException asks for its retry: the span is not an error.
            is_requested = outcome.verdict is Verdict.RETRIED and isinstance(error, RetryException)
            if error is not None and not is_requested:
                self.tracing.errors.record(span, error)

    def _remember_attempt(self, span: trace.Span, job: Job) -> None:
        if self.tracing.settings.mode_for(job) != "none":
            context = span.get_span_context()
            # Overwrite the header of an earlier attempt even when this one has no valid context.
            previous = format_traceparent(context) if context.is_valid else ""
            mark(job, Origin.RETRY, {PREVIOUS_HEADER: previous})

    def _parent_and_links(
        self, job: Job, number: int, origin: Origin | None, current: Context
    ) -> tuple[Context, list[Link]]:
        """Return the context to start the span in, with its parent if it has one, and the span's links."""
        headers, mode = job.headers, self.tracing.settings.mode_for(job)
        context = _without_span(current)  # a span that is current in the worker did not schedule the job
        if not headers or mode == "none":
            return context, []
        context = self.tracing.propagator.extract(headers, context)
        creation = trace.get_current_span(context).get_span_context()
        links = [Link(creation, _CREATION)] if creation.is_valid else []
        if origin is Origin.RETRY and (previous := previous_attempt(headers)):
            links.append(Link(previous, _PREVIOUS))
        return (context if _is_child(headers, mode, number) else _without_span(context)), links


def _is_child(headers: dict[str, str], mode: PropagationMode, number: int) -> bool:
    return mode == "child" or (mode == "auto" and number == 1 and LINK_HEADER not in headers)


def _without_span(context: Context) -> Context:
    """Return a context in which a new trace begins; everything else in it stays."""
    if trace.get_current_span(context) is INVALID_SPAN:
        return context
    return trace.set_span_in_context(INVALID_SPAN, context)
