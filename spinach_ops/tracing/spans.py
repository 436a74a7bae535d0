"""What spans of scheduling and spans of attempts share: the parts they are made with, and their life."""

from __future__ import annotations

from abc import abstractmethod
from contextvars import Token
from dataclasses import dataclass
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer

from spinach.clock import ServerClock

from .attributes import AttributeBuilder
from .errors import ErrorRecorder
from .failures import FailureLog, Guarded, Observer
from .propagation import HeaderPropagator
from .settings import TracingSettings
from .tracers import TracerSource


@dataclass(frozen=True, slots=True)
class EngineTracing:
    """The parts that trace one engine: made once, then only read."""

    tracers: TracerSource
    attributes: AttributeBuilder
    propagator: HeaderPropagator
    settings: TracingSettings
    errors: ErrorRecorder
    failures: FailureLog
    clock: ServerClock


class SpanMaker(Observer):
    """Decides what a span says; `GuardedSpan` decides when it starts and ends."""

    def __init__(self, tracing: EngineTracing) -> None:
        self.tracing = tracing
        self.failures = tracing.failures

    @abstractmethod
    def open(self, tracer: Tracer, subject: Any, current: Context) -> tuple[Span, Context]:
        """Start the span of a subject; return it, and the context to make current."""

    @abstractmethod
    def close(self, span: Span, subject: Any, error: BaseException | None) -> None:
        """Record how it ended; `GuardedSpan` ends the span, even when this raises."""


class GuardedSpan(Guarded):
    """The life of one span: started, made current while the block runs, detached, ended.

    Args:
        maker: What the span says.
        tracer: What starts it.
        subject: The attempt, or the jobs that are scheduled.
        current: The context to start in.
    """

    __slots__ = ("_current", "_span", "_subject", "_token", "_tracer")

    _observer: SpanMaker

    def __init__(self, maker: SpanMaker, tracer: Tracer, subject: Any, current: Context) -> None:
        self._observer = maker
        self._tracer = tracer
        self._subject = subject
        self._current = current
        self._span: Span | None = None
        self._token: Token[Context] | None = None

    def begin(self) -> None:
        """Start the span and make it current."""
        self._span, context = self._observer.open(self._tracer, self._subject, self._current)
        self._token = context_api.attach(context)

    def end(self, error: BaseException | None) -> None:
        """Detach the span, record how the block ended, and end the span."""
        if self._token is not None:
            context_api.detach(self._token)
        span = self._span
        if span is None:
            return
        try:
            self._observer.close(span, self._subject, error)
        finally:
            span.end()
