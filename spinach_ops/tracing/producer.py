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
from opentelemetry.trace import Link, SpanKind

from spinach.clock import ServerClock
from spinach.job import Job
from spinach.origin import Origin, mark
from spinach.seams import Submission

from .attributes import CREATE, LINK, LINK_CREATION, SEND, Describer
from .complaints import Complaints
from .errors import ErrorRecorder
from .propagation import LINK_HEADER, Propagation, add_headers
from .settings import Settings
from .tracers import Tracers, is_suppressed

# A span may have so many links by default; a larger batch could not name its jobs.
MAX_CREATE_SPANS: Final = 128
# Later than this, or beside more jobs than these, a child would tear its trace: *auto* links.
MAX_CHILD_DELAY_SECONDS: Final = 60.0
MAX_CHILD_BATCH: Final = 20
_CREATION: Final = {LINK: LINK_CREATION}


@dataclass(frozen=True, slots=True)
class SubmissionTracer:
    """Wraps the calls that enqueue jobs; see `Engine.wrap_enqueues`."""

    tracers: Tracers
    describer: Describer
    propagation: Propagation
    settings: Settings
    errors: ErrorRecorder
    complaints: Complaints
    clock: ServerClock

    def __call__(self, jobs: Submission) -> _Sending | None:
        """Return the span to be of a call, None where nobody looks."""
        tracer = self.tracers.current()
        return None if tracer is None or is_suppressed() else _Sending(self, tracer, jobs)

    def open(self, tracer: trace.Tracer, jobs: Submission) -> trace.Span:
        """Start the span of a call, and give the jobs their headers."""
        if not jobs.is_batch:
            return self._open_for_one(tracer, jobs[0])
        if self.settings.create_spans and len(jobs) <= MAX_CREATE_SPANS:
            return self._open_with_creations(tracer, jobs)
        return self._open_for_all(tracer, jobs)

    def _open_for_one(self, tracer: trace.Tracer, job: Job) -> trace.Span:
        span = tracer.start_span(
            self._name(SEND, job),
            kind=SpanKind.PRODUCER,
            attributes=self.describer.submitted(SEND, job, Origin.CLIENT),
        )
        self._give_headers(job, self._headers_of(span), Origin.CLIENT, 1)
        return span

    def _open_with_creations(self, tracer: trace.Tracer, jobs: Sequence[Job]) -> trace.Span:
        links = []
        for job in jobs:
            span = tracer.start_span(
                self._name(CREATE, job),
                kind=SpanKind.PRODUCER,
                attributes=self.describer.submitted(CREATE, job, Origin.BATCH),
            )
            try:
                self._give_headers(job, self._headers_of(span), Origin.BATCH, len(jobs))
            finally:
                span.end()
            links.append(Link(span.get_span_context(), _CREATION))
        return self._open_send(tracer, jobs, SpanKind.CLIENT, links)

    def _open_for_all(self, tracer: trace.Tracer, jobs: Sequence[Job]) -> trace.Span:
        span = self._open_send(tracer, jobs, SpanKind.PRODUCER, ())
        headers = self._headers_of(span)
        for job in jobs:
            self._give_headers(job, headers, Origin.BATCH, len(jobs))
        return span

    def _open_send(
        self, tracer: trace.Tracer, jobs: Sequence[Job], kind: SpanKind, links: Sequence[Link]
    ) -> trace.Span:
        queues = {job.queue for job in jobs}
        queue = queues.pop() if len(queues) == 1 else None
        return tracer.start_span(
            f"{SEND} {self.describer.destination(queue or '')}".rstrip("/"),
            kind=kind,
            attributes=self.describer.submitted_together(queue, len(jobs)),
            links=links,
        )

    def _name(self, operation: str, job: Job) -> str:
        return self.settings.name_of(operation, job.task_name, self.describer.destination(job.queue))

    def _headers_of(self, span: trace.Span) -> dict[str, str]:
        return self.propagation.headers(trace.set_span_in_context(span))

    def _give_headers(self, job: Job, headers: dict[str, str], origin: Origin, together: int) -> None:
        mode = self.settings.mode_of(job)
        if mode == "none" or not headers:
            return
        add_headers(job, headers)
        mark(job, origin)
        if mode == "link" or (mode == "auto" and self._is_far_off(job, together)):
            add_headers(job, {LINK_HEADER: "1"})

    def _is_far_off(self, job: Job, together: int) -> bool:
        return together > MAX_CHILD_BATCH or (job.due_timestamp - self.clock.now() > MAX_CHILD_DELAY_SECONDS)


class _Sending:
    """The span of one call, current while the broker is called. Lets nothing out."""

    __slots__ = ("_jobs", "_owner", "_span", "_token", "_tracer")

    def __init__(self, owner: SubmissionTracer, tracer: trace.Tracer, jobs: Submission) -> None:
        self._owner = owner
        self._tracer = tracer
        self._jobs = jobs
        self._span: trace.Span | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        try:
            self._span = self._owner.open(self._tracer, self._jobs)
            self._token = context_api.attach(trace.set_span_in_context(self._span))
        except BaseException as error:
            self._owner.complaints.report("open a span around scheduling", error)

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
                    self._owner.errors.record(span, error)
            finally:
                span.end()
        except BaseException as failure:
            self._owner.complaints.report("close a span around scheduling", failure)
