"""Spans around attempts: children of what scheduled the job, or linked to it."""

from __future__ import annotations

from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
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

from . import w3c
from .attributes import JOB_OUTCOME, LINK, LINK_CREATION, LINK_PREVIOUS, PROCESS
from .propagation import (
    LINK_HEADER,
    PREVIOUS_HEADER,
    add_headers,
    previous_of,
)
from .settings import Propagate
from .shared import Shared
from .tracers import is_suppressed

_CREATION: Final = {LINK: LINK_CREATION}
_PREVIOUS: Final = {LINK: LINK_PREVIOUS}


@dataclass(frozen=True, slots=True)
class AttemptTracer:
    """Wraps attempts; see `Engine.wrap_attempts`."""

    shared: Shared

    def __call__(self, attempt: Attempt) -> _Processing | None:
        """Return the span to be of an attempt, None where nobody looks."""
        tracer = self.shared.tracers.current()
        if tracer is None or is_suppressed(context_api.get_current()):
            return None
        return _Processing(self, tracer, attempt)

    def open(self, tracer: trace.Tracer, attempt: Attempt) -> tuple[trace.Span, Context]:
        """Start the span of an attempt; return it, and the context in which the function runs."""
        job, number = attempt.job, attempt.number
        origin = origin_of(job, number)
        context, links = self._lineage(job, number, origin)
        if self.shared.tracers.drops_child_of(trace.get_current_span(context).get_span_context()):
            return INVALID_SPAN, context
        span = tracer.start_span(
            self.shared.settings.name_of(PROCESS, job, self.shared.describer),
            context=context,
            kind=SpanKind.CONSUMER,
            attributes=self.shared.describer.attempted(job, number, attempt.queue_wait, origin),
            links=links,
        )
        return span, trace.set_span_in_context(span, context)

    def close(self, span: trace.Span, attempt: Attempt) -> None:
        """Note how an attempt ended, on its span and for the attempt that may follow."""
        outcome = attempt.outcome
        if outcome is None:  # the process is a stray child of a fork: not ours to tell
            return
        if outcome.verdict is Verdict.RETRIED:
            self._leave_word(span, attempt.job)
        elif outcome.verdict is Verdict.FAILED and attempt.job.headers:
            # Should somebody put the dead letter back into its queue, that is a new story, not a child of an old one.
            add_headers(attempt.job, {LINK_HEADER: "1"})
        if span.is_recording():
            span.set_attribute(JOB_OUTCOME, outcome.verdict.value)
            error = outcome.error
            # A retry that the task asked for is no error of anybody's.
            asked_for = outcome.verdict is Verdict.RETRIED and isinstance(error, RetryException)
            if error is not None and not asked_for:
                self.shared.errors.record(span, error)

    def _leave_word(self, span: trace.Span, job: Job) -> None:
        if self.shared.settings.mode_of(job) != "none":
            context = span.get_span_context()
            # What an earlier attempt left must not pass for this one's.
            mark(job, Origin.RETRY, {PREVIOUS_HEADER: w3c.spelled(context) if context.is_valid else ""})

    def _lineage(self, job: Job, number: int, origin: Origin | None) -> tuple[Context, list[Link]]:
        """Return the context of the span's parent, or of none, and the links."""
        headers, mode = job.headers, self.shared.settings.mode_of(job)
        context = _rootless(context_api.get_current())  # whatever is current here did not schedule the job
        if not headers or mode == "none":
            return context, []
        context = self.shared.propagation.read(headers, context)
        creation = trace.get_current_span(context).get_span_context()
        links = [Link(creation, _CREATION)] if creation.is_valid else []
        if origin is Origin.RETRY and (previous := previous_of(headers)):
            links.append(Link(previous, _PREVIOUS))
        return (context if _is_child(headers, mode, number) else _rootless(context)), links


def _is_child(headers: dict[str, str], mode: Propagate, number: int) -> bool:
    return mode == "child" or (mode == "auto" and number == 1 and LINK_HEADER not in headers)


def _rootless(context: Context) -> Context:
    """Return a context in which a new trace begins; what else it carries stays."""
    if trace.get_current_span(context) is INVALID_SPAN:
        return context
    return trace.set_span_in_context(INVALID_SPAN, context)


class _Processing:
    """The span of one attempt, current while the function runs. Lets nothing out, and leaves nothing behind."""

    __slots__ = ("_attempt", "_owner", "_span", "_token", "_tracer")

    def __init__(self, owner: AttemptTracer, tracer: trace.Tracer, attempt: Attempt) -> None:
        self._owner = owner
        self._tracer = tracer
        self._attempt = attempt
        self._span: trace.Span | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        try:
            self._span, context = self._owner.open(self._tracer, self._attempt)
            self._token = context_api.attach(context)
        except BaseException as error:
            self._owner.shared.complaints.report("open a span around an attempt", error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            context_api.detach(self._token)
        span = self._span
        if span is None:
            return
        try:
            try:
                self._owner.close(span, self._attempt)
            finally:
                span.end()
        except BaseException as failure:
            self._owner.shared.complaints.report("close a span around an attempt", failure)
