"""Spans around calls that schedule jobs; the contexts of these spans go into the headers of the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, SpanKind

from spinach.hooks import Submission
from spinach.job import Job, JobStatus
from spinach.origin import Origin, mark

from .attributes import CREATE, LINK, LINK_CREATION, SEND
from .propagation import LINK_HEADER, add_headers
from .spans import GuardedSpan, SpanMaker
from .tracers import submission_context

# By default the SDK keeps 128 links of a span: it would drop the links to the other jobs of a larger batch.
MAX_CREATE_SPANS: Final = 128
# In mode *auto*, attempts beyond these limits are linked: a child would keep its trace open for too long.
MAX_CHILD_DELAY_SECONDS: Final = 60.0
MAX_CHILD_BATCH: Final = 20
_CREATION: Final = {LINK: LINK_CREATION}


class SubmissionTracer(SpanMaker):
    """Wraps the calls that enqueue jobs; see `Engine.wrap_enqueues`."""

    observation = "the span of a call that schedules"

    def __call__(self, jobs: Submission) -> GuardedSpan | None:
        """Return the span to put around a call, or None if there is no tracer or spans are suppressed."""
        tracer = self.tracing.tracers.current()
        if tracer is None:
            return None
        current = submission_context(context_api.get_current())
        return None if current is None else GuardedSpan(self, tracer, jobs, current)

    def open(self, tracer: trace.Tracer, jobs: Submission, current: Context) -> tuple[trace.Span, Context]:
        """Start the span of a call and set the headers of its jobs; return the span, and its context."""
        if self.tracing.tracers.drops_child_of(trace.get_current_span(current).get_span_context()):
            self._propagate_unsampled(jobs, current)
            return INVALID_SPAN, current
        if jobs.is_batch:
            return self._open_for_batch(tracer, jobs, current)
        job = jobs[0]
        span, context = self._start_for_job(SEND, tracer, job, Origin.CLIENT, current)
        self._set_headers(job, self.tracing.propagator.inject(context), Origin.CLIENT, 1)
        return span, context

    def close(self, span: trace.Span, _jobs: Submission, error: BaseException | None) -> None:
        """Record the error that the call ended with, if any."""
        if error is not None and span.is_recording():
            self.tracing.errors.record(span, error)

    def _propagate_unsampled(self, jobs: Submission, current: Context) -> None:
        """Give jobs the context of an unsampled trace, so that their attempts are not sampled either."""
        headers = self.tracing.propagator.inject(current)
        for job in jobs:
            self._set_headers(job, headers, Origin.BATCH if jobs.is_batch else Origin.CLIENT, len(jobs))

    def _open_for_batch(
        self, tracer: trace.Tracer, jobs: Sequence[Job], current: Context
    ) -> tuple[trace.Span, Context]:
        count = len(jobs)
        has_create_spans = self.tracing.settings.create_spans and count <= MAX_CREATE_SPANS
        links = [self._create(tracer, job, count, current) for job in jobs] if has_create_spans else ()
        queues = {job.queue for job in jobs}
        queue = queues.pop() if len(queues) == 1 else None
        span = tracer.start_span(
            f"{SEND} {self.tracing.attributes.destination(queue or '')}".rstrip("/"),
            context=current,
            kind=SpanKind.CLIENT if has_create_spans else SpanKind.PRODUCER,
            attributes=self.tracing.attributes.for_batch(queue, count),
            links=links,
        )
        context = trace.set_span_in_context(span, current)
        if not has_create_spans:
            headers = self.tracing.propagator.inject(context)
            for job in jobs:
                self._set_headers(job, headers, Origin.BATCH, count)
        return span, context

    def _create(self, tracer: trace.Tracer, job: Job, count: int, current: Context) -> Link:
        """Make the span of one job of a batch, and return a link to it."""
        span, context = self._start_for_job(CREATE, tracer, job, Origin.BATCH, current)
        try:
            self._set_headers(job, self.tracing.propagator.inject(context), Origin.BATCH, count)
        finally:
            span.end()
        return Link(span.get_span_context(), _CREATION)

    def _start_for_job(
        self, operation: str, tracer: trace.Tracer, job: Job, origin: Origin, current: Context
    ) -> tuple[trace.Span, Context]:
        span = tracer.start_span(
            self.tracing.settings.span_name_for(operation, job, self.tracing.attributes),
            context=current,
            kind=SpanKind.PRODUCER,
            attributes=self.tracing.attributes.for_submission(operation, job, origin),
        )
        return span, trace.set_span_in_context(span, current)

    def _set_headers(self, job: Job, headers: dict[str, str], origin: Origin, batch_size: int) -> None:
        mode = self.tracing.settings.mode_for(job)
        if mode == "none" or not headers:
            return
        mark(job, origin, headers)
        if mode == "link" or (mode == "auto" and self._exceeds_child_limits(job, batch_size)):
            add_headers(job, {LINK_HEADER: "1"})

    def _exceeds_child_limits(self, job: Job, batch_size: int) -> bool:
        if batch_size > MAX_CHILD_BATCH:
            return True
        is_waiting = job.status is JobStatus.WAITING
        return is_waiting and job.due_timestamp - self.tracing.clock.now() > MAX_CHILD_DELAY_SECONDS
