"""Spans around calls that schedule jobs; their contexts go into the jobs' headers."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, SpanKind

from spinach.clock import ServerClock
from spinach.hooks import Submission
from spinach.job import Job, JobStatus
from spinach.origin import Origin, mark

from .attributes import CREATE, LINK, LINK_CREATION, SEND
from .propagation import LINK_HEADER, add_headers
from .shared import Shared
from .tracers import is_suppressed, of_caller

# A span may have so many links by default; a larger batch could not name its jobs.
MAX_CREATE_SPANS: Final = 128
# Later than this, or beside more jobs than these, a child would tear its trace: *auto* links.
MAX_CHILD_DELAY_SECONDS: Final = 60.0
MAX_CHILD_BATCH: Final = 20
_CREATION: Final = {LINK: LINK_CREATION}


@dataclass(frozen=True, slots=True)
class SubmissionTracer:
    """Wraps the calls that enqueue jobs; see `Engine.wrap_enqueues`."""

    shared: Shared
    clock: ServerClock

    def __call__(self, jobs: Submission) -> _Sending | None:
        """Return the span to be of a call, None where nobody looks."""
        tracer = self.shared.tracers.current()
        if tracer is None:
            return None
        context = of_caller(context_api.get_current())
        return None if is_suppressed(context) else _Sending(self, tracer, jobs, context)

    def open(self, tracer: trace.Tracer, jobs: Submission, current: Context) -> tuple[trace.Span, Context]:
        """Start the span of a call, and give the jobs their headers; return it, and the context it is current in."""
        if self.shared.tracers.drops_child_of(trace.get_current_span(current).get_span_context()):
            self._pass_on(jobs, current)
            return INVALID_SPAN, current
        if jobs.is_batch:
            return self._open_for_batch(tracer, jobs, current)
        job = jobs[0]
        span, context = self._start_for_one(SEND, tracer, job, Origin.CLIENT, current)
        self._give_headers(job, self.shared.propagation.headers(context), Origin.CLIENT, 1)
        return span, context

    def _pass_on(self, jobs: Submission, current: Context) -> None:
        """Give jobs the context of a trace that is not sampled, so that their attempts are not either."""
        headers = self.shared.propagation.headers(current)
        for job in jobs:
            self._give_headers(job, headers, Origin.BATCH if jobs.is_batch else Origin.CLIENT, len(jobs))

    def _open_for_batch(
        self, tracer: trace.Tracer, jobs: Sequence[Job], current: Context
    ) -> tuple[trace.Span, Context]:
        count = len(jobs)
        with_creations = self.shared.settings.create_spans and count <= MAX_CREATE_SPANS
        links = [self._create(tracer, job, count, current) for job in jobs] if with_creations else ()
        queues = {job.queue for job in jobs}
        queue = queues.pop() if len(queues) == 1 else None
        span = tracer.start_span(
            f"{SEND} {self.shared.describer.destination(queue or '')}".rstrip("/"),
            context=current,
            kind=SpanKind.CLIENT if with_creations else SpanKind.PRODUCER,
            attributes=self.shared.describer.submitted_together(queue, count),
            links=links,
        )
        context = trace.set_span_in_context(span, current)
        if not with_creations:
            headers = self.shared.propagation.headers(context)
            for job in jobs:
                self._give_headers(job, headers, Origin.BATCH, count)
        return span, context

    def _create(self, tracer: trace.Tracer, job: Job, count: int, current: Context) -> Link:
        """Make the span of one job among many, and return a link to it."""
        span, context = self._start_for_one(CREATE, tracer, job, Origin.BATCH, current)
        try:
            self._give_headers(job, self.shared.propagation.headers(context), Origin.BATCH, count)
        finally:
            span.end()
        return Link(span.get_span_context(), _CREATION)

    def _start_for_one(
        self, operation: str, tracer: trace.Tracer, job: Job, origin: Origin, current: Context
    ) -> tuple[trace.Span, Context]:
        span = tracer.start_span(
            self.shared.settings.name_of(operation, job, self.shared.describer),
            context=current,
            kind=SpanKind.PRODUCER,
            attributes=self.shared.describer.submitted(operation, job, origin),
        )
        return span, trace.set_span_in_context(span, current)

    def _give_headers(self, job: Job, headers: dict[str, str], origin: Origin, together: int) -> None:
        mode = self.shared.settings.mode_of(job)
        if mode == "none" or not headers:
            return
        mark(job, origin, headers)
        if mode == "link" or (mode == "auto" and self._is_far_off(job, together)):
            add_headers(job, {LINK_HEADER: "1"})

    def _is_far_off(self, job: Job, together: int) -> bool:
        if together > MAX_CHILD_BATCH:
            return True
        waits = job.status is JobStatus.WAITING
        return waits and job.due_timestamp - self.clock.now() > MAX_CHILD_DELAY_SECONDS


class _Sending:
    """The span of one call, current while the broker is called. Lets nothing out."""

    __slots__ = ("_current", "_jobs", "_owner", "_span", "_token", "_tracer")

    def __init__(
        self, owner: SubmissionTracer, tracer: trace.Tracer, jobs: Submission, current: Context
    ) -> None:
        self._owner = owner
        self._tracer = tracer
        self._jobs = jobs
        self._current = current
        self._span: trace.Span | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        try:
            self._span, context = self._owner.open(self._tracer, self._jobs, self._current)
            self._token = context_api.attach(context)
        except BaseException as error:
            self._owner.shared.complaints.report("open a span around scheduling", error)

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
                if error is not None and span.is_recording():
                    self._owner.shared.errors.record(span, error)
            finally:
                span.end()
        except BaseException as failure:
            self._owner.shared.complaints.report("close a span around scheduling", failure)
